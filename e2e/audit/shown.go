package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// Event is an event as the homeserver shows it to the bot.
type Event struct {
	Room     id.RoomID
	ID       id.EventID
	Type     string
	Sent     time.Time // as claimed
	Redacted bool
	// Ahead is what a /sync from the ledger's token tells: the connector was told to
	// end, or killed, before it asked for it.
	Ahead bool
}

// Shown is everything that the homeserver shows the client's account in the rooms that
// it is in or was in, and which of it comes after a token of /sync.
func Shown(ctx context.Context, client *mautrix.Client, token string) ([]Event, error) {
	ahead, left, err := news(ctx, client, token)
	if err != nil {
		return nil, fmt.Errorf("ask for what comes after the token: %w", err)
	}
	joined, err := client.JoinedRooms(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the rooms: %w", err)
	}
	var all []Event
	for _, room := range joined.JoinedRooms {
		events, err := timeline(ctx, client, room)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", room, err)
		}
		all = append(all, events...)
	}
	for _, room := range left {
		events, err := timeline(ctx, client, room)
		if errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MNotFound) {
			continue // not every server shows one who has left what they have seen
		}
		if err != nil {
			return nil, fmt.Errorf("read %s, which was left: %w", room, err)
		}
		all = append(all, events...)
	}
	for i := range all {
		all[i].Ahead = token == "" || ahead[all[i].ID]
	}
	return all, nil
}

// page is an answer of /messages.
type page struct {
	Chunk []struct {
		ID       id.EventID `json:"event_id"`
		Type     string     `json:"type"`
		Sent     int64      `json:"origin_server_ts"`
		Unsigned struct {
			Redacted json.RawMessage `json:"redacted_because"`
		} `json:"unsigned"`
	} `json:"chunk"`
	End string `json:"end"`
}

// timeline walks a room back to its beginning.
func timeline(ctx context.Context, client *mautrix.Client, room id.RoomID) ([]Event, error) {
	var events []Event
	seen := map[id.EventID]bool{}
	for from := ""; ; {
		query := map[string]string{"dir": "b", "limit": "500"}
		if from != "" {
			query["from"] = from
		}
		var p page
		if _, err := client.MakeRequest(ctx, http.MethodGet, client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "rooms", room, "messages"}, query), nil, &p); err != nil {
			return nil, err
		}
		for _, e := range p.Chunk {
			if !seen[e.ID] {
				seen[e.ID] = true
				events = append(events, Event{Room: room, ID: e.ID, Type: e.Type, Sent: time.UnixMilli(e.Sent), Redacted: len(e.Unsigned.Redacted) > 0})
			}
		}
		// "If no further events are available, this property is omitted"; Dendrite
		// gives an empty page instead.
		if p.End == "" || p.End == from || len(p.Chunk) == 0 {
			return events, nil
		}
		from = p.End
	}
}

// newsFilter is for all that comes after a token, with rooms that were left.
const newsFilter = `{"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]},"room":{"include_leave":true,` +
	`"ephemeral":{"not_types":["*"]},"account_data":{"not_types":["*"]},"state":{"not_types":["*"]},"timeline":{"limit":1000}}}`

// news are the ids of what /sync tells after a token, and the rooms that were left.
func news(ctx context.Context, client *mautrix.Client, token string) (ahead map[id.EventID]bool, left []id.RoomID, err error) {
	ahead = map[id.EventID]bool{}
	if token != "" {
		answer, err := sync(ctx, client, token)
		if err != nil {
			return nil, nil, err
		}
		for _, rooms := range []map[id.RoomID]room{answer.Rooms.Join, answer.Rooms.Leave} {
			for _, r := range rooms {
				for _, e := range r.Timeline.Events {
					ahead[e.ID] = true
				}
			}
		}
	}
	whole, err := sync(ctx, client, "")
	if err != nil {
		return nil, nil, err
	}
	for r := range whole.Rooms.Leave {
		left = append(left, r)
	}
	return ahead, left, nil
}

type room struct {
	Timeline struct {
		Events []struct {
			ID id.EventID `json:"event_id"`
		} `json:"events"`
	} `json:"timeline"`
}

type answer struct {
	Rooms struct {
		Join  map[id.RoomID]room `json:"join"`
		Leave map[id.RoomID]room `json:"leave"`
	} `json:"rooms"`
}

func sync(ctx context.Context, client *mautrix.Client, since string) (a answer, err error) {
	query := url.Values{"timeout": {"0"}, "filter": {newsFilter}}
	if since != "" {
		query.Set("since", since)
	}
	address := client.BuildURL(mautrix.ClientURLPath{"v3", "sync"}) + "?" + query.Encode()
	_, err = client.MakeRequest(ctx, http.MethodGet, address, nil, &a)
	return a, err
}
