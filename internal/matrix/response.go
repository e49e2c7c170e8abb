package matrix

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"
)

// response is an answer of /sync, taken apart as far as needed to treat each event
// by itself (Matrix C-S API, "Syncing").
type response struct {
	Next     string
	Joined   []roomNews
	Left     []roomNews
	Invited  []invitation
	ToDevice []json.RawMessage
	Changed  []id.UserID // device lists to be asked for again

	// OneTimeKeys is the number of signed_curve25519 keys that the server still has;
	// -1 where the response does not say.
	OneTimeKeys int
	// FallbackUsed is set when the server says that the fallback key was used or was
	// never there; servers without fallback keys say nothing.
	FallbackUsed bool

	Ignored int // users on the account's ignore list; -1 where the response does not say
	// Odd counts parts that could not be read; what they held is lost to us.
	Odd int
}

// roomNews is what happened in one room.
type roomNews struct {
	Room     id.RoomID
	State    []json.RawMessage
	Timeline []json.RawMessage
	Limited  bool
	Prev     string // token to read backwards from
	Heroes   []id.UserID
	Joined   *int // members; nil: unchanged
	Invited  *int
	Broken   json.RawMessage // the whole, when it could not be taken apart
}

// invitation is an invite as received; its state is stripped and unverified.
type invitation struct {
	Room  id.RoomID
	State []json.RawMessage
}

// errNoToken is a response that does not say where it ends.
var errNoToken = errors.New("response without next_batch")

// readResponse takes a response apart. An error means that it is no answer of
// /sync at all, as when something in between answers with a page of its own.
func readResponse(body []byte) (*response, error) {
	r := &response{OneTimeKeys: -1, Ignored: -1}
	err := members(body, func(key string, value json.RawMessage) {
		switch key {
		case "next_batch":
			r.odd(json.Unmarshal(value, &r.Next))
		case "rooms":
			r.odd(r.readRooms(value))
		case "to_device":
			var err error
			r.ToDevice, err = eventsOf(value)
			r.odd(err)
		case "account_data":
			r.readAccountData(value)
		case "device_lists":
			var lists struct {
				Changed []id.UserID `json:"changed"`
			}
			r.odd(json.Unmarshal(value, &lists))
			r.Changed = lists.Changed
		case "device_one_time_keys_count":
			var counts struct {
				Signed int `json:"signed_curve25519"`
			}
			if err := json.Unmarshal(value, &counts); err == nil {
				r.OneTimeKeys = counts.Signed
			} else {
				r.odd(err)
			}
		case "device_unused_fallback_key_types":
			var unused []string
			if err := json.Unmarshal(value, &unused); err == nil && unused != nil {
				r.FallbackUsed = !slices.Contains(unused, string(id.KeyAlgorithmSignedCurve25519))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read sync response: %w", err)
	}
	if r.Next == "" {
		return nil, fmt.Errorf("read sync response: %w", errNoToken)
	}
	return r, nil
}

func (r *response) odd(err error) {
	if err != nil {
		r.Odd++
	}
}

func (r *response) readRooms(value []byte) error {
	return members(value, func(membership string, rooms json.RawMessage) {
		r.odd(members(rooms, func(room string, value json.RawMessage) {
			switch membership {
			case "join":
				r.Joined = append(r.Joined, readRoom(id.RoomID(room), value))
			case "leave":
				r.Left = append(r.Left, readRoom(id.RoomID(room), value))
			case "invite":
				inv := invitation{Room: id.RoomID(room)}
				r.odd(members(value, func(key string, value json.RawMessage) {
					if key == "invite_state" {
						inv.State, _ = eventsOf(value)
					}
				}))
				r.Invited = append(r.Invited, inv)
			}
		}))
	})
}

// readRoom takes one room's news apart. What cannot be is kept whole.
func readRoom(room id.RoomID, value json.RawMessage) roomNews {
	n := roomNews{Room: room}
	var odd error
	note := func(err error) { odd = errors.Join(odd, err) }
	note(members(value, func(key string, value json.RawMessage) {
		switch key {
		case "state":
			var err error
			n.State, err = eventsOf(value)
			note(err)
		case "timeline":
			note(members(value, func(key string, value json.RawMessage) {
				switch key {
				case "events":
					var err error
					n.Timeline, err = elements(value)
					note(err)
				case "limited":
					note(json.Unmarshal(value, &n.Limited))
				case "prev_batch":
					note(json.Unmarshal(value, &n.Prev))
				}
			}))
		case "summary":
			var s struct {
				Heroes  []id.UserID `json:"m.heroes"`
				Joined  *int        `json:"m.joined_member_count"`
				Invited *int        `json:"m.invited_member_count"`
			}
			if json.Unmarshal(value, &s) == nil {
				n.Heroes, n.Joined, n.Invited = s.Heroes, s.Joined, s.Invited
			}
		}
	}))
	if odd != nil {
		n.Broken = value
	}
	return n
}

// readAccountData looks for the ignore list only.
func (r *response) readAccountData(value []byte) {
	events, err := eventsOf(value)
	r.odd(err)
	for _, raw := range events {
		var e struct {
			Type    string `json:"type"`
			Content struct {
				Users map[string]json.RawMessage `json:"ignored_users"`
			} `json:"content"`
		}
		if json.Unmarshal(raw, &e) == nil && e.Type == "m.ignored_user_list" {
			r.Ignored = len(e.Content.Users)
		}
	}
}

// eventsOf gives the elements of the object's "events".
func eventsOf(object []byte) (events []json.RawMessage, err error) {
	if string(object) == "null" {
		return nil, nil
	}
	var inner error
	err = members(object, func(key string, value json.RawMessage) {
		if key == "events" && string(value) != "null" {
			events, inner = elements(value)
		}
	})
	return events, errors.Join(err, inner)
}

// news reports whether the response holds anything but a token.
func (r *response) news() bool {
	return len(r.Joined)+len(r.Left)+len(r.Invited)+len(r.ToDevice)+len(r.Changed) > 0
}

// sortRooms puts rooms in the order of their ids, so that the same response is
// recorded the same way every time.
func sortRooms(rooms []roomNews) {
	slices.SortFunc(rooms, func(a, b roomNews) int { return strings.Compare(string(a.Room), string(b.Room)) })
}
