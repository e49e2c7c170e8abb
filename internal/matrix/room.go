package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// rooms is what the account knows of its rooms.
type rooms struct{ db *dbutil.Database }

// state is the content of a state event; nil when none is stored.
func (r rooms) state(ctx context.Context, room id.RoomID, kind, key string) (json.RawMessage, error) {
	var content string
	err := r.db.QueryRow(ctx, "SELECT content FROM matrix_state WHERE room_id=$1 AND type=$2 AND state_key=$3",
		room, kind, key).Scan(&content)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read state %s of room: %w", kind, err)
	}
	return json.RawMessage(content), nil
}

// encrypted reports whether the room is, or has ever been, encrypted.
func (r rooms) encrypted(ctx context.Context, room id.RoomID) (bool, error) {
	var on bool
	err := r.db.QueryRow(ctx, "SELECT encrypted FROM matrix_room WHERE room_id=$1", room).Scan(&on)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read encryption of room: %w", err)
	}
	return on, nil
}

// stateReader shows the rooms to the crypto machine. Its errors fail the
// transaction, as those of the crypto store do.
type stateReader struct{ rooms rooms }

func (s *stateReader) IsEncrypted(ctx context.Context, room id.RoomID) (bool, error) {
	on, err := s.rooms.encrypted(ctx, room)
	return note(ctx, "is encrypted", on, err)
}

func (s *stateReader) GetEncryptionEvent(ctx context.Context, room id.RoomID) (*event.EncryptionEventContent, error) {
	raw, err := s.rooms.state(ctx, room, "m.room.encryption", "")
	if err != nil || raw == nil {
		return note[*event.EncryptionEventContent](ctx, "get encryption event", nil, err)
	}
	var c event.EncryptionEventContent
	if json.Unmarshal(raw, &c) != nil {
		// What a room says about its rotation is a hint only; it must not cost a key.
		return &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}, nil
	}
	return &c, nil
}

func (s *stateReader) GetHistoryVisibility(ctx context.Context, room id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	raw, err := s.rooms.state(ctx, room, "m.room.history_visibility", "")
	if err != nil || raw == nil {
		return note[*event.HistoryVisibilityEventContent](ctx, "get history visibility", nil, err)
	}
	var c event.HistoryVisibilityEventContent
	if json.Unmarshal(raw, &c) != nil {
		return nil, nil
	}
	return &c, nil
}

// FindSharedRooms finds none: the machine uses it to renew outbound sessions, and
// the account sends nothing to rooms.
func (s *stateReader) FindSharedRooms(context.Context, id.UserID) ([]id.RoomID, error) {
	return nil, nil
}
