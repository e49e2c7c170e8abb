package matrix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Probe asks a homeserver what a check wants to know, before the first start or
// beside a running connector. It acts as the stored device where there is one, and
// then changes nothing: above all it never asks for /sync, by which the homeserver
// would take the device's messages for delivered, and never renews a token, which
// would take it from the running connector. Without one it can try the password, see
// [Probe.Trial].
//
// Its methods are called one after the other.
type Probe struct{ account *Account }

// probeResponse bounds what is read of an answer.
const probeResponse = 64 << 20

// NewProbe makes a probe. Store may be nil or open for reading only, Journal is not
// needed.
func NewProbe(c Config) *Probe {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Pause == nil {
		c.Pause = pauseFor
	}
	c.Limits.Response = probeResponse
	c.Limits = c.Limits.withDefaults()
	a := &Account{config: c, log: c.Log, store: c.Store, now: c.Now}
	a.acting.Store(&credentials{})
	return &Probe{account: a}
}

// Homeserver is where the client-server API is, and what it speaks.
type Homeserver struct {
	URL    string
	Newest string // version of the specification
	// Discovered: the URL was found by the server name.
	Discovered bool
}

// Homeserver finds the homeserver and asks for its versions.
func (p *Probe) Homeserver(ctx context.Context) (Homeserver, error) {
	a := p.account
	found, err := a.discover(ctx)
	if err != nil {
		return Homeserver{}, err
	}
	h := Homeserver{URL: found, Discovered: !strings.Contains(a.config.Homeserver, "://")}
	if err := a.clients(found); err != nil {
		return h, a.refused(ReasonServer, nil)
	}
	versions, err := a.client.Versions(ctx)
	if err != nil {
		return h, fmt.Errorf("ask for versions: %w", err)
	}
	if versions == nil || len(versions.Versions) == 0 {
		return h, errNoMatrix
	}
	h.Newest = versions.GetLatest().String()
	return h, nil
}

// errNoMatrix is an answer that no homeserver gives.
var errNoMatrix = errors.New("the answer is not that of a homeserver")

// Login is how the account gets in.
type Login struct {
	Device id.DeviceID
	// Stored: the device of an earlier start; else it is that of the access token.
	Stored bool
	// Again is set when the stored device has been logged out: the next start logs
	// it in with the password.
	Again bool
	// Renewed is set when an authentication service has let the account in: the access
	// token holds until Until, zero where that is not known, and the connector renews it.
	Renewed bool
	Until   time.Time
	// Unverified is set when the access token has run out. Whether the login holds is
	// not known then: only who runs may renew it.
	Unverified bool
}

// ErrNoDevice is what [Probe.Login] answers when the account has no device yet, so
// that only a login with the password can tell whether there will be one.
var ErrNoDevice = errors.New("no device yet")

// Login finds out what the next start will act as, like [Account.Open], and asks
// the homeserver whose token it is. What a person has to cure is a [*LoginError].
func (p *Probe) Login(ctx context.Context) (Login, error) {
	a := p.account
	found, err := p.stored(ctx)
	if err != nil {
		return Login{}, err
	}
	own := *a.self()
	if token := a.config.AccessToken; token != "" && token != own.Token {
		l, err := p.given(ctx, found)
		if !errors.Is(err, mautrix.MUnknownToken) || !found || own.Token == "" || own.Own {
			return l, err
		}
		a.acting.Store(&own) // the stored device is as good as it was
	}
	if !found || own.Token == "" {
		return Login{}, ErrNoDevice
	}
	return p.asStored(ctx)
}

// commitTime is longer than a running connector takes to store a token that it has
// renewed; the one before is not known to the homeserver any more by then.
const commitTime = time.Second

// asStored asks whose the stored login is.
func (p *Probe) asStored(ctx context.Context) (Login, error) {
	a := p.account
	own := *a.self()
	l, me, err := p.showToken(ctx)
	if own.Grant != nil && (l.Unverified || errors.Is(err, mautrix.MUnknownToken)) {
		if err := a.config.Pause(ctx, commitTime); err != nil {
			return l, err
		}
		if _, err := p.stored(ctx); err != nil {
			return l, err
		}
		if a.self().Token != own.Token { // a running connector has renewed it
			l, me, err = p.showToken(ctx)
		}
	}
	own = *a.self()
	switch {
	case l.Unverified:
		return l, nil
	case errors.Is(err, mautrix.MUnknownToken) && !own.Own && a.config.Password != "":
		l.Again = true
		return l, ErrNoDevice
	case errors.Is(err, mautrix.MUnknownToken) && own.Grant != nil:
		return l, a.refused(ReasonGrant, err)
	case err != nil:
		return l, a.accountState(err)
	case me.UserID != own.User:
		return l, a.refused(ReasonOtherUser, nil)
	case me.DeviceID != own.Device:
		return l, a.refused(ReasonOtherDevice, nil)
	}
	return l, nil
}

// showToken asks whose the stored token is, unless it has run out.
func (p *Probe) showToken(ctx context.Context) (l Login, me *mautrix.RespWhoami, err error) {
	a := p.account
	own := *a.self()
	a.use(own)
	l = Login{Device: own.Device, Stored: true}
	if own.Grant != nil {
		l.Renewed, l.Until = true, own.Grant.Until
		if l.Unverified = own.Grant.over(a.now()); l.Unverified {
			return l, nil, nil
		}
	}
	me, err = a.whoami(ctx)
	return l, me, err
}

// stored reads the device of earlier starts.
func (p *Probe) stored(ctx context.Context) (bool, error) {
	if p.account.store == nil {
		return false, nil
	}
	there, err := p.account.store.DB().TableExists(ctx, "matrix_account")
	if err != nil || !there {
		return false, err
	}
	return p.account.loadLogin(ctx)
}

// given looks at the access token of the settings.
func (p *Probe) given(ctx context.Context, found bool) (Login, error) {
	a := p.account
	stored := *a.self()
	a.use(credentials{User: a.config.UserID, Token: a.config.AccessToken})
	me, err := a.whoami(ctx)
	switch {
	case errors.Is(err, mautrix.MUnknownToken):
		return Login{}, a.refused(ReasonToken, err)
	case err != nil:
		return Login{}, a.accountState(err)
	case me.UserID != a.config.UserID:
		return Login{}, a.refused(ReasonOtherUser, fmt.Errorf("it is that of %s", me.UserID))
	case me.DeviceID == "":
		return Login{}, a.refused(ReasonNoDevice, nil)
	case found && stored.Device != me.DeviceID:
		a.acting.Store(&stored)
		return Login{}, a.refused(ReasonOtherDevice, nil)
	}
	a.use(credentials{User: me.UserID, Device: me.DeviceID, Token: a.config.AccessToken, Own: true})
	if !found {
		err = a.refuseForeignDevice(ctx)
	}
	return Login{Device: me.DeviceID, Stored: found}, err
}

// Rooms are the rooms that the account has joined.
func (p *Probe) Rooms(ctx context.Context) ([]id.RoomID, error) {
	joined, err := p.account.client.JoinedRooms(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for joined rooms: %w", err)
	}
	if joined == nil {
		return nil, errNoMatrix
	}
	return joined.JoinedRooms, nil
}

// Invites are the pending invites that the store knows.
func (p *Probe) Invites(ctx context.Context) ([]Invitation, error) {
	if p.account.store == nil {
		return nil, nil
	}
	there, err := p.account.store.DB().TableExists(ctx, "matrix_invite")
	if err != nil || !there {
		return nil, err
	}
	if there, err = p.account.store.DB().TableExists(ctx, "matrix_upgrade"); err != nil || !there {
		return p.account.pending(ctx) // written by an older version
	}
	return p.account.waiting(ctx)
}

// Welcome reports whether an invite will be accepted, and, where one setting
// decides, the line that would make it so.
func (v *Invites) Welcome(p Invitation) (welcome bool, setting string) {
	if v.welcome(p) {
		return true, ""
	}
	if !v.config.Rooms.Allows(p.Room, p.Alias) {
		return false, ""
	}
	return false, v.setting(p)
}

// Judge makes the judge of invites.
func (p *Probe) Judge(c InviteConfig) (*Invites, error) { return p.account.Invites(c) }

// Stored is the version of the account's tables in a store; 0 where it has none.
// store.ErrNewer when this program does not know it.
func Stored(ctx context.Context, s *store.Store) (int, error) {
	return s.TablesVersion(ctx, "matrix_version", upgrades)
}

// Brief says in a few words what a request met: a status with the homeserver's
// code, or the failure of the connection. It repeats no body and no URL, which may
// hold what other people wrote.
func Brief(err error) string {
	if e, ok := errors.AsType[*LoginError](err); ok {
		text := string(e.Reason)
		if len(e.Flows) > 0 {
			text += ", it offers " + strings.Join(e.Flows, ", ")
		}
		if (e.Reason == ReasonOtherUser || e.Reason == ReasonOtherPerson) && e.Err != nil {
			text += ": " + e.Err.Error()
		}
		return text
	}
	if e, ok := errors.AsType[*serviceError](err); ok {
		return e.brief()
	}
	if e, ok := errors.AsType[mautrix.HTTPError](err); ok && e.Response != nil {
		if e.RespError != nil && e.RespError.ErrCode != "" {
			return fmt.Sprintf("answered %d %s", e.Response.StatusCode, e.RespError.ErrCode)
		}
		if e.Response.StatusCode == http.StatusOK {
			return errNoMatrix.Error()
		}
		return fmt.Sprintf("answered %d, and not as a homeserver does", e.Response.StatusCode)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// Answered is the HTTP status that a request met; 0 where there was no answer.
func Answered(err error) int {
	if e, ok := errors.AsType[mautrix.HTTPError](err); ok && e.Response != nil {
		return e.Response.StatusCode
	}
	return 0
}

// NotMatrix reports whether something answered that is no homeserver.
func NotMatrix(err error) bool {
	if errors.Is(err, errNoMatrix) {
		return true
	}
	e, ok := errors.AsType[mautrix.HTTPError](err)
	return ok && e.Response != nil && (e.RespError == nil || e.RespError.ErrCode == "")
}
