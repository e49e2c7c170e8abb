package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// roomsCommand shows what the settings give for the rooms of the bot.
type roomsCommand struct {
	JSON    bool   `name:"json"`
	Explain string `placeholder:"ROOM"`
	Count   int    `default:"5" placeholder:"N"`
}

// most is how many messages are explained at most: each is composed in memory.
const most = 1000

func (c *roomsCommand) run(ctx context.Context, in *invocation) int {
	if c.Count < 1 || c.Count > most {
		in.complain(fmt.Sprintf("--count is %d", c.Count), fmt.Sprintf("give a number from 1 to %d", most))
		return exitUsage
	}
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	if err := c.show(ctx, in, settings); err != nil {
		return in.failOf(err, settings)
	}
	return exitFine
}

func (c *roomsCommand) show(ctx context.Context, in *invocation, settings *config.Config) error {
	for _, w := range settings.Warnings {
		in.say("warning: %s", w)
	}
	trial, err := connector.OpenTrial(ctx, settings, time.Now())
	if err != nil {
		return err
	}
	defer trial.Close() //nolint:errcheck // it was only read
	if c.Explain != "" {
		return c.explain(ctx, in, trial)
	}
	rooms, err := trial.Rooms(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(in.stdout, rooms)
	}
	if len(rooms) == 0 {
		_, err := fmt.Fprintln(in.stdout, "The bot has seen no room yet. Invite it, or wait for its first sync.")
		return err
	}
	if err := writeRooms(in.stdout, rooms); err != nil {
		return err
	}
	for _, rule := range trial.Unused(rooms) {
		in.say("rule %d of matrix.rooms holds for none of these rooms", rule)
	}
	return nil
}

// say tells a person something beside what was asked for.
func (in *invocation) say(format string, args ...any) {
	_, _ = fmt.Fprintf(in.stderr, program+": "+format+"\n", args...) // there is nobody else to tell
}

// explain writes the bundle to stdout, and to stderr what a person should know of it.
func (c *roomsCommand) explain(ctx context.Context, in *invocation, trial *connector.Trial) error {
	room, err := trial.Find(ctx, c.Explain)
	if err != nil {
		return err
	}
	bundle, n, err := trial.Explain(ctx, room, c.Count)
	if err != nil {
		return err
	}
	name := printable(string(room.ID))
	switch {
	case !room.Imported:
		in.say("%s is not imported: %s", name, whyNot(room))
		return nil
	case n == 0:
		in.say("%s: no message of it is in the store; what has landed is dropped from it after MATRIX_CONTENT_RETENTION", name)
		return nil
	}
	in.say("%s: %s; the newest messages that the store holds: %d. Nothing is sent.", name, ruleOf(room), n)
	return writeJSON(in.stdout, bundle)
}

func writeJSON(to io.Writer, v any) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// writeRooms writes a table for people.
func writeRooms(to io.Writer, rooms []connector.RoomTrial) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(cells ...string) {
		for i, cell := range cells {
			if cell == "" {
				cells[i] = "–"
			}
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) // Flush tells
	}
	line("ROOM", "NAME", "ENCRYPTED", "BOT", "IMPORTED", "RULE", "TLP", "LABELS", "SINCE", "FILES", "MESSAGES")
	for _, r := range rooms {
		cells := []string{printable(string(r.ID)), printable(r.Name), yesNo(r.Encrypted), printable(string(r.Membership)), "yes", ruleNumber(r)}
		if r.Imported {
			cells = append(cells, string(r.TLP), printable(strings.Join(r.Labels, ", ")), since(r), files(r), messages(r))
		} else {
			cells[4] = "no: " + whyNot(r)
			cells = append(cells, "", "", "", "", messages(r))
		}
		line(cells...)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write rooms: %w", err)
	}
	return nil
}

// printable keeps what a stranger chose from giving orders to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func ruleNumber(r connector.RoomTrial) string {
	if r.Rule == 0 {
		return ""
	}
	return strconv.Itoa(r.Rule)
}

// ruleOf names the rule of a room in a sentence.
func ruleOf(r connector.RoomTrial) string {
	if r.Rule == 0 {
		return "no rule of matrix.rooms fits it"
	}
	return fmt.Sprintf("rule %d of matrix.rooms", r.Rule)
}

// whyNot says why a room is not imported.
func whyNot(r connector.RoomTrial) string {
	switch r.Why {
	case "in_matrix_rooms_exclude":
		return "MATRIX_ROOMS_EXCLUDE names it"
	case "not_in_matrix_rooms":
		return "MATRIX_ROOMS does not name it"
	case "skipped_by_rule":
		return fmt.Sprintf("rule %d skips it", r.Rule)
	case "named_by_a_false_tombstone":
		return "a tombstone named it falsely"
	}
	return r.Why
}

func since(r connector.RoomTrial) string {
	if r.Since == nil {
		return "new only"
	}
	return r.Since.Format(time.DateOnly)
}

// files says which files are fetched, such as "≤ 100 MiB, image/*".
func files(r connector.RoomTrial) string {
	if r.AttachmentMaxSize == 0 {
		return "none"
	}
	size, unit := float64(r.AttachmentMaxSize), "B"
	for _, next := range []string{"KiB", "MiB", "GiB"} {
		if size < 1024 {
			break
		}
		size, unit = size/1024, next
	}
	return strings.Join(append([]string{"≤ " + strconv.FormatFloat(math.Round(size*10)/10, 'f', -1, 64) + " " + unit}, r.AttachmentTypes...), ", ")
}

// messages counts, what needs no word first: "12, 3 due, 1 undecrypted".
func messages(r connector.RoomTrial) string {
	total := 0
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(r.Messages)) {
		n := r.Messages[state]
		total += n
		if n > 0 && state != "landed" {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if r.Undecrypted > 0 {
		parts = append(parts, fmt.Sprintf("%d undecrypted", r.Undecrypted))
	}
	return strings.Join(append([]string{strconv.Itoa(total)}, parts...), ", ")
}
