package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// Trial is what a login with the password has shown.
type Trial struct {
	Rooms   []id.RoomID
	Invites []Invitation
	// RoomsErr and InvitesErr are why these are not known.
	RoomsErr, InvitesErr error
	// LeftErr is why the device of the trial could not be logged out.
	LeftErr error
	Device  id.DeviceID // of the trial
}

// trialName is what people see of the device of a trial, for a moment.
const trialName = "matrix-connector check"

// logoutTimeout bounds the end of a trial.
const logoutTimeout = 10 * time.Second

// Trial logs in with the password as a device of its own, looks at rooms and
// invites, and logs out at once, also when ctx ends: the device is gone with it. A
// store and its device are not touched.
//
// It is for an account that has no device yet, since nothing else tells whether a
// password is right. Others in the account's encrypted rooms see a device come and
// go; it never has any keys, so that nobody encrypts for it.
func (p *Probe) Trial(ctx context.Context) (Trial, error) {
	a := p.account
	flows, err := a.flows(ctx)
	if err != nil {
		return Trial{}, err
	}
	if a.config.Password == "" || !flows.HasFlow(mautrix.AuthTypePassword) {
		s, err := a.authService(ctx)
		if err != nil {
			return Trial{}, err
		}
		return Trial{}, a.noWayIn(flows, s)
	}
	a.use(credentials{})
	res, err := a.client.Login(ctx, &mautrix.ReqLogin{
		Type:       mautrix.AuthTypePassword,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: a.config.UserID.String()},
		Password:   a.config.Password, InitialDeviceDisplayName: trialName,
	})
	switch {
	case errors.Is(err, mautrix.MForbidden):
		return Trial{}, a.refused(ReasonPassword, err)
	case err != nil:
		return Trial{}, a.accountState(fmt.Errorf("log in: %w", err))
	case res == nil || res.AccessToken == "":
		return Trial{}, a.refused(ReasonServer, errNoMatrix)
	}
	a.use(credentials{User: res.UserID, Device: res.DeviceID, Token: res.AccessToken})
	t := Trial{Device: res.DeviceID}
	if res.UserID == a.config.UserID {
		t.Rooms, t.RoomsErr = p.Rooms(ctx)
		t.Invites, t.InvitesErr = p.firstInvites(ctx)
	} else {
		err = a.refused(ReasonOtherUser, nil)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	if _, logout := a.client.Logout(ending); logout != nil {
		t.LeftErr = fmt.Errorf("log out: %w", logout)
	}
	a.use(credentials{})
	return t, err
}

// inviteFilter leaves everything out of a /sync that can be left out.
const inviteFilter = `{"account_data":{"types":[]},"presence":{"types":[]},"room":{"account_data":{"types":[]},` +
	`"ephemeral":{"types":[]},"state":{"types":[],"lazy_load_members":true},"timeline":{"limit":1}}}`

// firstInvites asks for the pending invites as a device that has never asked for
// anything, so that no other device misses what the answer holds.
func (p *Probe) firstInvites(ctx context.Context) ([]Invitation, error) {
	a := p.account
	var answer struct {
		Rooms struct {
			Invite map[id.RoomID]struct {
				State struct {
					Events []json.RawMessage `json:"events"`
				} `json:"invite_state"`
			} `json:"invite"`
		} `json:"rooms"`
	}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, MaxAttempts: 1, ResponseJSON: &answer,
		URL: a.client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "sync"}, map[string]string{"timeout": "0", "filter": inviteFilter}),
	})
	if err != nil {
		return nil, fmt.Errorf("ask for invites: %w", err)
	}
	list := make([]Invitation, 0, len(answer.Rooms.Invite))
	for room, one := range answer.Rooms.Invite {
		senders, alias := a.readInvite(invitation{Room: room, State: one.State.Events})
		list = append(list, Invitation{Room: room, Senders: senders, Alias: alias, Received: a.received()})
	}
	return list, nil
}
