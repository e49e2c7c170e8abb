package matrix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// A room is upgraded by a tombstone, which names the room that replaces it (Matrix C-S
// API, "Room upgrades"). The account follows the upgrades of rooms that it is in, within
// the limits of joins, and as far as the settings that hold for both rooms are the same.
// A room that lets in its members alone is waited for: it may open, or somebody who may
// invites the account.
//
// A tombstone may name any room. One that was joined on its word and does not name the
// former room in its first event is none of ours: what it shows is left out
// ([timeline.Room.Astray]), and it is left again. docs/decisions/0022 says why so.

// Where following an upgrade stands.
const (
	upgradeWanted = "wanted" // to be joined when its time comes
	upgradeTrying = "trying" // a join was asked for, and nothing of it was seen yet
	upgradeFalse  = "false"  // joined, and it does not name the former room: to be left
	upgradeOver   = "over"   // such a room, left: not tried again
)

// noteUpgrade notes what a joined room's tombstone names, and ends the notes of what it no
// longer names. It is called inside the transaction of a response.
func (a *Account) noteUpgrade(ctx context.Context, v *roomView, r timeline.Room) error {
	if _, err := v.db.Exec(ctx, "DELETE FROM matrix_upgrade WHERE former=$1 AND room_id<>$2 AND state='wanted'", v.id, r.Successor); err != nil {
		return fmt.Errorf("end upgrade: %w", err)
	}
	if !validRoom(string(r.Successor)) || r.Successor == v.id || v.membership != timeline.MembershipJoin {
		return nil
	}
	var sender id.UserID
	if err := v.db.QueryRow(ctx, "SELECT sender FROM matrix_state WHERE room_id=$1 AND type=$2 AND state_key=''", v.id, event.StateTombstone.Type).Scan(&sender); err != nil {
		return fmt.Errorf("read who upgraded a room: %w", err)
	}
	_, err := v.db.Exec(ctx, `INSERT INTO matrix_upgrade (room_id, former, sender, alias, received)
		SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM matrix_room WHERE room_id=$1 AND membership='join')
		ON CONFLICT (room_id) DO UPDATE SET former=excluded.former, sender=excluded.sender, alias=excluded.alias, received=excluded.received,
			state='wanted', attempts=0, due=0, class='', told=0 WHERE matrix_upgrade.former<>excluded.former AND matrix_upgrade.state='wanted'`,
		r.Successor, v.id, sender, string(r.Alias), a.received().UnixMilli())
	if err != nil {
		return fmt.Errorf("note upgrade: %w", err)
	}
	return nil
}

// arrived decides on a room that the account is in by now, or no longer: whether it is
// what a tombstone had promised. It is called inside the transaction of a response.
func (a *Account) arrived(ctx context.Context, v *roomView) error {
	var former id.RoomID
	var state string
	err := a.upgradeOf(ctx, v.id, &former, &state)
	if err != nil || state == "" {
		return err
	}
	joined := v.membership == timeline.MembershipJoin
	switch {
	case joined && state == upgradeTrying:
		predecessor, err := v.predecessor(ctx)
		if err != nil {
			return err
		}
		if predecessor != former {
			v.changed = true
			return a.updateUpgrade(ctx, v.id, "state='false', due=0, attempts=0")
		}
		return a.endUpgrade(ctx, v.id)
	case joined && state != upgradeFalse:
		v.changed = true
		return a.endUpgrade(ctx, v.id) // by invite
	case !joined && state == upgradeFalse:
		return a.updateUpgrade(ctx, v.id, "state='over'")
	}
	return nil
}

// astray reports whether the account is in a room on a tombstone's word alone.
func (v *roomView) astray(ctx context.Context) (bool, error) {
	var on bool
	err := v.db.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM matrix_upgrade WHERE room_id=$1 AND state IN ('false', 'over'))", v.id).Scan(&on)
	if err != nil {
		return false, fmt.Errorf("read upgrade: %w", err)
	}
	return on, nil
}

// upgradeOf reads the note on a room; state is empty where there is none.
func (a *Account) upgradeOf(ctx context.Context, room id.RoomID, former *id.RoomID, state *string) error {
	rows, err := a.store.DB().Query(ctx, "SELECT former, state FROM matrix_upgrade WHERE room_id=$1", room)
	_, err = dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (struct{}, error) {
		return struct{}{}, row.Scan(former, state)
	}, err).AsList()
	if err != nil {
		return fmt.Errorf("read upgrade: %w", err)
	}
	return nil
}

// updateUpgrade changes the note on a room; $1 of set is taken by the room.
func (a *Account) updateUpgrade(ctx context.Context, room id.RoomID, set string, args ...any) error {
	return a.changeUpgrade(ctx, "UPDATE matrix_upgrade SET "+set+" WHERE room_id=$1", append([]any{room}, args...)...)
}

func (a *Account) endUpgrade(ctx context.Context, room id.RoomID) error {
	return a.changeUpgrade(ctx, "DELETE FROM matrix_upgrade WHERE room_id=$1", room)
}

func (a *Account) changeUpgrade(ctx context.Context, query string, args ...any) error {
	err := a.store.Do(ctx, func(ctx context.Context) error {
		_, err := a.store.DB().Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("change upgrade: %w", err)
	}
	return nil
}

// upgrades are the rooms to be followed to, or to be left, oldest first. Those to which
// the account is invited are the business of [Invites.Accept].
func (a *Account) upgrades(ctx context.Context) ([]Invitation, error) {
	rows, err := a.store.DB().Query(ctx, `SELECT u.room_id, u.former, u.sender, u.alias, u.state, u.received, u.attempts, u.due, u.class, u.told
		FROM matrix_upgrade u JOIN matrix_room f ON f.room_id=u.former
		WHERE (u.state='false' OR u.state IN ('wanted', 'trying') AND f.membership='join')
			AND NOT EXISTS (SELECT 1 FROM matrix_invite i WHERE i.room_id=u.room_id) ORDER BY u.received, u.room_id`)
	list, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (p Invitation, err error) {
		var sender id.UserID
		var received, due int64
		err = row.Scan(&p.Room, &p.Former, &sender, &p.formerAlias, &p.upgrade, &received, &p.Attempts, &due, &p.Class, &p.told)
		p.Senders, p.Received, p.Due = []id.UserID{sender}, time.UnixMilli(received).UTC(), time.UnixMilli(due).UTC()
		return p, err
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list upgrades: %w", err)
	}
	return list, nil
}

// waiting are the pending invites, and the rooms that are to be followed to.
func (a *Account) waiting(ctx context.Context) ([]Invitation, error) {
	list, err := a.pending(ctx)
	if err != nil {
		return nil, err
	}
	upgrades, err := a.upgrades(ctx)
	for _, p := range upgrades {
		if p.upgrade != upgradeFalse {
			list = append(list, p)
		}
	}
	return list, err
}

// follow joins the rooms that replace ours, and leaves those that only seemed to.
func (v *Invites) follow(ctx context.Context) error {
	list, err := v.account.upgrades(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		again := true
		switch {
		case p.upgrade == upgradeFalse:
			err = v.turnBack(ctx, p)
		case !v.follows(p):
			err = v.tellUpgrade(ctx, p)
		case p.Due.After(v.account.now()):
		default:
			again, err = v.followOne(ctx, p)
		}
		if err != nil || !again {
			return err
		}
	}
	return nil
}

// follows reports whether a room that replaces another one may be joined for that.
func (v *Invites) follows(p Invitation) bool {
	return v.allows(p) && (v.config.Follow == nil || v.config.Follow(p.Former, p.formerAlias, p.Room))
}

// tellUpgrade logs a replacement that the settings leave out, once.
func (v *Invites) tellUpgrade(ctx context.Context, p Invitation) error {
	if p.told {
		return nil
	}
	if err := v.account.updateUpgrade(ctx, p.Room, "told=1"); err != nil {
		return err
	}
	v.account.log.WarnContext(ctx, "a room is replaced by one that the settings leave out", slog.String("room_id", string(p.Room)),
		slog.String("former_room_id", string(p.Former)))
	return nil
}

// followOne tries one join. again is false when no more of them are wanted for now.
func (v *Invites) followOne(ctx context.Context, p Invitation) (again bool, err error) {
	a := v.account
	if room, err := v.room(ctx); err != nil || !room {
		return false, err
	}
	if err := v.limit.Wait(ctx); err != nil {
		return false, fmt.Errorf("follow upgrade: %w", err)
	}
	// Before the join: what is seen of the room meanwhile is judged by it.
	if err := a.updateUpgrade(ctx, p.Room, "state='trying'"); err != nil {
		return false, err
	}
	err = a.joinVia(ctx, p.Room, p.Senders[0].Homeserver())
	if err == nil {
		a.log.InfoContext(ctx, "room joined: it replaces another one", slog.String("room_id", string(p.Room)),
			slog.String("former_room_id", string(p.Former)), slog.String("sender", string(p.Senders[0])))
		// Asked for again should no /sync show it.
		if err := a.updateUpgrade(ctx, p.Room, "due=CASE state WHEN 'trying' THEN $2 ELSE due END", a.now().Add(maxRefusedWait).UnixMilli()); err != nil {
			return false, err
		}
		return true, a.accepted(ctx, p.Room)
	}
	f := Classify(err)
	if ctx.Err() != nil || f.Class == ClassCancelled {
		return false, fmt.Errorf("follow upgrade: %w", err)
	}
	set, due := "attempts=attempts+1, due=$2, class=$3", a.now().Add(f.wait(p.Attempts+1))
	if f.Class == ClassPermanent { // else the answer may have been lost
		set += ", state='wanted'"
	}
	if uErr := a.updateUpgrade(ctx, p.Room, set, due.UnixMilli(), f.Class); uErr != nil {
		return false, errors.Join(uErr, err)
	}
	if f.Class == ClassUnauthorized {
		return false, fmt.Errorf("follow upgrade: %w", err)
	}
	if f.Class != p.Class {
		a.log.WarnContext(ctx, "the room that replaces another one cannot be joined", slog.String("room_id", string(p.Room)),
			slog.String("former_room_id", string(p.Former)), slog.String("class", string(f.Class)), slog.Time("due", due))
	}
	return f.Class != ClassRateLimited, nil
}

// turnBack leaves a room that was joined on the word of a tombstone that it does not
// confirm.
func (v *Invites) turnBack(ctx context.Context, p Invitation) error {
	a := v.account
	if p.Due.After(a.now()) {
		return nil
	}
	if !p.told {
		a.log.WarnContext(ctx, "a tombstone named a room that does not replace the former one; it is left", slog.String("room_id", string(p.Room)),
			slog.String("former_room_id", string(p.Former)), slog.String("sender", string(p.Senders[0])))
	}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, MaxAttempts: 1,
		URL:         a.client.BuildClientURL("v3", "rooms", p.Room, "leave"),
		RequestJSON: struct{}{},
	})
	if err == nil {
		return a.updateUpgrade(ctx, p.Room, "state='over', told=1")
	}
	f := Classify(err)
	if ctx.Err() != nil || f.Class == ClassCancelled || f.Class == ClassUnauthorized {
		return fmt.Errorf("leave room: %w", err)
	}
	return a.updateUpgrade(ctx, p.Room, "told=1, attempts=attempts+1, due=$2", a.now().Add(f.wait(p.Attempts+1)).UnixMilli())
}

// joinVia joins a room through the homeserver of somebody who is in it: the id of a room
// names none since room version 12.
func (a *Account) joinVia(ctx context.Context, room id.RoomID, server string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	query := map[string]string{}
	if server != "" && !strings.ContainsAny(server, " /?#&") {
		query["via"], query["server_name"] = server, server // the latter is its name before Matrix 1.12
	}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, MaxAttempts: 1,
		URL:         a.client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "join", room}, query),
		RequestJSON: struct{}{},
	})
	if err != nil {
		return fmt.Errorf("join room: %w", withoutQuery(err))
	}
	return nil
}
