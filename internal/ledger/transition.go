package ledger

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// Class is the class of a failure (temporary, rate_limited, unauthorized, permanent,
// …). The ledger stores it and gives it back; it decides nothing.
type Class string

// Land notes that the sink holds a revision of a row: sent (or due, after an
// amendment) becomes landed. When the row says something newer by now it stays due;
// when it was given up meanwhile (a room rule), it stays dead and the revision is noted.
// Posts that went without a relation to a post that lands get a new revision.
func (l *Ledger) Land(ctx context.Context, r Ref, revision int64) error {
	return l.do(ctx, "land", func(ctx context.Context) error { return l.land(ctx, r, revision) })
}

func (l *Ledger) land(ctx context.Context, r Ref, revision int64) error {
	row, err := l.find(ctx, r)
	if err != nil {
		return err
	}
	if revision < 1 || revision > row.revision {
		return fmt.Errorf("revision %d of %d: %w", revision, row.revision, ErrTransition)
	}
	switch row.state {
	case StateLanded:
		return nil
	case StateDead:
		_, err := l.run(ctx, "UPDATE "+row.table+" SET landed = max(landed, ?) WHERE id = ?", revision, row.id)
		return err
	case StateSent, StateDue:
	case StateIdle:
		return fmt.Errorf("from %s: %w", row.state, ErrTransition)
	}
	state := row.state
	if revision == row.revision {
		state = StateLanded
	}
	// A post that got a reaction on its way stays calm from now on; anything else that is
	// newer is due at once, also where something had failed that landed after all.
	_, err = l.run(ctx, "UPDATE "+row.table+` SET state = ?1, landed = max(landed, ?2), due_at = CASE WHEN ?1 = 'due' AND due_at > 0 AND attempts = 0 THEN ?4 ELSE 0 END,
		attempts = 0, lapses = 0, class = '', reason = '', receipt = CASE ?1 WHEN 'landed' THEN '' ELSE receipt END WHERE id = ?3`, state, revision, row.id, l.now()+l.calm.Milliseconds())
	if err != nil {
		return err
	}
	switch row.table {
	case tableRoom:
		// The name that was sent, or, where nothing was sent for it, the present one.
		_, err = l.run(ctx, `UPDATE ledger_room SET landed_name = CASE WHEN sent = ?1 THEN said_name ELSE name END,
			landed_text_sealed = CASE WHEN sent = ?1 THEN said_text_sealed ELSE landed_text_sealed END WHERE id = ?2`, revision, row.id)
		if err == nil && row.landed == 0 {
			err = l.raiseReplacement(ctx, r.Room)
		}
	case tablePost:
		if _, err := l.run(ctx, "UPDATE ledger_post SET landed_at = ? WHERE id = ?", l.now(), row.id); err != nil {
			return err
		}
		if row.state == StateDue && state == StateLanded {
			if err := l.saidByAmendment(ctx, row); err != nil {
				return err
			}
		}
		if row.redacted == 2 {
			// The notice has landed, and now goes with everything else.
			_, err := l.run(ctx, "UPDATE ledger_post SET revision = revision + 1, state = 'due' WHERE id = ? AND deleted = 0 AND state = 'landed'", row.id)
			return err
		}
		err = l.releaseReferrers(ctx, row.room, []id.EventID{r.Event})
	}
	return err
}

// saidByAmendment notes the relations of a post that landed without Send. Without it two
// messages that refer to each other would raise one another for ever.
func (l *Ledger) saidByAmendment(ctx context.Context, row row) error {
	const known = "EXISTS (SELECT 1 FROM ledger_post t WHERE t.room = ledger_post.room AND t.landed > 0 AND t.redacted < 2 AND t.reason <> '" + deletedThere + "' AND t.event = ledger_post."
	_, err := l.run(ctx, "UPDATE ledger_post SET said_reply = "+known+"reply), said_thread = "+known+"thread AND t.thread = '') WHERE id = ?", row.id)
	return err
}

// Defer makes a row due again later, by the retry curve (see [Delay]), and notes why.
// reason is a constant phrase, never text of a message.
func (l *Ledger) Defer(ctx context.Context, r Ref, class Class, reason string) error {
	return l.do(ctx, "defer", func(ctx context.Context) error {
		row, err := l.outcome(ctx, r)
		if err != nil || row == nil {
			return err
		}
		return l.deferRow(ctx, *row, class, reason)
	})
}

func (l *Ledger) deferRow(ctx context.Context, row row, class Class, reason string) error {
	_, err := l.run(ctx, "UPDATE "+row.table+" SET state = 'due', attempts = attempts + 1, due_at = ?, class = ?, reason = ?, receipt = '' WHERE id = ?",
		l.now()+Delay(row.attempts+1).Milliseconds(), class, reason, row.id)
	return err
}

// Kill gives a row up: dead, visible, until an operator requeues it.
func (l *Ledger) Kill(ctx context.Context, r Ref, reason string) error {
	return l.do(ctx, "kill", func(ctx context.Context) error {
		row, err := l.outcome(ctx, r)
		if err != nil || row == nil {
			return err
		}
		_, err = l.run(ctx, "UPDATE "+row.table+" SET state = 'dead', due_at = 0, class = 'permanent', reason = ?, receipt = '' WHERE id = ?", reason, row.id)
		return err
	})
}

// outcome looks up the row that failed. It gives nil when the failure is about an
// older revision than the row has by now, or when the row was given up meanwhile.
func (l *Ledger) outcome(ctx context.Context, r Ref) (*row, error) {
	row, err := l.find(ctx, r)
	if err != nil {
		return nil, err
	}
	if row.state == StateDead {
		return nil, nil
	}
	if row.state != StateSent && row.state != StateDue {
		return nil, fmt.Errorf("from %s: %w", row.state, ErrTransition)
	}
	if r.Revision != 0 && r.Revision < row.revision {
		return nil, nil
	}
	return &row, nil
}

// MissingEnd notes that the sink refused a post because an end of its relations is
// missing there: its room and author are due again as if they had never landed, and so is
// the post, by the retry curve. A target that it refers to is not: whoever finds that it is
// gone says so with [Ledger.Leave].
// Of a room the ends are its own Channel and that of the room that it replaces.
func (l *Ledger) MissingEnd(ctx context.Context, r Ref) error {
	return l.do(ctx, "note missing end", func(ctx context.Context) error {
		if r.Kind == KindRoom {
			return l.missingRoom(ctx, r)
		}
		if r.Kind != KindPost {
			return fmt.Errorf("of a %s: %w", r.Kind, ErrTransition)
		}
		row, err := l.find(ctx, r)
		if err != nil {
			return err
		}
		if row.state == StateDead {
			return nil
		}
		if row.state != StateSent && row.state != StateDue {
			return fmt.Errorf("from %s: %w", row.state, ErrTransition)
		}
		if err := l.forget(ctx, tableRoom, "id = ?", row.room); err != nil {
			return err
		}
		if err := l.forget(ctx, tableAuthor, "id = ?", row.author); err != nil {
			return err
		}
		if r.Revision != 0 && r.Revision < row.revision {
			return nil
		}
		return l.deferRow(ctx, row, "temporary", "missing_end")
	})
}

func (l *Ledger) missingRoom(ctx context.Context, r Ref) error {
	row, err := l.outcome(ctx, r)
	if err != nil || row == nil {
		return err
	}
	if err := l.forget(ctx, tableRoom, "id = ?1 OR room = (SELECT predecessor FROM ledger_room WHERE id = ?1)", row.id); err != nil {
		return err
	}
	return l.deferRow(ctx, *row, "temporary", "missing_end")
}

// forget makes a landed row due again as if it had never landed; one that is sent or
// due already only loses what had landed.
func (l *Ledger) forget(ctx context.Context, table, where string, args ...any) error {
	_, err := l.run(ctx, "UPDATE "+table+` SET landed = 0, due_at = CASE state WHEN 'landed' THEN 0 ELSE due_at END,
		state = CASE state WHEN 'landed' THEN 'due' ELSE state END WHERE `+where, args...)
	return err
}

// Requeue makes a dead row due again, a post that was left alone as well, or a lost or
// refused attachment wanted.
func (l *Ledger) Requeue(ctx context.Context, r Ref) error {
	return l.do(ctx, "requeue", func(ctx context.Context) error {
		if r.Kind == KindAttachment {
			return l.requeueAttachment(ctx, r)
		}
		return l.requeueRow(ctx, r)
	})
}

// requeueRow makes a dead row due. What was deleted on the platform is made there anew, as
// what never landed.
func (l *Ledger) requeueRow(ctx context.Context, r Ref) error {
	row, err := l.find(ctx, r)
	if err != nil {
		return err
	}
	if r.Kind == KindPost && row.state == StateLanded {
		return l.requeueLeft(ctx, row)
	}
	if row.state != StateDead {
		return fmt.Errorf("from %s: %w", row.state, ErrTransition)
	}
	_, err = l.run(ctx, "UPDATE "+row.table+" SET state = 'due', due_at = 0, attempts = 0, lapses = 0, class = '', reason = '' WHERE id = ?", row.id)
	return err
}
