package ledger

import (
	"context"
	"fmt"
)

// Leave notes that a post which had landed is not on the sink any more. It stays landed,
// with the reason, and is left alone: sending it again would bring back what somebody
// deleted on purpose. [Ledger.Missing] lists it, [Ledger.Requeue] and [Ledger.Reset] send
// it again. What refers to it goes without the relation. An edit is tried, and leads here
// again.
//
// A row that never landed, or says something newer than the Ref does, stays as it is.
func (l *Ledger) Leave(ctx context.Context, r Ref) error {
	return l.do(ctx, "leave alone", func(ctx context.Context) error {
		row, err := l.find(ctx, r)
		if err != nil {
			return err
		}
		switch {
		case r.Kind != KindPost:
			return fmt.Errorf("of a %s: %w", r.Kind, ErrTransition)
		case row.state == StateDead, row.landed == 0, r.Revision != 0 && r.Revision < row.revision:
			return nil
		case row.state == StateSent && r.Revision == 0:
			return nil // it is on its way, and tells by itself
		}
		_, err = l.run(ctx, `UPDATE ledger_post SET state = 'landed', landed = revision, due_at = 0, attempts = 0, lapses = 0,
			class = '', reason = ?, receipt = '' WHERE id = ?`, deletedThere, row.id)
		return err
	})
}

// requeueLeft makes a post that was left alone due again, as if it had never landed.
func (l *Ledger) requeueLeft(ctx context.Context, row row) error {
	n, err := l.exec(ctx, `UPDATE ledger_post SET state = 'due', landed = 0, due_at = 0, reason = ''
		WHERE id = ? AND state = 'landed' AND reason = ?`, row.id, deletedThere)
	if err == nil && n == 0 {
		err = fmt.Errorf("from %s: %w", row.state, ErrTransition)
	}
	return err
}
