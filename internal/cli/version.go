package cli

import (
	"fmt"
	"runtime"
)

// versionCommand shows what was built, from what, with what.
type versionCommand struct{}

func (c *versionCommand) run(in *invocation) int {
	b := thisBuild()
	_, err := fmt.Fprintf(in.stdout, "%s %s (%s %s/%s)\ncommit: %s\ncommitted: %s\nmodified: %t\n",
		program, b.name(), runtime.Version(), runtime.GOOS, runtime.GOARCH, known(b.commit), known(b.time), b.modified)
	if err != nil {
		return in.fail(fmt.Errorf("write version: %w", err), "")
	}
	return exitFine
}

func known(fact string) string {
	if fact == "" {
		return "unknown"
	}
	return fact
}

// version is the name of this build, for logs and for the platform.
func version() string { return thisBuild().name() }
