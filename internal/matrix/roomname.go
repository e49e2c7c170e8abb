package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// fieldsOf are the string fields of a state event's content; empty for none.
func (v *roomView) fieldsOf(ctx context.Context, kind string) (map[string]string, error) {
	raw, err := v.state(ctx, v.id, kind, "")
	if err != nil || raw == nil {
		return nil, err
	}
	out := map[string]string{}
	_ = members(raw, func(key string, value json.RawMessage) {
		if s, ok := text(value); ok {
			out[key] = s
		}
	})
	return out, nil
}

// name is the room's display name (Matrix C-S API, "Calculating the display name
// for a room"); never empty.
func (v *roomView) name(ctx context.Context) (string, error) {
	if v.nameHave {
		return v.nameNow, nil
	}
	name, err := v.computeName(ctx)
	if err != nil {
		return "", err
	}
	v.nameNow, v.nameHave = name, true
	return name, nil
}

func (v *roomView) computeName(ctx context.Context) (string, error) {
	c, err := v.fieldsOf(ctx, event.StateRoomName.Type)
	if err != nil {
		return "", err
	}
	if name := tidy(c["name"]); name != "" {
		return name, nil
	}
	if c, err = v.fieldsOf(ctx, event.StateCanonicalAlias.Type); err != nil {
		return "", err
	}
	if alias := tidy(c["alias"]); alias != "" {
		return alias, nil
	}
	heroes, members := v.heroes, v.joined+v.invited
	if len(heroes) == 0 && members == 0 {
		// A server that counts nobody: those who are known.
		if heroes, err = v.others(ctx); err != nil {
			return "", err
		}
		members = len(heroes) + 1
	}
	names, err := v.names(ctx, heroes)
	if err != nil {
		return "", err
	}
	return heroName(names[:min(len(names), maxHeroes)], members, v.id), nil
}

// maxHeroes is how many people a room is named by (Matrix C-S API, "Calculating the
// display name for a room").
const maxHeroes = 5

// names are the display names of people but the account; where two have the same, each
// stands with its id.
func (v *roomView) names(ctx context.Context, people []id.UserID) ([]string, error) {
	var names []string
	var ids []id.UserID
	taken := map[string]int{}
	for _, u := range people {
		if u == v.own || slices.Contains(ids, u) {
			continue
		}
		name, err := v.memberName(ctx, u)
		if err != nil {
			return nil, err
		}
		if name == "" {
			name = u.String()
		}
		taken[name]++
		names, ids = append(names, name), append(ids, u)
	}
	for i, name := range names {
		if taken[name] > 1 && name != ids[i].String() {
			names[i] = name + " (" + ids[i].String() + ")"
		}
	}
	return names, nil
}

// others are the people who are known to be in the room, or invited to it, by their ids.
func (v *roomView) others(ctx context.Context) ([]id.UserID, error) {
	rows, err := v.db.Query(ctx, `SELECT state_key FROM matrix_state WHERE room_id=$1 AND type=$2 AND state_key<>$3
		AND json_extract(content, '$.membership') IN ('join', 'invite') ORDER BY state_key LIMIT 10`, v.id, event.StateMember.Type, v.own)
	people, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.UserID], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list members of room: %w", err)
	}
	return people, nil
}

// heroName names a room after those in it. members counts the account itself.
func heroName(names []string, members int, room id.RoomID) string {
	if len(names) == 0 {
		return room.String()
	}
	others := members - 1 - len(names)
	list := strings.Join(names[:len(names)-1], ", ")
	switch {
	case others > 0:
		list = fmt.Sprintf("%s and %d others", strings.Join(names, ", "), others)
		if others == 1 {
			list = strings.Join(names, ", ") + " and 1 other"
		}
	case len(names) == 1:
		list = names[0]
	default:
		list += " and " + names[len(names)-1]
	}
	if members <= 1 {
		return tidy("Empty room (was " + list + ")")
	}
	return tidy(list)
}

// room is what is known of the room now.
func (v *roomView) room(ctx context.Context) (timeline.Room, error) {
	r := timeline.Room{ID: v.id, Server: v.own.Homeserver(), Encrypted: v.secret, Membership: v.membership}
	var err error
	if r.Name, err = v.name(ctx); err != nil {
		return r, err
	}
	topic, err := v.fieldsOf(ctx, event.StateTopic.Type)
	if err != nil {
		return r, err
	}
	r.Topic = topic["topic"]
	alias, err := v.fieldsOf(ctx, event.StateCanonicalAlias.Type)
	if err != nil {
		return r, err
	}
	if a := alias["alias"]; strings.HasPrefix(a, "#") && len(a) <= maxID {
		r.Alias = id.RoomAlias(a)
	}
	created, err := v.fieldsOf(ctx, event.StateCreate.Type)
	if err != nil {
		return r, err
	}
	r.Type = clipID(created["type"])
	// Room version 1 has no field for itself.
	if r.Version = clipID(created["room_version"]); r.Version == "" && created != nil {
		r.Version = "1"
	}
	if r.Creator, r.Created, err = v.creation(ctx); err != nil {
		return r, err
	}
	if r.Predecessor, err = v.predecessor(ctx); err != nil {
		return r, err
	}
	tombstone, err := v.fieldsOf(ctx, event.StateTombstone.Type)
	if err != nil {
		return r, err
	}
	r.Successor = id.RoomID(clipID(tombstone["replacement_room"]))
	return r, v.surroundings(ctx, &r)
}

// creation is the sender and the time of m.room.create; its creator field is gone
// since room version 11.
func (v *roomView) creation(ctx context.Context) (creator id.UserID, at time.Time, err error) {
	var sent int64
	err = v.db.QueryRow(ctx, "SELECT sender, sent FROM matrix_state WHERE room_id=$1 AND type=$2 AND state_key=''", v.id, event.StateCreate.Type).
		Scan(&creator, &sent)
	if errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, nil
	} else if err != nil {
		return "", time.Time{}, fmt.Errorf("read creator of room: %w", err)
	}
	return creator, timeline.ClampTime(sent), nil
}

func (v *roomView) predecessor(ctx context.Context) (id.RoomID, error) {
	raw, err := v.state(ctx, v.id, event.StateCreate.Type, "")
	if err != nil || raw == nil {
		return "", err
	}
	var c struct {
		Predecessor json.RawMessage `json:"predecessor"`
	}
	var p struct {
		Room string `json:"room_id"`
	}
	if json.Unmarshal(raw, &c) != nil || json.Unmarshal(c.Predecessor, &p) != nil {
		return "", nil //nolint:nilerr // a malformed predecessor is none
	}
	return id.RoomID(clipID(p.Room)), nil
}

// clipID drops what is too long to be an identifier.
func clipID(s string) string {
	if len(s) > maxID {
		return ""
	}
	return s
}
