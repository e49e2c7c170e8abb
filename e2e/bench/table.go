package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// Print writes what was measured as a table for a terminal.
func Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range Figures {
		if f.measured {
			_, _ = fmt.Fprintf(t, "%s\t%s\tgoal %s\tPython %s\n", f.Name, f.text(), f.Goal, f.Python) // Flush says what failed
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// The lines of the page between which the table stands.
const (
	begin = "<!-- measured: written by make bench BENCH_UPDATE=1 -->"
	end   = "<!-- measured: end -->"
)

// Update writes what was measured, and on which machine, into the page. Figures
// that were not measured keep what the page says.
func Update(page, machine string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("update the table: %w", err)
	}
	before, after, old, err := split(text)
	if err != nil {
		return fmt.Errorf("update the table in %s: %w", page, err)
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s\n\nMeasured %s.\n\n| figure | Python connector | goal | measured |\n|---|---|---|---|\n", begin, machine)
	for _, f := range Figures {
		value := "not measured"
		if f.measured {
			value = f.text()
		} else if kept := old[f.Name]; kept != "" {
			value = kept
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.Name, f.Python, f.Goal, value)
	}
	fmt.Fprintf(&b, "\n%s", end)
	b.Write(after)
	if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("update the table: %w", err)
	}
	return nil
}

// split gives what stands before and after the table, and the table's last column
// by figure.
func split(text []byte) (before, after []byte, measured map[string]string, err error) {
	before, rest, ok := bytes.Cut(text, []byte(begin))
	table, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, nil, nil, fmt.Errorf("no lines %q and %q", begin, end)
	}
	measured = map[string]string{}
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) == 4 {
			measured[strings.TrimSpace(cells[0])] = strings.TrimSpace(cells[3])
		}
	}
	return before, after, measured, nil
}
