package cli

import (
	"regexp"
	"testing"

	"github.com/alecthomas/kong"
)

// Others see the arguments of a process: no command takes a secret as one.
func TestNoSecretIsAnArgument(t *testing.T) {
	parser, err := kong.New(&grammar{}, kong.NoDefaultHelp())
	if err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`(?i)pass|phrase|token|secret|recover|key|code`)
	seen := 0
	look := func(command, name string) {
		if seen++; secret.MatchString(name) {
			t.Errorf("%s takes %s on the command line", command, name)
		}
	}
	if err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok {
			for _, f := range n.Flags {
				look(n.FullPath(), "--"+f.Name)
			}
			for _, p := range n.Positional {
				look(n.FullPath(), p.Name)
			}
		}
		return next(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if seen < 5 {
		t.Errorf("only %d arguments were seen", seen)
	}
}
