package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// backfillCommand reads the history of rooms once more, or further back than the start
// date.
type backfillCommand struct {
	Room  []string `placeholder:"ROOM" sep:"none"`
	Since string   `placeholder:"DATE"`
	Stop  bool
}

func (c *backfillCommand) run(ctx context.Context, in *invocation) int {
	if c.Stop && (len(c.Room) > 0 || c.Since != "") {
		in.complain("--stop goes without --room and --since", "it ends all backfills")
		return exitUsage
	}
	asked, err := connector.AskToBackfill(c.Room, c.Since)
	if err != nil {
		in.complain(err.Error(), connector.Hint(err))
		return exitUsage
	}
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	config := in.aside(settings)
	if c.Stop {
		return c.stop(ctx, in, config)
	}
	p := &progress{in: in, bar: isTerminal(in.stderr), now: time.Now}
	shown, err := connector.Backfill(ctx, config, asked, p.show)
	p.end()
	if ctx.Err() != nil {
		how := "Nothing is lost: the next start of the connector goes on with it, or this command given again."
		if p.running {
			how = "The running connector goes on with it. matrix-connector backfill --stop ends it."
		}
		in.say("stopped watching. %s", how)
		return exitFailed
	}
	if err != nil {
		return in.failOf(err, settings)
	}
	return c.end(in, shown, p.running)
}

func (c *backfillCommand) stop(ctx context.Context, in *invocation, config connector.Config) int {
	n, err := connector.StopBackfills(ctx, config)
	if err != nil {
		return in.failOf(err, config.Settings)
	}
	if _, err := fmt.Fprintf(in.stdout, "%d backfills ended. What they have read stays.\n", n); err != nil {
		return in.fail(fmt.Errorf("write what was done: %w", err), "")
	}
	return exitFine
}

// end says what came of it.
func (c *backfillCommand) end(in *invocation, s connector.BackfillShown, running bool) int {
	when := "goes to OpenCTI when the connector is started"
	if running {
		when = "goes to OpenCTI now"
	}
	if _, err := fmt.Fprintf(in.stdout, "%d events read in %d rooms, %d of them new. What is new %s.\n", s.Read, s.Rooms, s.New, when); err != nil {
		return in.fail(fmt.Errorf("write what was done: %w", err), "")
	}
	for _, r := range s.Refused {
		in.say("%s: %s", printable(string(r.Room)), whyRefused(r.Reason))
	}
	if len(s.Refused) > 0 {
		return exitFailed
	}
	return exitFine
}

// whyRefused says why a room's history was not read, or not to its end.
func whyRefused(reason string) string {
	switch reason {
	case "forbidden":
		return "the homeserver does not show the rest to the bot. Is it in the room, and may it see the room's history?"
	case "not_found":
		return "the homeserver does not know the room any more"
	case "refused":
		return "the homeserver refuses the rest"
	case "page_budget":
		return "it is longer than a million events; the rest was not read"
	case "no_history_wanted":
		return "no history is wanted there (MATRIX_IMPORT_START_DATE or a rule); say how far back with --since"
	case "in_matrix_rooms_exclude", "not_in_matrix_rooms", "skipped_by_rule", "named_by_a_false_tombstone":
		return "it is not imported; matrix-connector rooms shows why"
	}
	return "not read: " + printable(reason)
}

// Between two lines about how far it is, where no terminal shows a bar.
const lineEvery = 10 * time.Second

// progress shows how far a backfill is: a bar on a terminal, lines elsewhere.
type progress struct {
	in      *invocation
	bar     bool
	now     func() time.Time
	running bool // a running connector does the work
	told    time.Time
	drawn   bool
}

func (p *progress) show(s connector.BackfillShown, running bool) {
	if p.told.IsZero() {
		who := "no connector is running: this command reads by itself"
		if running {
			who = "the running connector reads"
		}
		p.in.say("%s. Ctrl-C stops watching; nothing is lost by it", who)
	}
	p.running = running
	if p.bar {
		p.told = p.now()
		_, _ = fmt.Fprintf(p.in.stderr, "\r\x1b[K%s", line(s, true)) // there is nobody else to tell
		p.drawn = true
		return
	}
	if now := p.now(); p.told.IsZero() || now.Sub(p.told) >= lineEvery {
		p.told = now
		p.in.say("%s", line(s, false))
	}
}

// end leaves the line of the bar.
func (p *progress) end() {
	if p.drawn {
		_, _ = fmt.Fprintln(p.in.stderr)
	}
}

// line says how far it is, in at most 79 columns.
func line(s connector.BackfillShown, bar bool) string {
	var b strings.Builder
	if s.Share != nil {
		const width = 20
		if done := int(*s.Share * width); bar {
			fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("#", done), strings.Repeat(".", width-done))
		}
		fmt.Fprintf(&b, "%d%%, ", int(*s.Share*100))
	}
	fmt.Fprintf(&b, "%d of %d rooms, %d events, %d new", s.Ended, s.Rooms, s.Read, s.New)
	switch s.Waits {
	case "":
	case "rate_limited":
		b.WriteString("; waits as the server asks")
	default:
		b.WriteString("; waits for the server")
	}
	return b.String()
}
