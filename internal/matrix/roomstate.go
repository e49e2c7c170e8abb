package matrix

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// stateReader shows the rooms to the crypto machine. Its errors fail the
// transaction, as those of the crypto store do.
type stateReader struct{ rooms rooms }

func (s *stateReader) IsEncrypted(ctx context.Context, room id.RoomID) (bool, error) {
	on, err := s.rooms.encrypted(ctx, room)
	return note(ctx, "is encrypted", on, err)
}

func (s *stateReader) GetEncryptionEvent(ctx context.Context, room id.RoomID) (*event.EncryptionEventContent, error) {
	raw, err := s.rooms.state(ctx, room, event.StateEncryption.Type, "")
	if err != nil || raw == nil {
		return note[*event.EncryptionEventContent](ctx, "get encryption event", nil, err)
	}
	var c event.EncryptionEventContent
	if json.Unmarshal(raw, &c) != nil {
		// What a room says about its rotation is a hint only; it must not cost a key.
		return &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}, nil //nolint:nilerr // as said above
	}
	return &c, nil
}

func (s *stateReader) GetHistoryVisibility(ctx context.Context, room id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	raw, err := s.rooms.state(ctx, room, event.StateHistoryVisibility.Type, "")
	if err != nil || raw == nil {
		return note[*event.HistoryVisibilityEventContent](ctx, "get history visibility", nil, err)
	}
	var c event.HistoryVisibilityEventContent
	if json.Unmarshal(raw, &c) != nil {
		return nil, nil //nolint:nilerr // a malformed visibility is none
	}
	return &c, nil
}

// FindSharedRooms finds none: the machine uses it to renew outbound sessions, and
// the account sends nothing to rooms.
func (s *stateReader) FindSharedRooms(context.Context, id.UserID) ([]id.RoomID, error) {
	return nil, nil
}
