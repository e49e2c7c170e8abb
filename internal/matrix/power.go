package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// The power that counts where a room says nothing else (Matrix C-S API,
// "m.room.power_levels"), and the one of whoever made a room without power levels.
const (
	redactPower  = 50
	creatorPower = 100
)

// needsPower are the types of which it matters whether their sender may redact what
// others say: redactions, and what ends a poll (MSC3381).
var needsPower = map[string]bool{
	event.EventRedaction.Type: true, "m.poll.end": true, "org.matrix.msc3381.poll.end": true,
}

// entitle notes whether the sender of an event may redact what others say, where that
// matters. It goes by the present power levels, also for an event of the past.
func (v *roomView) entitle(ctx context.Context, out *timeline.Event) (err error) {
	if out.StateKey == nil && needsPower[out.Type] {
		out.Redacts, err = v.mayRedact(ctx, out.Sender)
	}
	return err
}

// mayRedact reports whether a user has the power to redact other people's events; not
// known in a room of which neither power levels nor the creator have been seen.
func (v *roomView) mayRedact(ctx context.Context, user id.UserID) (timeline.Right, error) {
	creators, err := v.creators(ctx)
	if err != nil {
		return timeline.RightUnknown, err
	}
	raw, err := v.state(ctx, v.id, event.StatePowerLevels.Type, "")
	switch {
	case err != nil:
		return timeline.RightUnknown, err
	case len(creators) == 0 && raw == nil:
		return timeline.RightUnknown, nil
	case eternal(v.id) && slices.Contains(creators, user):
		return timeline.RightYes, nil
	}
	power := 0
	if raw == nil {
		if slices.Contains(creators, user) {
			power = creatorPower
		}
		return right(power >= redactPower), nil
	}
	levels := fieldsByName(raw)
	power = level(levels["users_default"], 0)
	if own, ok := fieldsByName(levels["users"])[user.String()]; ok {
		power = level(own, power)
	}
	return right(power >= level(levels["redact"], redactPower)), nil
}

func right(yes bool) timeline.Right {
	if yes {
		return timeline.RightYes
	}
	return timeline.RightNo
}

// eternal reports whether a room's creators have more power than any level: those of
// room version 12 and later, whose ids name no server.
func eternal(room id.RoomID) bool { return !strings.Contains(room.String(), ":") }

// creators are the sender of m.room.create and, in rooms of version 12 and later, those
// whom it names beside.
func (v *roomView) creators(ctx context.Context) ([]id.UserID, error) {
	var list []id.UserID
	raw, err := v.state(ctx, v.id, event.StateCreate.Type, "")
	if err != nil || raw == nil {
		return nil, err
	}
	var sender id.UserID
	if err := v.db.QueryRow(ctx, "SELECT sender FROM matrix_state WHERE room_id=$1 AND type=$2 AND state_key=''",
		v.id, event.StateCreate.Type).Scan(&sender); err != nil {
		return nil, fmt.Errorf("read creator of room: %w", err)
	}
	if sender != "" {
		list = append(list, sender)
	}
	var more []json.RawMessage
	if eternal(v.id) && json.Unmarshal(fieldsByName(raw)["additional_creators"], &more) == nil {
		for _, raw := range more {
			if name, ok := text(raw); ok {
				list = append(list, id.UserID(name))
			}
		}
	}
	return list, nil
}

// fieldsByName are the members of an object; none of anything else.
func fieldsByName(raw json.RawMessage) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	if members(raw, func(key string, value json.RawMessage) { fields[key] = value }) != nil {
		return nil
	}
	return fields
}

// level reads a power level: a whole number, which rooms below version 10 may also write
// as text.
func level(raw json.RawMessage, otherwise int) int {
	said := strings.Trim(string(raw), `"`)
	if n, err := strconv.Atoi(strings.TrimSpace(said)); err == nil {
		return n
	}
	return otherwise
}
