package matrixtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// Verifier is the client of a [Peer] as it verifies others by emoji. Its person presses
// the buttons through Book: Request, and a verification's Accept, Start, Confirm.
type Verifier struct {
	*Peer
	Book  *sas.Book
	Seals bool           // encrypts what it says in an encrypted room; clients do both
	Told  map[string]int // what has been heard, by type

	since string
}

// Verifier begins to verify, with the peer's identity if it has one ([Peer.SignSelf]).
func (p *Peer) Verifier() (*Verifier, error) {
	own := sas.Party{User: p.User, Device: p.Client.DeviceID, Keys: sas.Keys{Device: p.Machine.OwnIdentity().SigningKey}}
	if p.Machine.CrossSigningKeys != nil {
		own.Keys.Master = p.Machine.CrossSigningKeys.MasterKey.PublicKey()
	}
	book, err := sas.NewBook(sas.Config{Own: own})
	if err != nil {
		return nil, fmt.Errorf("new verifier: %w", err)
	}
	return &Verifier{Peer: p, Book: book, Told: map[string]int{}}, nil
}

// Post sends what the peer's side says.
func (v *Verifier) Post(ctx context.Context, one *sas.Verification, out []sas.Message) error {
	for _, m := range out {
		if m.Room == "" {
			for _, d := range m.Devices {
				v.server.SendToDevice(v.User, m.User, d, m.Type, m.Content)
			}
			continue
		}
		var name id.EventID
		if v.Seals {
			var err error
			if name, err = v.Send(ctx, m.Room, event.Type{Type: m.Type, Class: event.MessageEventType}, m.Content); err != nil {
				return err
			}
		} else {
			name = v.server.Room(m.Room).Send(v.User, m.Type, m.Content)
		}
		if one != nil && one.Transaction() == "" {
			if err := one.Opened(name); err != nil {
				return fmt.Errorf("verifier: %w", err)
			}
		}
	}
	return nil
}

// heard is an event as /sync shows it.
type heard struct {
	Type    string          `json:"type"`
	Sender  id.UserID       `json:"sender"`
	ID      id.EventID      `json:"event_id"`
	Sent    int64           `json:"origin_server_ts"`
	Content json.RawMessage `json:"content"`
}

// Hear takes in what has come for the peer since the last time, and answers as a client
// does by itself. It reports whether anything has come.
func (v *Verifier) Hear(ctx context.Context) (news bool, err error) {
	var answer struct {
		Next     string `json:"next_batch"`
		ToDevice struct {
			Events []heard `json:"events"`
		} `json:"to_device"`
		Rooms struct {
			Join map[id.RoomID]struct {
				Timeline struct {
					Events []heard `json:"events"`
				} `json:"timeline"`
			} `json:"join"`
		} `json:"rooms"`
	}
	_, err = v.Client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method:       http.MethodGet,
		URL:          v.Client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "sync"}, map[string]string{"since": v.since, "timeout": "0"}),
		ResponseJSON: &answer,
	})
	if err != nil {
		return false, fmt.Errorf("verifier: %w", err)
	}
	v.since = answer.Next
	var events []sas.Event
	for _, e := range answer.ToDevice.Events {
		events = append(events, sas.Event{Type: e.Type, Sender: e.Sender, Content: e.Content})
	}
	for room, r := range answer.Rooms.Join {
		for _, e := range r.Timeline.Events {
			events = append(events, sas.Event{Type: e.Type, Sender: e.Sender, Room: room, ID: e.ID, Sent: time.UnixMilli(e.Sent), Content: e.Content})
		}
	}
	for _, e := range events {
		if !e.Concerns() || e.Sender == v.User {
			continue
		}
		v.Told[e.Type]++
		news = true
		if one, out, err := v.Book.Receive(e, time.Now()); err == nil {
			if err := v.Post(ctx, one, out); err != nil {
				return true, err
			}
		}
	}
	for _, one := range v.Book.UnderWay() {
		if one.NeedsKeys() {
			news = true
			if err := v.supply(ctx, one); err != nil {
				return true, err
			}
		}
	}
	return news, nil
}

// supply fetches the other side's keys, and takes them for checked.
func (v *Verifier) supply(ctx context.Context, one *sas.Verification) error {
	them := one.Them()
	devices, err := v.Machine.FetchKeys(ctx, []id.UserID{them.User}, true)
	if err != nil {
		return fmt.Errorf("verifier: %w", err)
	}
	signers, err := v.Store.GetCrossSigningKeys(ctx, them.User)
	if err != nil {
		return fmt.Errorf("verifier: %w", err)
	}
	keys := sas.Keys{Master: signers[id.XSUsageMaster].Key}
	if d := devices[them.User][them.Device]; d != nil {
		keys.Device = d.SigningKey
	}
	out, err := one.Supply(keys)
	if err != nil {
		return fmt.Errorf("verifier: %w", err)
	}
	return v.Post(ctx, one, out)
}
