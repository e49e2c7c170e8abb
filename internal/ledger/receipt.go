package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

// Send moves the rows of a batch from due to sent under a receipt, which is stored
// as opened. A row that says something newer by now, or is no longer due, stays as
// it is.
func (l *Ledger) Send(ctx context.Context, receipt string, b Batch) error {
	return l.do(ctx, "send", func(ctx context.Context) error {
		if receipt == "" {
			return errors.New("empty receipt")
		}
		if _, err := l.run(ctx, "INSERT INTO ledger_receipt (receipt, created) VALUES (?, ?)", receipt, l.now()); err != nil {
			return err
		}
		const sent = " SET state = 'sent', sent = revision, receipt = ?"
		const asDrafted = " AND state = 'due' AND revision = ?"
		for _, r := range b.Rooms {
			text, err := l.sealText(r.Text, r.Room.ID)
			if err != nil {
				return err
			}
			_, err = l.run(ctx, "UPDATE ledger_room"+sent+", said_name = ?, said_text_sealed = ? WHERE room = ?"+asDrafted, receipt, r.Room.Name, text, r.Room.ID, r.Revision)
			if err != nil {
				return err
			}
		}
		for _, a := range b.Authors {
			_, err := l.run(ctx, "UPDATE ledger_author"+sent+" WHERE user = ?"+asDrafted, receipt, a.User, a.Revision)
			if err != nil {
				return err
			}
		}
		const post = "UPDATE ledger_post" + sent + `, said_reply = ?, said_thread = ?, spot = ?
			WHERE room = (SELECT id FROM ledger_room WHERE room = ?)` + asDrafted
		plain := map[sending][]id.EventID{}
		for i, d := range b.Drafts {
			if !d.ReplyKnown && !d.ThreadKnown {
				to := sending{d.Post.Room, d.Revision}
				plain[to] = append(plain[to], d.Post.ID)
				continue
			}
			// After those that refer to nothing, which may be what it refers to.
			_, err := l.run(ctx, post+" AND event = ?", receipt, d.ReplyKnown, d.ThreadKnown, i+1, d.Post.Room, d.Revision, d.Post.ID)
			if err != nil {
				return err
			}
		}
		for to, events := range plain {
			for events := range slices.Chunk(events, chunk) {
				in, args := list([]any{receipt, false, false, 0, to.room, to.revision}, events)
				if _, err := l.run(ctx, post+" AND event IN "+in, args...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// sending is what posts without relations have in common that are sent together.
type sending struct {
	room     id.RoomID
	revision int64
}

// InFlight gives the oldest receipt with rows that are still sent, and these rows as
// they were sent; ok is false when there is none. Whether they were published before a
// crash only the sink can tell. A post of it that can no longer be composed is
// dead("nothing_to_say"), as in [Ledger.Due]: nobody could ever tell what became of it,
// and the receipt would never close.
func (l *Ledger) InFlight(ctx context.Context) (receipt string, b Batch, ok bool, err error) {
	err = l.each(ctx, func(row dbutil.Scannable) error {
		ok = true
		return row.Scan(&receipt)
	}, `SELECT q.receipt FROM ledger_receipt q WHERE q.receipt IN (
			SELECT receipt FROM ledger_room WHERE state = 'sent'
			UNION SELECT receipt FROM ledger_author WHERE state = 'sent'
			UNION SELECT receipt FROM ledger_post WHERE state = 'sent')
		ORDER BY q.created, q.receipt LIMIT 1`)
	if err != nil || !ok {
		return "", Batch{}, false, wrap("look up receipt", err)
	}
	rooms, err := l.readRooms(ctx, "r.state = 'sent' AND r.receipt = ? ORDER BY r.id", receipt)
	if err != nil {
		return "", Batch{}, false, err
	}
	for _, r := range rooms {
		r.state.Room.Name = r.saidName // what the sink is to be compared with
		if err := l.linkRoom(ctx, &r.state); err != nil {
			return "", Batch{}, false, err
		}
		b.Rooms = append(b.Rooms, r.state)
	}
	if b.Authors, err = l.readAuthors(ctx, "a.state = 'sent' AND a.receipt = ? ORDER BY a.id", receipt); err != nil {
		return "", Batch{}, false, err
	}
	posts, err := l.readPosts(ctx, "p.state = 'sent' AND p.receipt = ? ORDER BY p.spot, p.live DESC, p.place, p.id", receipt)
	if err != nil {
		return "", Batch{}, false, err
	}
	if b.Drafts, err = l.draft(ctx, posts); err != nil {
		return "", Batch{}, false, err
	}
	if len(b.Drafts) < len(posts) {
		if err := l.killSilent(ctx, posts, b.Drafts); err != nil {
			return "", Batch{}, false, err
		}
	}
	return receipt, b, true, nil
}

// Lapse makes everything that is still sent under a receipt due again at once. A row
// that lapses for the [MaxLapses]th time in a row is dead("unconfirmed") instead.
func (l *Ledger) Lapse(ctx context.Context, receipt string) error {
	return l.do(ctx, "lapse", func(ctx context.Context) error {
		for _, table := range []string{tableRoom, tableAuthor, tablePost} {
			_, err := l.run(ctx, fmt.Sprintf(`UPDATE %s SET lapses = lapses + 1, due_at = 0, receipt = '',
				state = CASE WHEN lapses + 1 >= %d THEN 'dead' ELSE 'due' END,
				class = CASE WHEN lapses + 1 >= %[2]d THEN 'permanent' ELSE 'temporary' END,
				reason = CASE WHEN lapses + 1 >= %[2]d THEN '%s' ELSE 'lapsed' END
				WHERE state = 'sent' AND receipt = ?`, table, MaxLapses, deadUnconfirmed), receipt)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
