package ledger

import (
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// askedFor reports which of the rows that the start date would keep out were asked for
// as targets.
func (r *recorder) askedFor(ctx context.Context, room *roomRow, rows []*eventRow) (map[id.EventID]bool, error) {
	var old []id.EventID
	for _, row := range rows {
		if r.beforeStart(room, row.event.Sent) {
			old = append(old, row.event.ID)
		}
	}
	asked := map[id.EventID]bool{}
	for ids := range slices.Chunk(old, chunk) {
		in, args := list([]any{room.id}, ids)
		err := r.each(ctx, func(row dbutil.Scannable) error {
			var event id.EventID
			err := row.Scan(&event)
			asked[event] = true
			return err
		}, "SELECT event FROM ledger_target WHERE room = ? AND event IN "+in, args...)
		if err != nil {
			return nil, fmt.Errorf("look up targets: %w", err)
		}
	}
	return asked, nil
}

// meetTargets notes that targets have arrived, in whatever state.
func (r *recorder) meetTargets(ctx context.Context, room *roomRow, ids []id.EventID) error {
	for ids := range slices.Chunk(ids, chunk) {
		in, args := list([]any{room.id}, ids)
		_, err := r.run(ctx, "UPDATE ledger_target SET state = 'met', class = '', reason = '' WHERE room = ? AND state <> 'met' AND event IN "+in, args...)
		if err != nil {
			return fmt.Errorf("meet targets: %w", err)
		}
	}
	return nil
}

// wantTargets asks for what the fresh events refer to and the ledger does not hold, or
// holds without its content because of the start date.
func (r *recorder) wantTargets(ctx context.Context, room *roomRow, fresh *freshEvents) error {
	refs := slices.Clone(fresh.refs)
	slices.Sort(refs)
	refs = slices.DeleteFunc(slices.Compact(refs), func(ref id.EventID) bool { return ref == "" || fresh.byID[ref] != nil })
	for ids := range slices.Chunk(refs, chunk) {
		held := map[id.EventID]bool{}
		in, args := list([]any{room.id}, ids)
		err := r.each(ctx, func(row dbutil.Scannable) error {
			var event id.EventID
			err := row.Scan(&event)
			held[event] = true
			return err
		}, "SELECT event FROM ledger_event WHERE room = ? AND NOT (state = 'skipped' AND reason = '"+skippedBefore+"') AND event IN "+in, args...)
		if err != nil {
			return fmt.Errorf("look up targets: %w", err)
		}
		for _, event := range ids {
			if held[event] {
				continue
			}
			if _, err := r.run(ctx, "INSERT INTO ledger_target (room, event) VALUES (?, ?) ON CONFLICT DO NOTHING", room.id, event); err != nil {
				return fmt.Errorf("want target: %w", err)
			}
		}
	}
	return nil
}

// recordMissing notes that the homeserver does not show a target: what refers to it
// goes without the relation.
func (r *recorder) recordMissing(ctx context.Context, m timeline.MissingEvent) error {
	room, err := r.room(ctx, m.Room)
	if err != nil {
		return err
	}
	if dropped, err := r.missingContent(ctx, room, m.ID); err != nil || dropped {
		return err
	}
	_, err = r.run(ctx, `INSERT INTO ledger_target (room, event, state, reason) VALUES (?1, ?2, 'missing', ?3)
		ON CONFLICT DO UPDATE SET state = 'missing', reason = ?3, class = '' WHERE state = 'wanted'`, room.id, m.ID, m.Reason)
	if err != nil {
		return fmt.Errorf("note missing target: %w", err)
	}
	return nil
}
