package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// exitFound is the exit code of a check that found something which has to be cured.
const exitFound = 3

// checkCommand looks at everything that the connector depends on.
type checkCommand struct {
	JSON     bool `name:"json"`
	Settings bool
	Register bool
}

// checked is what check says as JSON. Its names do not change.
type checked struct {
	Version  string           `json:"version"`
	Fine     bool             `json:"fine"`
	Lines    []check.Line     `json:"lines"`
	Settings []config.Setting `json:"settings,omitempty"`
}

func (c *checkCommand) run(ctx context.Context, in *invocation) int {
	settings, problems := config.Load(config.Input{Environ: in.environ, Folders: folders(), Purpose: config.ForPlatform})
	var effective []config.Setting
	if c.Settings && settings != nil {
		effective = settings.Effective()
	}
	page := &checkPage{out: in.stdout, colour: isTerminal(in.stdout) && !slices.ContainsFunc(in.environ, noColour)}
	told := page.line
	if c.JSON {
		told = nil
	} else {
		page.settings(effective)
	}
	lines := check.Run(ctx, check.Config{
		Settings: settings, Problems: problems, Register: c.Register, Told: told, Hide: telemetry.Hide,
	})
	fine := check.Fine(lines)
	if c.JSON {
		text := json.NewEncoder(in.stdout)
		text.SetEscapeHTML(false)
		text.SetIndent("", "  ")
		page.err = text.Encode(checked{Version: version(), Fine: fine, Lines: lines, Settings: effective})
	} else {
		page.verdict(lines)
	}
	switch {
	case page.err != nil:
		return in.fail(fmt.Errorf("write what was found: %w", page.err), "")
	case !fine:
		return exitFound
	}
	return exitFine
}

// noColour reports whether a variable is NO_COLOR, and set (no-color.org).
func noColour(pair string) bool {
	value, ok := strings.CutPrefix(pair, "NO_COLOR=")
	return ok && value != ""
}

// checkPage writes lines for a person.
type checkPage struct {
	out    io.Writer
	colour bool
	err    error // the first of writing
}

func (p *checkPage) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.out, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

// colours of the states, as terminals count them (ECMA-48 §8.3.117).
var colours = map[check.State]string{check.OK: "32", check.Warning: "33", check.Failed: "1;31", check.Skipped: "2"}

// line writes one line, and below it what to do.
func (p *checkPage) line(l check.Line) {
	state := fmt.Sprintf("%-7s", l.State)
	if p.colour {
		state = "\x1b[" + colours[l.State] + "m" + state + "\x1b[0m"
	}
	p.printf("%s  %-10s  %s\n", state, l.Name, l.Says)
	if l.Hint != "" {
		p.printf("%21shint: %s\n", "", l.Hint)
	}
}

// settings writes what holds, and where it comes from.
func (p *checkPage) settings(list []config.Setting) {
	for _, s := range list {
		p.printf("%-40s %-12s %s\n", s.Variable, s.Source, s.Value)
	}
	if len(list) > 0 {
		p.printf("\n")
	}
}

// verdict sums up.
func (p *checkPage) verdict(lines []check.Line) {
	number := map[check.State]int{}
	for _, l := range lines {
		number[l.State]++
	}
	switch {
	case number[check.Failed] > 0:
		p.printf("\n%d failed: the connector would not run, or not as it should.\n", number[check.Failed])
	case number[check.Warning] > 0:
		p.printf("\nThe connector can run. %d warned: see what is lost.\n", number[check.Warning])
	default:
		p.printf("\nThe connector can run.\n")
	}
}
