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

// maxEventID bounds an event id (Matrix specification, "Appendices", "Common
// identifier format").
const maxEventID = 255

// FetchTarget asks for one event, the target of a reply, a thread or an edit, and
// records it: as an event, as what became of reading it, or as missing with the
// reason why the homeserver does not show it. An error leaves the target as it was;
// [Classify] says when to try again.
func (a *Account) FetchTarget(ctx context.Context, room id.RoomID, event id.EventID) error {
	b, raw, err := a.askFor(ctx, room, event)
	if err != nil {
		return fmt.Errorf("fetch event: %w", err)
	}
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		b := b
		if raw != nil {
			if err := a.absorb(ctx, m, &b, room, chunkOf(raw), false); err != nil {
				return err
			}
		}
		return a.journal.Record(ctx, b)
	})
	if err != nil {
		return fmt.Errorf("fetch event: %w", err)
	}
	return nil
}

// askFor gives the event as received, or a batch that says why there is none.
func (a *Account) askFor(ctx context.Context, room id.RoomID, event id.EventID) (b timeline.Batch, raw []byte, err error) {
	missing := func(reason string) (timeline.Batch, []byte, error) {
		return timeline.Batch{Missing: []timeline.MissingEvent{{Room: room, ID: event, Reason: reason}}}, nil, nil
	}
	if !strings.HasPrefix(string(event), "$") || len(event) > maxEventID {
		return missing(targetInvalid)
	}
	ctx, cancel := within(ctx)
	defer cancel()
	raw, err = a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, MaxAttempts: 1,
		URL: a.client.BuildClientURL("v3", "rooms", room, "event", event),
	})
	if err != nil {
		if reason := refusal(err); reason != "" {
			return missing(reason)
		}
		return b, nil, err
	}
	g, ok := glanceAt(raw)
	if !ok && members(raw, func(string, json.RawMessage) {}) != nil {
		return b, nil, fmt.Errorf("read event: %w", errMalformed)
	}
	// The event goes into the room that it was asked for in; what says that it
	// belongs elsewhere must not be given another home.
	if g.ID != event || (g.Room != "" && g.Room != room) {
		return missing(targetOther)
	}
	return b, raw, nil
}
