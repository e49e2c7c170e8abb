package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Redactions says what becomes of what was redacted (closed set).
type Redactions int

// The policies.
const (
	// RedactionsMask erases it here and has a notice said in its place.
	RedactionsMask Redactions = iota
	// RedactionsDelete erases it here and has its object deleted.
	RedactionsDelete
	// RedactionsKeep keeps it; the post says that it was redacted.
	RedactionsKeep
)

// redactionType is the type of a redaction, wherever rows of it are looked for.
const redactionType = "'m.room.redaction'"

// reasonRedacted is why an attachment is refused whose message was redacted.
const reasonRedacted = "redacted"

// withBecause adds to what arrived the redactions that the homeserver shows with it:
// where a gap or the history is read, they may be all that is left to learn of it.
func withBecause(rows []*eventRow) []*eventRow {
	out := rows
	for _, row := range rows {
		if row.state != EventRead {
			continue
		}
		redaction, ok := row.event.Because()
		if !ok || slices.ContainsFunc(out, func(r *eventRow) bool { return r.event.ID == redaction.ID }) {
			continue
		}
		if len(out) == len(rows) {
			out = slices.Clone(rows)
		}
		out = append(out, &eventRow{event: redaction, state: EventRead})
	}
	return out
}

// say composes what a message says, as the policy of its room has it: nothing of what was
// taken back, unless that is kept.
func (l *Ledger) say(policy Redactions, events []timeline.Event) (timeline.Post, bool) {
	post, says := timeline.Compose(events)
	if policy != RedactionsKeep {
		post = post.Mask()
	}
	return post, says
}

// redact erases what valid redactions take back, of what arrived or what was there: the
// event itself, of a message also its edits, its files and what waits for its key. In
// whatever order they arrive, the same is left.
func (r *recorder) redact(ctx context.Context, room *roomRow, arrived []*eventRow, fresh *freshEvents) error {
	policy := r.policy(room.state.Room)
	if policy == RedactionsKeep {
		return nil
	}
	ids := make([]id.EventID, 0, len(arrived))
	for _, row := range arrived {
		ids = append(ids, row.event.ID)
		if item, ok := fresh.items[row.event.ID]; ok && (item.Class == timeline.ClassRedaction || item.Class == timeline.ClassEdit) {
			ids = append(ids, item.Target)
		}
	}
	slices.Sort(ids) // the same input takes the same way
	ids = slices.Compact(ids)
	redactions, err := r.redactionsOf(ctx, room.id, ids)
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(event id.EventID) bool { return redactions[event] == nil && !fresh.stripped[event] })
	if len(ids) == 0 {
		return nil
	}
	targets, err := r.storedEvents(ctx, room, ids)
	if err != nil {
		return err
	}
	for _, event := range ids {
		row := targets[event]
		if row == nil || !fresh.stripped[event] && !slices.ContainsFunc(redactions[event], func(r eventRow) bool { return r.event.Redacted(row.event) }) {
			continue
		}
		if err := r.takeBackEvent(ctx, room, row, policy, fresh); err != nil {
			return err
		}
	}
	return nil
}

// takeBackEvent erases one event that was redacted, and what belongs to it.
func (r *recorder) takeBackEvent(ctx context.Context, room *roomRow, row *eventRow, policy Redactions, fresh *freshEvents) error {
	e := &row.event
	var err error
	if !row.erased {
		if err = r.erase(ctx, row, fresh); err != nil {
			return err
		}
	}
	if row.state != EventRead || e.Target != e.ID {
		return nil
	}
	if err = r.eraseEdits(ctx, room, e.ID, fresh); err != nil {
		return err
	}
	fresh.target(e.ID)
	fresh.masked[e.ID], err = r.maskPost(ctx, room, e.ID, policy)
	return err
}

// erase takes the content out of a row. Its ids, type, times and names stay. An event
// that is no message of its own leaves the one that it belonged to.
func (r *recorder) erase(ctx context.Context, row *eventRow, fresh *freshEvents) error {
	e := &row.event
	switch {
	case row.state == EventUndecrypted && e.Alone():
		// A message, or it would relate to another. It will not be read, whatever key comes.
		row.state, e.Target = EventRead, e.ID
		e.Content = timeline.OnlyRelation(e.Content)
		fresh.byID[e.ID] = row
	case row.state == EventUndecrypted:
		row.state = EventRead
	case row.state == EventRead && e.Target != e.ID:
		if e.Target != "" {
			fresh.target(e.Target)
			if strings.Contains(annotations, "'"+e.Type+"'") {
				fresh.less[e.Target] = true
			} else {
				fresh.lost[e.Target] = true
			}
		}
		e.Target = ""
	}
	row.erased, row.dropped, e.Erased = true, false, true
	names, err := r.sealNames(row)
	if err != nil {
		return err
	}
	_, err = r.run(ctx, `UPDATE ledger_event SET erased = 1, dropped = 0, target = ?, state = ?, reason = CASE ? WHEN 'read' THEN '' ELSE reason END,
		cause = '', session = '', sender_key = '', waiting = 0, body_sealed = ? WHERE id = ?`, e.Target, row.state, row.state, names, row.id)
	if err != nil {
		return fmt.Errorf("erase event: %w", err)
	}
	_, err = r.run(ctx, "DELETE FROM ledger_content WHERE event = ?", row.id)
	return wrap("erase content", err)
}

// eraseEdits erases the edits of a redacted message, whoever sent them.
func (r *recorder) eraseEdits(ctx context.Context, room *roomRow, message id.EventID, fresh *freshEvents) error {
	var edits []*eventRow
	err := r.each(ctx, func(row dbutil.Scannable) error {
		e, err := r.scanEvent(row)
		if err != nil && e.id == 0 {
			return err
		}
		edits = append(edits, &e)
		return nil
	}, "SELECT "+eventColumns+` FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room WHERE e.room = ? AND e.target = ?
		AND e.target <> '' AND e.target <> e.event AND e.state = 'read' AND e.erased = 0 AND e.type <> `+redactionType+" AND e.type NOT IN "+annotations+
		" ORDER BY e.id", room.id, message)
	if err != nil {
		return fmt.Errorf("read edits: %w", err)
	}
	for _, e := range edits {
		if err := r.erase(ctx, e, fresh); err != nil {
			return err
		}
	}
	return nil
}

// maskPost makes a post that exists say nothing but that it was taken back, and withdraws
// its files. One that was given up is due as well: the sink may hold its text. It reports
// whether there was such a post that said more.
func (r *recorder) maskPost(ctx context.Context, room *roomRow, message id.EventID, policy Redactions) (masked bool, err error) {
	var post int64
	err = r.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&post) },
		"SELECT id FROM ledger_post WHERE room = ? AND event = ? AND redacted = 0", room.id, message)
	if err != nil || post == 0 {
		return false, wrap("look up post", err)
	}
	_, err = r.run(ctx, `UPDATE ledger_post SET redacted = ?, dropped = 0, hold_until = 0,
		state = CASE WHEN state = 'dead' AND reason <> ? THEN 'due' ELSE state END WHERE id = ?`, redactedAs(policy), deadRoomRule, post)
	if err != nil {
		return false, fmt.Errorf("mask post: %w", err)
	}
	if err := r.withdraw(ctx, post, nil); err != nil {
		return false, err
	}
	return true, r.raise(ctx, tablePost, post)
}

// redactedAs is what ledger_post.redacted holds under a policy.
func redactedAs(policy Redactions) int {
	if policy == RedactionsDelete {
		return 2
	}
	return 1
}

// withdraw takes files from a post, but those that it still has. What may be on the
// platform is to be removed there: until then its name stays, to find it by.
func (r *recorder) withdraw(ctx context.Context, post int64, still []timeline.File) error {
	rows, err := r.readAttachments(ctx, "WHERE t.post = ?", post)
	if err != nil {
		return err
	}
	for _, row := range rows {
		a := row.value
		if slices.ContainsFunc(still, func(f timeline.File) bool { return f.Index == a.File.Index }) || row.reason == reasonRedacted {
			continue
		}
		there := row.state == AttachmentWanted || row.state == AttachmentFetched || row.state == AttachmentAttached
		left := announced{Index: a.File.Index}
		if there {
			left.Name = a.File.Name
		}
		sealed, err := r.close(left, filePlace("file", a.Room, a.Event))
		if err != nil {
			return err
		}
		_, err = r.run(ctx, `UPDATE ledger_attachment SET state = 'refused', reason = ?, withdrawn = ?, file_sealed = ?, fetched_sealed = NULL,
			spool = '', bytes = 0, due_at = 0, attempts = 0, class = 'permanent' WHERE id = ?`, reasonRedacted, there, sealed, row.id)
		if err != nil {
			return fmt.Errorf("withdraw attachment: %w", err)
		}
		if a.Spool != "" {
			// What a crash leaves is swept at the next start: no row names it.
			r.store.AfterCommit(ctx, func() {
				if err := r.store.Spool().Remove(a.Spool); err != nil {
					r.log.WarnContext(ctx, "a spool file of a redacted message is left until the next start", slog.Any("err", err))
				}
			})
		}
	}
	return nil
}

// redactionsOf reads the redactions of events, by the event, whoever sent them. The content
// of some may be dropped.
func (l *Ledger) redactionsOf(ctx context.Context, room int64, ids []id.EventID) (map[id.EventID][]eventRow, error) {
	found := map[id.EventID][]eventRow{}
	for ids := range slices.Chunk(ids, chunk) {
		in, args := list([]any{room}, ids)
		err := l.each(ctx, func(row dbutil.Scannable) error {
			e, err := l.scanEvent(row)
			if err != nil && e.id == 0 {
				return err
			}
			if err == nil && !e.bare {
				found[e.event.Target] = append(found[e.event.Target], e)
			}
			return nil
		}, "SELECT "+eventColumns+` FROM ledger_event e CROSS JOIN ledger_room r ON r.id = e.room WHERE e.room = ? AND e.state = 'read'
			AND e.type = `+redactionType+" AND e.target <> '' AND e.target <> e.event AND e.target IN "+in+" ORDER BY e.id", args...)
		if err != nil {
			return nil, fmt.Errorf("read redactions: %w", err)
		}
	}
	return found, nil
}

// Withdrawn lists files that may be on the platform and that their messages have lost,
// whose time has come: to be removed there.
func (l *Ledger) Withdrawn(ctx context.Context, limit int) ([]timeline.Attachment, error) {
	return values(l.readAttachments(ctx, "WHERE t.withdrawn = 1 AND t.due_at <= ? ORDER BY t.due_at, t.id LIMIT ?+0", l.now(), limit))
}

// Removed notes that the sink does not hold a withdrawn file any more: its name goes, too.
func (l *Ledger) Removed(ctx context.Context, a timeline.Attachment) error {
	return l.do(ctx, "note removed attachment", func(ctx context.Context) error {
		sealed, err := l.close(announced{Index: a.File.Index}, filePlace("file", a.Room, a.Event))
		if err != nil {
			return err
		}
		_, err = l.run(ctx, "UPDATE ledger_attachment SET withdrawn = 0, file_sealed = ?, due_at = 0, attempts = 0 WHERE withdrawn = 1 AND idx = ? AND post = "+
			postOf, sealed, a.File.Index, a.Room, a.Event)
		return err
	})
}

// DeferRemoval makes a withdrawn file wait by the retry curve.
func (l *Ledger) DeferRemoval(ctx context.Context, a timeline.Attachment) error {
	return l.do(ctx, "defer removal", func(ctx context.Context) error {
		var rowID int64
		var attempts int
		err := l.each(ctx, func(row dbutil.Scannable) error { return row.Scan(&rowID, &attempts) },
			"SELECT id, attempts FROM ledger_attachment WHERE withdrawn = 1 AND idx = ? AND post = "+postOf, a.File.Index, a.Room, a.Event)
		if err != nil || rowID == 0 {
			return err
		}
		_, err = l.run(ctx, "UPDATE ledger_attachment SET attempts = ?, due_at = ? WHERE id = ?", attempts+1, l.now()+Delay(attempts+1).Milliseconds(), rowID)
		return err
	})
}

const postOf = "(SELECT p.id FROM ledger_room r CROSS JOIN ledger_post p ON p.room = r.id WHERE r.room = ? AND p.event = ?)"

// Deleted notes that the object of a redacted message is gone from the sink: due becomes
// landed, and stays so. When more became known meanwhile it stays due.
func (l *Ledger) Deleted(ctx context.Context, post Ref) error {
	return l.do(ctx, "note deletion", func(ctx context.Context) error {
		_, err := l.run(ctx, `UPDATE ledger_post SET deleted = 1, landed = max(landed, ?1), landed_at = ?2, said_reply = 0, said_thread = 0,
			state = CASE WHEN revision = ?1 AND state = 'due' THEN 'landed' ELSE state END, due_at = 0, attempts = 0, lapses = 0, class = '', reason = ''
			WHERE redacted = 2 AND revision >= ?1 AND id = (SELECT p.id FROM ledger_room r CROSS JOIN ledger_post p ON p.room = r.id WHERE r.room = ?3 AND p.event = ?4)`,
			post.Revision, l.now(), post.Room, post.Event)
		return err
	})
}
