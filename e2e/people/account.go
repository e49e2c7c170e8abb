package people

import (
	"context"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// account is what somebody has on the homeserver, whatever client they use.
type account struct {
	ID     id.UserID
	town   *Town
	client *mautrix.Client
}

// Token is the access token of somebody's device.
func (a *account) Token() string { return a.client.AccessToken }

func (a *account) ctx() context.Context { return a.town.stage.Context() }

// fail ends the story with somebody's name before the reason.
func (a *account) fail(format string, args ...any) {
	a.town.stage.Helper()
	a.town.stage.Fatalf("%s: "+format, append([]any{a.ID}, args...)...)
}

// said remembers what was sent.
func (a *account) said(room id.RoomID, e id.EventID, said Said) Said {
	said.Event, said.Room, said.Sender, said.At = e, room, a.ID, time.Now()
	a.town.remember(said)
	return said
}
