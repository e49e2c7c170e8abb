package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Reasons why a target is missing.
const (
	targetInvalid = "invalid_id" // not an event id: the claim of a reply
	targetOther   = "mismatch"   // the homeserver answered with another event
)

// FetchTarget asks for one event, the target of a reply, a thread or an edit, and
// records it: as an event, as what became of reading it, or as missing with the
// reason why the homeserver does not show it. An error leaves the target as it was;
// [Classify] says when to try again.
func (a *Account) FetchTarget(ctx context.Context, room id.RoomID, event id.EventID) error {
	raw, missing, err := a.askFor(ctx, room, event)
	if err != nil {
		return fmt.Errorf("fetch event: %w", err)
	}
	var (
		b    timeline.Batch
		raws []json.RawMessage
	)
	if missing == "" {
		raws = []json.RawMessage{raw}
	} else {
		b.Missing = []timeline.MissingEvent{{Room: room, ID: event, Reason: missing}}
	}
	if err := a.recordPast(ctx, b, room, &page{Chunk: raws}); err != nil {
		return fmt.Errorf("fetch event: %w", err)
	}
	return nil
}

// askFor gives the event as received, or the reason why there is none.
func (a *Account) askFor(ctx context.Context, room id.RoomID, event id.EventID) (raw json.RawMessage, missing string, err error) {
	if !strings.HasPrefix(string(event), "$") || len(event) > maxID {
		return nil, targetInvalid, nil
	}
	ctx, cancel := within(ctx)
	defer cancel()
	raw, err = a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, MaxAttempts: 1,
		URL: a.client.BuildClientURL("v3", "rooms", room, "event", event),
	})
	if err != nil {
		if reason := refusal(err); reason != "" {
			return nil, reason, nil
		}
		return nil, "", err
	}
	var shown, in string
	err = members(raw, func(key string, value json.RawMessage) {
		switch key {
		case "event_id":
			shown, _ = text(value)
		case "room_id":
			in, _ = text(value)
		}
	})
	if err != nil {
		return nil, "", fmt.Errorf("read answer: %w", err)
	}
	// The event goes into the room that it was asked for in; one that belongs
	// elsewhere must not be given another home.
	if shown != string(event) || (in != "" && in != string(room)) {
		return nil, targetOther, nil
	}
	return raw, "", nil
}
