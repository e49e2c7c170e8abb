package cli

import (
	_ "embed"
	"runtime/debug"
	"strings"
)

// Stamp is what a build without git is told about its source: version, commit and
// the commit's time, with blanks between. The linker sets it:
//
//	go build -ldflags "-X 'github.com/matrix-connector/matrix-connector/internal/cli.Stamp=v1.0.0 COMMIT TIME'"
//
// Elsewhere the go command stamps the binary by itself, and Stamp stays empty.
var Stamp string

// archived is the same of a source that git archive packed, in which git has put
// commit, time and the nearest tag (gitattributes(5), export-subst). In a checkout
// it holds the placeholders.
//
//go:embed archived.txt
var archived string

// build is what a binary was made from. What is not known is empty.
type build struct {
	version  string // a tag, or a pseudo-version, or what leads there
	commit   string
	time     string // of the commit, RFC 3339
	modified bool   // there were changes that are not in the commit
}

// thisBuild is what this binary was made from: what the linker was told, else what
// the go command found in git, else what git archive left in the source.
func thisBuild() build {
	if b, ok := stamped(Stamp); ok {
		return b
	}
	if b, ok := fromGit(); ok {
		return b
	}
	b, _ := stamped(archived)
	return b
}

// stamped reads version, commit and time. Placeholders that nobody replaced are
// nothing.
func stamped(text string) (build, bool) {
	if strings.Contains(text, "$Format") {
		return build{}, false
	}
	fields := strings.Fields(text)
	if len(fields) == 2 { // no tag is near
		fields = append([]string{""}, fields...)
	}
	if len(fields) != 3 {
		return build{}, false
	}
	return build{version: fields[0], commit: fields[1], time: fields[2]}, true
}

// fromGit is what the go command stamped.
func fromGit() (build, bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{}, false
	}
	b := build{version: info.Main.Version}
	if b.version == "(devel)" {
		b.version = ""
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.time = s.Value
		case "vcs.modified":
			b.modified = s.Value == "true"
		}
	}
	return b, b.commit != "" || b.version != ""
}

// name is what to call the build: its version, else its commit.
func (b build) name() string {
	switch {
	case b.version != "":
		return b.version
	case b.commit != "":
		return "devel-" + b.commit[:min(12, len(b.commit))]
	default:
		return "devel"
	}
}
