package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
)

// versionCommand shows what was built, from what, with what.
type versionCommand struct{}

func (c *versionCommand) run(in *invocation) int {
	if _, err := fmt.Fprintf(in.stdout, "%s %s (%s %s/%s)\n", program, version(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		return in.fail(fmt.Errorf("write version: %w", err), "")
	}
	return exitFine
}

// version is the module's version, or else the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
		if i >= 0 {
			commit := info.Settings[i].Value
			v += "-" + commit[:min(12, len(commit))]
		}
	}
	return v
}
