package scene

import (
	"context"
	"maps"
	"os"
	"strings"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// Command is a command of the connector's that somebody sits in front of, beside the
// running connector or without one.
type Command struct {
	*parts.Connector
	s     *Scene
	typed *os.File
}

// Commands starts a command. Its output is searched for secrets as that of the connector is.
func (s *Scene) Commands(args ...string) *Command {
	s.t.Helper()
	stdin, typed, err := os.Pipe()
	s.must(err)
	run, err := parts.StartConnector(s.t.Context(), parts.ConnectorConfig{Dir: s.Dir, Args: args, Env: maps.Clone(s.Env), Program: s.Program, Stdin: stdin})
	_ = stdin.Close() // the child has its own
	s.must(err)
	s.t.Cleanup(func() { _ = typed.Close() })
	s.runs = append(s.runs, run)
	s.watches(run)
	return &Command{Connector: run, s: s, typed: typed}
}

// Types has the person type a line.
func (c *Command) Types(line string) {
	c.s.t.Helper()
	_, err := c.typed.WriteString(line + "\n")
	c.s.must(err)
}

// Shows waits until the command has written a line that holds the words, and gives all that it
// has written up to then.
func (c *Command) Shows(words string) string {
	c.s.t.Helper()
	ctx, cancel := context.WithTimeout(c.s.t.Context(), Patience)
	defer cancel()
	if _, err := c.Stdout.Await(ctx, func(line string) bool { return strings.Contains(line, words) }); err != nil {
		c.s.t.Fatalf("the command never showed %q:\n%s%s", words, c.Stdout, c.Stderr)
	}
	return c.Stdout.String()
}

// Ends waits until the command has ended with a code.
func (c *Command) Ends(want int) string {
	c.s.t.Helper()
	ctx, cancel := context.WithTimeout(c.s.t.Context(), Patience)
	defer cancel()
	if code, err := c.Wait(ctx); err != nil || code != want {
		c.s.t.Fatalf("the command ended with %d, %v, not with %d:\n%s%s", code, err, want, c.Stdout, c.Stderr)
	}
	return c.Stdout.String()
}
