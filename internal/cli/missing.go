package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// missingCommand lists what is not in OpenCTI, by event.
type missingCommand struct {
	JSON    bool     `name:"json"`
	Room    string   `placeholder:"ROOM"`
	Reason  []string `placeholder:"REASON"`
	Waiting bool
}

func (c *missingCommand) run(ctx context.Context, in *invocation) int {
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	trial, err := connector.OpenTrial(ctx, settings, time.Now())
	if err != nil {
		return in.failOf(err, settings)
	}
	defer trial.Close() //nolint:errcheck // it was only read
	choice := connector.Choice{Reasons: c.Reason, Waiting: c.Waiting}
	if c.Room != "" {
		room, err := trial.Find(ctx, c.Room)
		if err != nil {
			return in.failOf(err, settings)
		}
		choice.Room = room.ID
	}
	out := bufio.NewWriter(in.stdout)
	list := missingList{json: c.JSON, out: out}
	for m, err := range trial.Missing(ctx, choice) {
		if err == nil {
			err = list.add(m)
		}
		if err != nil {
			return in.failOf(errors.Join(err, out.Flush()), settings)
		}
	}
	if err := errors.Join(list.end(), out.Flush()); err != nil {
		return in.fail(fmt.Errorf("write what is missing: %w", err), "")
	}
	return exitFine
}

// missingList writes what is missing: for programs one object a line, for people a head for
// those that have the same reason.
type missingList struct {
	json bool
	out  io.Writer
	n    int
	head [4]string // of the last one
}

func (l *missingList) add(m connector.Missing) error {
	l.n++
	if l.json {
		text := json.NewEncoder(l.out)
		text.SetEscapeHTML(false)
		return text.Encode(m)
	}
	if head := [4]string{m.What, m.State, m.Reason, m.Cause}; head != l.head {
		gap := map[bool]string{true: "", false: "\n"}[l.n == 1]
		why := m.Reason
		if m.Cause != "" {
			why += ", " + m.Cause
		}
		if why != "" {
			why = " (" + why + ")"
		}
		if _, err := fmt.Fprintf(l.out, "%s%s %s: %s%s\n    cure: %s\n", gap, m.What, m.State, m.Says, printable(why), m.Cure); err != nil {
			return err
		}
		l.head = head
	}
	var parts []string
	for _, part := range []string{m.Room, m.Event, m.User} {
		if part != "" {
			parts = append(parts, status.Plain(part, 255))
		}
	}
	if m.File > 0 {
		parts = append(parts, fmt.Sprintf("file %d", m.File))
	}
	at := "–                   "
	if !m.Sent.IsZero() {
		at = m.Sent.UTC().Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(l.out, "  %s  %s\n", at, strings.Join(parts, "  "))
	return err
}

func (l *missingList) end() error {
	if l.n > 0 || l.json {
		return nil
	}
	_, err := fmt.Fprintln(l.out, "Nothing is missing.")
	return err
}
