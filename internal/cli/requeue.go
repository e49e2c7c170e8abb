package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// requeueCommand tries once more what is missing.
type requeueCommand struct {
	Room   string   `placeholder:"ROOM"`
	Event  string   `placeholder:"EVENT"`
	Reason []string `placeholder:"REASON"`
	All    bool
}

func (c *requeueCommand) run(ctx context.Context, in *invocation) int {
	chosen := c.Room != "" || c.Event != "" || len(c.Reason) > 0
	if chosen == c.All {
		in.complain("it is not said what to try once more", "give --room, --event or --reason, or --all; matrix-connector missing lists what there is")
		return exitUsage
	}
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	choice := connector.Choice{Event: id.EventID(c.Event), Reasons: c.Reason}
	if c.Room != "" {
		trial, err := connector.OpenTrial(ctx, settings, time.Now())
		if err != nil {
			return in.failOf(err, settings)
		}
		room, err := trial.Find(ctx, c.Room)
		_ = trial.Close() // it was only read
		if err != nil {
			return in.failOf(err, settings)
		}
		choice.Room = room.ID
	}
	n, err := connector.Requeue(ctx, in.aside(settings), choice)
	if err != nil {
		return in.failOf(err, settings)
	}
	if _, err := fmt.Fprintln(in.stdout, requeued(n)); err != nil {
		return in.fail(fmt.Errorf("write what was done: %w", err), "")
	}
	return exitFine
}

// requeued says what is tried once more.
func requeued(n connector.Requeued) string {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{n.Posts, "message", "messages"},
		{n.Rooms, "room", "rooms"},
		{n.Authors, "author", "authors"},
		{n.Attachments, "attachment", "attachments"},
		{n.Events, "event", "events"},
		{n.Gaps, "gap", "gaps"},
		{n.Targets, "link target", "link targets"},
	} {
		switch p.n {
		case 0:
		case 1:
			parts = append(parts, "1 "+p.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.many))
		}
	}
	text := "Nothing was found to be tried once more."
	if len(parts) > 0 {
		text = "Tried once more: " + strings.Join(parts, ", ") + "."
	}
	if n.Left > 0 {
		text += fmt.Sprintf(" Left alone: %d that a second try does not help.", n.Left)
	}
	return text
}
