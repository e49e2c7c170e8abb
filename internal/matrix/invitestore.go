package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// joinTimeout bounds a join: over federation it takes minutes.
const joinTimeout = 5 * time.Minute

// storeInvites notes what a response of /sync says about invites: new ones, and
// those that are over because the room was joined or the invite withdrawn. It is
// called inside the transaction of the response.
func (a *Account) storeInvites(ctx context.Context, r *response) error {
	for _, list := range [][]roomNews{r.Joined, r.Left} {
		for _, n := range list {
			if _, err := a.store.DB().Exec(ctx, "DELETE FROM matrix_invite WHERE room_id=$1", n.Room); err != nil {
				return fmt.Errorf("end invite: %w", err)
			}
		}
	}
	for _, n := range r.Left {
		if _, err := a.store.DB().Exec(ctx, "DELETE FROM matrix_inviter WHERE room_id=$1", n.Room); err != nil {
			return fmt.Errorf("forget who invited: %w", err)
		}
	}
	for _, inv := range r.Invited {
		senders, alias := a.readInvite(inv)
		for _, sender := range senders {
			// It outlasts the join: a room history bundle counts if it comes from one of them.
			if _, err := a.store.DB().Exec(ctx, "INSERT INTO matrix_inviter (room_id, sender, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
				inv.Room, sender, a.received().UnixMilli()); err != nil {
				return fmt.Errorf("record who invited: %w", err)
			}
		}
		list, err := json.Marshal(senders)
		if err != nil {
			return fmt.Errorf("record invite: %w", err)
		}
		// The same invite comes again with every initial sync: then its history stays.
		_, err = a.store.DB().Exec(ctx, `INSERT INTO matrix_invite (room_id, senders, alias, received) VALUES ($1, $2, $3, $4)
			ON CONFLICT (room_id) DO UPDATE SET senders=excluded.senders, alias=excluded.alias, received=excluded.received,
				attempts=0, due=0, class='', told=0
			WHERE matrix_invite.senders<>excluded.senders`, inv.Room, string(list), string(alias), a.received().UnixMilli())
		if err != nil {
			return fmt.Errorf("record invite: %w", err)
		}
	}
	return nil
}

// readInvite says who invited the account, by its own membership events in
// stripped state, and the alias that the room claims.
func (a *Account) readInvite(inv invitation) (senders []id.UserID, alias id.RoomAlias) {
	for _, raw := range inv.State {
		var e struct {
			Type     string    `json:"type"`
			StateKey *string   `json:"state_key"`
			Sender   id.UserID `json:"sender"`
			Content  struct {
				Membership string       `json:"membership"`
				Alias      id.RoomAlias `json:"alias"`
			} `json:"content"`
		}
		if json.Unmarshal(raw, &e) != nil || e.StateKey == nil {
			continue
		}
		switch {
		case e.Type == "m.room.canonical_alias" && *e.StateKey == "":
			alias = e.Content.Alias
		case e.Type == "m.room.member" && *e.StateKey == string(a.config.UserID) && e.Content.Membership == "invite":
			if !slices.Contains(senders, e.Sender) {
				senders = append(senders, e.Sender)
			}
		}
	}
	slices.Sort(senders)
	return senders, alias
}

// pending lists the open invites, oldest first.
func (a *Account) pending(ctx context.Context) (out []Invitation, err error) {
	rows, err := a.store.DB().Query(ctx, `SELECT room_id, senders, alias, received, attempts, due, class, told
		FROM matrix_invite ORDER BY received, room_id`)
	out, err = dbutil.NewRowIterWithError(rows, scanInvitation, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list invites: %w", err)
	}
	return out, nil
}

func scanInvitation(row dbutil.Scannable) (p Invitation, err error) {
	var (
		senders       string
		received, due int64
	)
	if err := row.Scan(&p.Room, &senders, &p.Alias, &received, &p.Attempts, &due, &p.Class, &p.told); err != nil {
		return p, err
	}
	p.Received, p.Due = time.UnixMilli(received).UTC(), time.UnixMilli(due).UTC()
	return p, json.Unmarshal([]byte(senders), &p.Senders)
}

// updateInvite changes a pending invite; $1 of set is taken by the room.
func (a *Account) updateInvite(ctx context.Context, room id.RoomID, set string, args ...any) error {
	err := a.store.Do(ctx, func(ctx context.Context) error {
		_, err := a.store.DB().Exec(ctx, "UPDATE matrix_invite SET "+set+" WHERE room_id=$1", append([]any{room}, args...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("update invite: %w", err)
	}
	return nil
}

// accepted ends an invite, if there was one, by a join, which counts for the day's cap.
func (a *Account) accepted(ctx context.Context, room id.RoomID) error {
	now := a.now()
	err := a.store.Do(ctx, func(ctx context.Context) error {
		for _, s := range []struct {
			query string
			args  []any
		}{
			{"DELETE FROM matrix_invite WHERE room_id=$1", []any{room}},
			{"INSERT INTO matrix_join (room_id, at) VALUES ($1, $2)", []any{room, now.UnixMilli()}},
			{"DELETE FROM matrix_join WHERE at<$1", []any{now.Add(-48 * time.Hour).UnixMilli()}},
		} {
			if _, err := a.store.DB().Exec(ctx, s.query, s.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end invite: %w", err)
	}
	return nil
}

func (a *Account) joinsSince(ctx context.Context, at time.Time) (n int, err error) {
	if err := a.store.DB().QueryRow(ctx, "SELECT COUNT(*) FROM matrix_join WHERE at>$1", at.UnixMilli()).Scan(&n); err != nil {
		return 0, fmt.Errorf("count joins: %w", err)
	}
	return n, nil
}

// joinRoom joins one room that the account is invited to; joining twice is fine.
func (a *Account) joinRoom(ctx context.Context, room id.RoomID) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, MaxAttempts: 1,
		URL:         a.client.BuildClientURL("v3", "rooms", room, "join"),
		RequestJSON: struct{}{},
	})
	if err != nil {
		return fmt.Errorf("join room: %w", err)
	}
	return nil
}
