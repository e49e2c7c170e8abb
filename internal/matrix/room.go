package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// rooms is what the account knows of its rooms, as stored.
type rooms struct {
	db  *dbutil.Database
	own id.UserID
}

func (a *Account) rooms() rooms { return rooms{db: a.store.DB(), own: a.config.UserID} }

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

// roomView is one room during one transaction.
type roomView struct {
	rooms
	id         id.RoomID
	known      bool // there was a row
	membership timeline.Membership
	secret     bool  // encrypted, now or once
	secretAt   int64 // origin_server_ts of what made it so; 0 when not known
	heroes     []id.UserID
	joined     int
	invited    int

	changed  bool // differs from what is stored
	members  map[id.UserID]string
	nameNow  string // empty: to be computed
	nameHave bool
}

// view reads what is stored of a room.
func (r rooms) view(ctx context.Context, room id.RoomID) (*roomView, error) {
	v := &roomView{rooms: r, id: room, members: map[id.UserID]string{}}
	var heroes string
	err := r.db.QueryRow(ctx, "SELECT membership, encrypted, encrypted_at, heroes, joined, invited FROM matrix_room WHERE room_id=$1", room).
		Scan(&v.membership, &v.secret, &v.secretAt, &heroes, &v.joined, &v.invited)
	if errors.Is(err, sql.ErrNoRows) {
		return v, nil
	} else if err != nil {
		return nil, fmt.Errorf("read room: %w", err)
	}
	v.known = true
	if err := json.Unmarshal([]byte(heroes), &v.heroes); err != nil {
		return nil, fmt.Errorf("read heroes of room: %w", err)
	}
	return v, nil
}

// kept are the state events that matter to a reader, beside members.
var kept = map[string]bool{
	event.StateCreate.Type: true, event.StateRoomName.Type: true, event.StateTopic.Type: true,
	event.StateCanonicalAlias.Type: true, event.StateEncryption.Type: true, event.StateTombstone.Type: true,
	event.StateHistoryVisibility.Type: true, event.StatePowerLevels.Type: true, event.StateRoomAvatar.Type: true,
}

// links are the state events by which rooms name their spaces and spaces their rooms;
// the state key is the other room.
var links = map[string]bool{event.StateSpaceParent.Type: true, event.StateSpaceChild.Type: true}

// apply lets a state event change the room. Events that do not matter, and those
// that are no state events, change nothing.
func (v *roomView) apply(ctx context.Context, e wireEvent) error {
	if e.StateKey == nil {
		return nil
	}
	content := e.Content
	switch {
	case e.Type == event.StateMember.Type:
		var c struct {
			Membership string `json:"membership"`
			Name       any    `json:"displayname"`
		}
		if len(*e.StateKey) > maxID || json.Unmarshal(content, &c) != nil {
			return nil //nolint:nilerr // a malformed membership costs itself only
		}
		name, _ := c.Name.(string)
		content, _ = json.Marshal(map[string]string{"membership": c.Membership, "displayname": tidy(name)})
		delete(v.members, id.UserID(*e.StateKey))
		if *e.StateKey == v.own.String() && (c.Membership == "leave" || c.Membership == "ban") {
			v.setMembership(timeline.Membership(c.Membership))
			v.changed = true // by somebody else, perhaps
		}
	case kept[e.Type] && *e.StateKey == "":
		if e.Type == event.StateEncryption.Type && !v.secret {
			v.secret, v.secretAt = true, e.Sent
		}
		v.changed = true
	case links[e.Type] && validRoom(*e.StateKey):
		var c struct {
			Via []json.RawMessage `json:"via"`
		}
		// Without a server to ask there is no link (Matrix C-S API, "Spaces").
		content = json.RawMessage(`{}`)
		if json.Unmarshal(e.Content, &c) == nil && len(c.Via) > 0 {
			content = json.RawMessage(`{"via":true}`)
		}
		v.changed = true
	default:
		return nil
	}
	v.nameHave = false
	_, err := v.db.Exec(ctx, `
		INSERT INTO matrix_state (room_id, type, state_key, sender, sent, content) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (room_id, type, state_key) DO UPDATE SET sender=excluded.sender, sent=excluded.sent, content=excluded.content`,
		v.id, e.Type, *e.StateKey, e.Sender, e.Sent, string(content))
	if err != nil {
		return fmt.Errorf("store state %s of room: %w", e.Type, err)
	}
	return nil
}

// learn takes the names of members from state that comes along with a page of the
// past: only those that are not known otherwise, since the past says nothing about
// the present. It runs in a transaction.
func (a *Account) learn(ctx context.Context, room id.RoomID, raws []json.RawMessage) error {
	if len(raws) == 0 {
		return nil
	}
	v, err := a.rooms().view(ctx, room)
	if err != nil {
		return err
	}
	for _, raw := range raws {
		e, problem := readEvent(raw)
		if problem != "" || e.Type != event.StateMember.Type || e.StateKey == nil {
			continue
		}
		if have, err := v.state(ctx, v.id, e.Type, *e.StateKey); err != nil {
			return err
		} else if have != nil {
			continue
		}
		if err := v.apply(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (v *roomView) setMembership(to timeline.Membership) {
	if v.membership != to {
		v.membership, v.changed = to, true
	}
}

// summary takes over the counts and heroes of a /sync response.
func (v *roomView) summary(n roomNews) {
	if n.Heroes != nil {
		v.heroes, v.nameHave = n.Heroes[:min(len(n.Heroes), 10)], false
	}
	if n.Joined != nil {
		v.joined, v.nameHave = *n.Joined, false
	}
	if n.Invited != nil {
		v.invited, v.nameHave = *n.Invited, false
	}
}

// save stores the view.
func (v *roomView) save(ctx context.Context) error {
	heroes := v.heroes
	if heroes == nil {
		heroes = []id.UserID{}
	}
	list, err := json.Marshal(heroes)
	if err != nil {
		return fmt.Errorf("write heroes of room: %w", err)
	}
	_, err = v.db.Exec(ctx, `
		INSERT INTO matrix_room (room_id, membership, encrypted, encrypted_at, heroes, joined, invited) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (room_id) DO UPDATE SET membership=excluded.membership, encrypted=max(encrypted, excluded.encrypted),
			encrypted_at=excluded.encrypted_at, heroes=excluded.heroes, joined=excluded.joined, invited=excluded.invited`,
		v.id, v.membership, v.secret, v.secretAt, string(list), v.joined, v.invited)
	if err != nil {
		return fmt.Errorf("store room: %w", err)
	}
	return nil
}

// plainTrust is the trust of an event that is not encrypted. In an encrypted room a
// message should be; reactions and redactions never are. For events of the past it
// counts whether the room was encrypted then, as far as their claimed time tells.
func (v *roomView) plainTrust(e wireEvent, live bool) timeline.Trust {
	if !v.secret || e.StateKey != nil {
		return timeline.TrustNone
	}
	switch e.Type {
	case event.EventReaction.Type, event.EventRedaction.Type, event.EventEncrypted.Type:
		return timeline.TrustNone
	}
	if !live && v.secretAt > 0 && e.Sent < v.secretAt {
		return timeline.TrustNone
	}
	return timeline.TrustPlaintext
}

// memberName is the display name of a member, empty where none is known.
func (v *roomView) memberName(ctx context.Context, user id.UserID) (string, error) {
	if name, ok := v.members[user]; ok {
		return name, nil
	}
	raw, err := v.state(ctx, v.id, event.StateMember.Type, user.String())
	if err != nil {
		return "", err
	}
	var c struct {
		Name string `json:"displayname"`
	}
	if raw != nil && json.Unmarshal(raw, &c) != nil {
		c.Name = ""
	}
	v.members[user] = c.Name
	return c.Name, nil
}

// maxName bounds names that people choose, in bytes.
const maxName = 255

// tidy makes one bounded line of a name.
func tidy(name string) string {
	name = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(name, "\uFFFD"), func(r rune) bool {
		return r == ' ' || r < 0x20 || (r >= 0x7f && r <= 0x9f) || r == '\u2028' || r == '\u2029'
	}), " ")
	for len(name) > maxName {
		cut := maxName
		for cut > 0 && name[cut]&0xC0 == 0x80 {
			cut--
		}
		name = name[:cut]
	}
	return name
}
