package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// rooms tells which rooms are read, which are left out, and who waits for the bot.
func (r *reading) rooms(ctx context.Context) Line {
	if r.trial == nil && r.login.Device == "" {
		return skipped(Rooms, "because nobody is logged in")
	}
	if r.login.Unverified {
		return skipped(Rooms, tokenOver)
	}
	joined, invites, err := r.membership(ctx)
	if err != nil {
		return failed(Rooms, "the bot's rooms: "+matrix.Brief(err), "try again, or ask who runs the homeserver of MATRIX_SERVER")
	}
	left := r.leftOut(joined)
	says := []string{"in " + amount(len(joined), "room", "rooms")}
	if len(left) > 0 {
		says = append(says, fmt.Sprintf("of which %d left out by the settings", len(left)))
	}
	pending, hint, problem := r.invites(invites)
	if problem != nil {
		return failed(Rooms, problem.Error(), "write MATRIX_INVITE_FROM like @alice:example.org,*:example.org")
	}
	says = append(says, pending...)
	l := fine(Rooms, strings.Join(says, ", "))
	user := string(r.settings.Matrix.UserID)
	switch {
	case hint != "":
		l = warning(Rooms, l.Says, hint)
	case len(joined) == 0 && len(invites) == 0 && len(r.settings.Matrix.InviteFrom) == 0:
		l = warning(Rooms, "in no room, and nobody may invite the bot",
			"set MATRIX_INVITE_FROM to those who may, like @alice:example.org or *:example.org, and invite "+user)
	case len(joined) == 0 && len(invites) == 0:
		l = warning(Rooms, "in no room, and not invited to any", "invite "+user+" to a room; MATRIX_INVITE_FROM says whose invites are accepted")
	case len(left) == len(joined) && len(joined) > 0:
		l = warning(Rooms, l.Says+": nothing is imported", "look at MATRIX_ROOMS, MATRIX_ROOMS_EXCLUDE and the rules of matrix.rooms")
	}
	return l.with("joined", len(joined)).with("left_out", left).with("invites", r.inviteFacts(invites))
}

// membership are the rooms that the account is in and invited to. Beside a stored
// device only a start hears of invites, and stores them.
func (r *reading) membership(ctx context.Context) ([]id.RoomID, []matrix.Invitation, error) {
	if t := r.trial; t != nil {
		return t.Rooms, t.Invites, t.RoomsErr // invites are not known where a first /sync takes long
	}
	joined, err := r.probe.Rooms(ctx)
	if err != nil {
		return nil, nil, err
	}
	invites, err := r.probe.Invites(ctx)
	return joined, invites, err
}

// leftOut are the rooms that the settings leave out, with the reason. What is known
// of a room is what the ledger knows: before the first start its id alone, so that
// aliases do not count yet.
func (r *reading) leftOut(joined []id.RoomID) []map[string]any {
	rule := connector.SkipRoom(r.settings)
	list := []map[string]any{}
	for _, name := range joined {
		room := timeline.Room{ID: name}
		if at := slices.IndexFunc(r.storage.rooms, func(s timeline.RoomState) bool { return s.Room.ID == name }); at >= 0 {
			room = r.storage.rooms[at].Room
		}
		if why := rule(room); why != "" {
			list = append(list, map[string]any{"room_id": string(name), "reason": why})
		}
	}
	return list
}

// invites says what becomes of the pending invites, and what would accept those
// that stay.
func (r *reading) invites(invites []matrix.Invitation) (says []string, hint string, err error) {
	if len(invites) == 0 {
		return nil, "", nil
	}
	judge, err := r.probe.Judge(connector.InviteConfig(r.settings))
	if err != nil {
		return nil, "", err
	}
	welcome, waiting, outside, upgrades := 0, 0, 0, 0
	for _, one := range invites {
		ok, setting := judge.Welcome(one)
		switch {
		case one.Former != "":
			upgrades++
			if why, _ := judge.Why(one); hint == "" && why != matrix.UpgradeFollowed {
				hint = string(one.Room) + ": " + why
			}
		case ok:
			welcome++
		case setting != "":
			waiting++
			if hint == "" {
				hint = setting + " would accept the invite of " + string(one.Senders[0])
			}
		default:
			outside++
		}
	}
	if waiting > 1 {
		hint += fmt.Sprintf("; %d more wait (--json lists them)", waiting-1)
	}
	if upgrades > 0 {
		says = append(says, amount(upgrades, "of them replaced by one that it is not in", "of them replaced by others that it is not in"))
	}
	if len(invites) == upgrades {
		return says, hint, nil
	}
	says = append(says, amount(len(invites)-upgrades, "invite pending", "invites pending"))
	for _, part := range []struct {
		n    int
		what string
	}{{welcome, "will be accepted"}, {waiting, "from people who may not invite"}, {outside, "left out by the settings"}} {
		if part.n > 0 && part.n < len(invites)-upgrades {
			says = append(says, fmt.Sprintf("%d %s", part.n, part.what))
		} else if part.n > 0 {
			says[len(says)-1] += ", " + part.what
		}
	}
	return says, hint, nil
}

// inviteFacts lists the invites.
func (r *reading) inviteFacts(invites []matrix.Invitation) []map[string]any {
	list := make([]map[string]any, 0, len(invites))
	judge, err := r.probe.Judge(connector.InviteConfig(r.settings))
	if err != nil {
		return list
	}
	for _, one := range invites {
		senders := make([]string, len(one.Senders))
		for i, s := range one.Senders {
			senders[i] = string(s)
		}
		ok, setting := judge.Welcome(one)
		fact := map[string]any{"room_id": string(one.Room), "senders": senders, "accepted": ok}
		if setting != "" {
			fact["setting"] = setting
		}
		list = append(list, fact)
	}
	return list
}
