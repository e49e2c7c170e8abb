package ledger

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Rooms name each other: a tombstone names the room that follows, the first event of a
// room the one that was before, a room its space and a space its rooms. One such word is
// a claim, which anybody may make in a room of their own; two that agree are a link.
// Links are never stored. They are looked up whenever a room is said, and whoever changes
// one end, or lets it land, raises the other.

// linkRoom looks up the rooms that belong to a room.
func (l *Ledger) linkRoom(ctx context.Context, s *timeline.RoomState) error {
	room := s.Room
	s.Old, s.New, s.Spaces = nil, nil, nil
	if room.Predecessor != "" {
		old, err := l.findRoom(ctx, room.Predecessor)
		if err != nil {
			return err
		}
		if old != nil && old.state.Room.Successor == room.ID && room.Predecessor != room.ID {
			s.Old = old.linked()
		}
	}
	if room.Successor != "" {
		next, err := l.findRoom(ctx, room.Successor)
		if err != nil {
			return err
		}
		if next != nil && next.state.Room.Predecessor == room.ID && room.Successor != room.ID {
			s.New = next.linked()
		}
	}
	for _, parent := range room.Parents.All() {
		space, err := l.findRoom(ctx, parent)
		if err != nil {
			return err
		}
		if space != nil && space.state.Room.Type == typeSpace && space.state.Room.Children.Has(room.ID) {
			s.Spaces = append(s.Spaces, *space.linked())
		}
	}
	return nil
}

// typeSpace is the type of rooms that hold others (Matrix C-S API, "Spaces").
const typeSpace = "m.space"

func (r *roomRow) linked() *timeline.LinkedRoom {
	return &timeline.LinkedRoom{ID: r.state.Room.ID, Key: r.state.Key, Name: r.state.Room.Name, Landed: r.state.Landed > 0}
}

// raiseLinked raises the rooms whose links change with what a room says of itself.
func (r *recorder) raiseLinked(ctx context.Context, old, now timeline.Room) error {
	var others []id.RoomID
	if old.Successor != now.Successor {
		others = append(others, old.Successor, now.Successor)
	}
	if old.Predecessor != now.Predecessor {
		others = append(others, old.Predecessor, now.Predecessor)
	}
	if old.Type != now.Type || old.Name != now.Name || old.Children != now.Children {
		for _, child := range append(old.Children.All(), now.Children.All()...) {
			if old.Type == now.Type && old.Name == now.Name && old.Children.Has(child) == now.Children.Has(child) {
				continue
			}
			others = append(others, child)
		}
	}
	slices.Sort(others)
	for _, other := range slices.Compact(others) {
		if other == "" || other == now.ID {
			continue
		}
		row, ok := r.rooms[other]
		if !ok {
			var err error
			if row, err = r.findRoom(ctx, other); err != nil {
				return err
			}
		}
		// Who does not name the room has no link to it.
		if row == nil || !names(row.state.Room, now.ID) {
			continue
		}
		row.state.Revision++
		if err := r.raise(ctx, tableRoom, row.id); err != nil {
			return err
		}
	}
	return nil
}

func names(room timeline.Room, other id.RoomID) bool {
	return room.Predecessor == other || room.Successor == other || room.Parents.Has(other)
}

// raiseReplacement raises the room that replaces one whose Channel has just landed: the
// relation between the two can go.
func (l *Ledger) raiseReplacement(ctx context.Context, old id.RoomID) error {
	row, err := l.findRoom(ctx, old)
	if err != nil || row == nil || row.state.Room.Successor == "" {
		return err
	}
	next, err := l.findRoom(ctx, row.state.Room.Successor)
	if err != nil || next == nil || next.state.Room.Predecessor != old || next.id == row.id {
		return err
	}
	return l.raise(ctx, tableRoom, next.id)
}

// Revised notes what the sink holds as the words of a room's Channel after an amendment,
// or of one that was there before us: name is the room's name in it, text the digest of
// the description, each as we wrote it. The revision has landed.
func (l *Ledger) Revised(ctx context.Context, r Ref, revision int64, name, text string) error {
	return l.do(ctx, "note revision of a Channel", func(ctx context.Context) error {
		if err := l.land(ctx, r, revision); err != nil {
			return err
		}
		sealed, err := l.sealText(text, r.Room)
		if err != nil {
			return err
		}
		_, err = l.run(ctx, "UPDATE ledger_room SET landed_name = ?, landed_text_sealed = ? WHERE room = ?", name, sealed, r.Room)
		return err
	})
}
