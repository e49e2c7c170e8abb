package ledger

import (
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// annotations are the types of events that only say something about another one; see
// [timeline.Item.Annotates].
const annotations = `('m.reaction', 'm.poll.response', 'm.poll.end', 'org.matrix.msc3381.poll.response', 'org.matrix.msc3381.poll.end')`

// raiseLater is raise for a post that got nothing but reactions or votes: what has landed
// is due after [Config.Calm], and what comes until then is the same change. What is due
// already stays due when it was.
func (l *Ledger) raiseLater(ctx context.Context, post int64) error {
	_, err := l.run(ctx, `UPDATE ledger_post SET revision = revision + 1,
		due_at = CASE WHEN state IN ('landed', 'sent') THEN ?2 ELSE due_at END,
		attempts = CASE WHEN state IN ('landed', 'sent') THEN 0 ELSE attempts END,
		lapses = CASE WHEN state IN ('landed', 'sent') THEN 0 ELSE lapses END,
		receipt = '', state = CASE state WHEN 'dead' THEN 'dead' ELSE 'due' END WHERE id = ?1`, post, l.now()+l.calm.Milliseconds())
	return wrap("raise revision", err)
}

// crowd is how many events a message has when it is no longer composed for each reaction:
// to read all of them for each new one takes more time than a change that changes
// nothing.
const crowd = 200

// raiseCrowds raises the posts that have a crowd of events and got nothing but reactions
// or votes, and gives the other targets.
func (r *recorder) raiseCrowds(ctx context.Context, room *roomRow, targets []id.EventID, posts map[id.EventID]storedPost, fresh *freshEvents) ([]id.EventID, error) {
	var quiet []id.EventID
	for _, target := range targets {
		if _, exists := posts[target]; exists && !fresh.told[target] {
			quiet = append(quiet, target)
		}
	}
	if len(quiet) == 0 {
		return targets, nil
	}
	raised := map[id.EventID]bool{}
	in, args := list([]any{room.id}, quiet)
	err := r.each(ctx, func(row dbutil.Scannable) error {
		var target id.EventID
		err := row.Scan(&target)
		raised[target] = true
		return err
	}, "SELECT target FROM ledger_event WHERE room = ? AND target <> '' AND target <> event AND target IN "+in+" GROUP BY target HAVING count(*) > ?", append(args, crowd)...)
	if err != nil {
		return nil, fmt.Errorf("count events of posts: %w", err)
	}
	var rest []id.EventID
	for _, target := range targets {
		if !raised[target] {
			rest = append(rest, target)
			continue
		}
		if err := r.raiseLater(ctx, posts[target].id); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// followRedactions adds to what changed the messages that redacted events belong to: who
// takes a reaction back changes the message under which it stood.
func (r *recorder) followRedactions(ctx context.Context, room *roomRow, fresh *freshEvents) error {
	var redacted []id.EventID
	for _, item := range fresh.items {
		if item.Class == timeline.ClassRedaction {
			redacted = append(redacted, item.Target)
		}
	}
	slices.Sort(redacted) // the same input takes the same way
	for ids := range slices.Chunk(redacted, chunk) {
		in, args := list([]any{room.id}, ids)
		err := r.each(ctx, func(row dbutil.Scannable) error {
			var target id.EventID
			err := row.Scan(&target)
			fresh.target(target)
			fresh.taken[target] = true
			return err
		}, "SELECT target FROM ledger_event WHERE room = ? AND state = 'read' AND target <> '' AND target <> event AND event IN "+in+" ORDER BY id", args...)
		if err != nil {
			return fmt.Errorf("look up redacted events: %w", err)
		}
	}
	return nil
}

// addRedactions adds to the events of messages the redactions of those events.
func (l *Ledger) addRedactions(ctx context.Context, room int64, targets []id.EventID, events map[id.EventID][]timeline.Event) error {
	owner := map[id.EventID]id.EventID{}
	var ids []id.EventID
	for _, target := range targets {
		for _, e := range events[target] {
			if e.ID != target {
				owner[e.ID] = target
				ids = append(ids, e.ID)
			}
		}
	}
	redactions, err := l.redactionsOf(ctx, room, ids)
	if err != nil {
		return err
	}
	for _, redacted := range ids {
		for _, row := range redactions[redacted] {
			if !row.dropped {
				events[owner[redacted]] = append(events[owner[redacted]], row.event)
			}
		}
	}
	return nil
}
