package matrix

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// Open takes the device's lock, logs in or uses again what an earlier start has
// stored, and makes sure that the keys on the homeserver are the account's own. It
// may be called again after an error; after success it must not be.
//
// Errors that a person has to cure are [*LoginError], or store.ErrLocked.
func (a *Account) Open(ctx context.Context) error {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	if a.unlockDev == nil {
		// Before anything else: a second process of the same account would take the
		// room keys that are meant for this one.
		release, err := a.store.Lock("account " + a.config.UserID.String())
		if err != nil {
			return fmt.Errorf("open account: %w", err)
		}
		a.unlockDev = release
	}
	if err := a.open(ctx); err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	return nil
}

// OpenOffline opens the device of an earlier start without asking the homeserver, for what
// needs none of it: taking keys in, and reading what they open. [ErrNoAccount] where there
// is no such device.
func (a *Account) OpenOffline(ctx context.Context) error {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	release, err := a.store.Lock("account " + a.config.UserID.String())
	if err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	a.unlockDev = release
	if err := a.tables(ctx); err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	found, err := a.loadLogin(ctx)
	if err == nil && (!found || a.self().Device == "") {
		err = ErrNoAccount
	}
	if err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	if a.client, err = a.newClient("http://offline.invalid", offline{}); err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	if err := a.cryptoTables(ctx); err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	return nil
}

func (a *Account) open(ctx context.Context) error {
	if err := a.tables(ctx); err != nil {
		return err
	}
	if err := a.correctTimes(ctx); err != nil {
		return err
	}
	homeserver, err := a.discover(ctx)
	if err != nil {
		return err
	}
	if err := a.clients(homeserver); err != nil {
		return &LoginError{Reason: ReasonServer, Server: a.config.Homeserver, User: a.config.UserID, Err: err}
	}
	found, err := a.loadLogin(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.config.AccessToken != "" && a.config.AccessToken != a.self().Token:
		err = a.useToken(ctx, found)
	case found && a.self().Token != "":
		err = a.resume(ctx)
	default:
		err = a.logIn(ctx)
	}
	if err != nil {
		return err
	}
	return a.claimDevice(ctx)
}

// Entry is how an account gets in (closed set).
type Entry string

// The entries.
const (
	EntryStored   Entry = "stored"   // with the login of an earlier start
	EntryToken    Entry = "token"    // with the operator's token
	EntryPassword Entry = "password" // with a password, now
	EntryCode     Entry = "code"     // approved by a person, now
)

// refused makes the error that a person has to cure.
func (a *Account) refused(why Reason, err error) *LoginError {
	return &LoginError{Reason: why, Server: a.config.Homeserver, User: a.config.UserID, Device: a.self().Device, Err: err}
}

// whoami asks whose token the client has.
func (a *Account) whoami(ctx context.Context) (*mautrix.RespWhoami, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	me, err := a.client.Whoami(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask whose token it is: %w", err)
	}
	if me == nil {
		return nil, a.refused(ReasonServer, errors.New("empty answer"))
	}
	return me, nil
}

// use makes the client act with the credentials.
func (a *Account) use(c credentials) {
	a.acting.Store(&c)
	if a.client.UserID != c.User || a.client.DeviceID != c.Device {
		a.client.UserID, a.client.DeviceID = c.User, c.Device // by Open only
	}
	// Other loops may be using the client: this is its only setter that locks.
	a.client.OAuthSetTokens("", "", c.Token, time.Time{})
}

// resume uses the device of an earlier start.
func (a *Account) resume(ctx context.Context) error {
	a.use(*a.self())
	me, err := a.whoami(ctx)
	switch {
	case loggedOut(err):
		return a.loginAgain(ctx, err)
	case err != nil:
		return a.accountState(err)
	case me.UserID != a.self().User:
		return a.refused(ReasonOtherUser, nil)
	case me.DeviceID != a.self().Device:
		return a.refused(ReasonOtherDevice, nil)
	}
	a.entry.Store(EntryStored)
	return nil
}

// loggedOut reports whether the login that was acted with is over.
func loggedOut(err error) bool { return errors.Is(err, mautrix.MUnknownToken) || ended(err) }

// useToken starts with a token of the operator's: of a device that no other client
// uses, and of no other device than the stored one.
func (a *Account) useToken(ctx context.Context, found bool) error {
	stored := *a.self()
	a.use(credentials{User: a.config.UserID, Token: a.config.AccessToken})
	me, err := a.whoami(ctx)
	switch {
	case errors.Is(err, mautrix.MUnknownToken):
		if a.acting.Store(&stored); found && stored.Token != "" && !stored.Own {
			// The stored device is as good as it was.
			return a.resume(ctx)
		}
		return a.refused(ReasonToken, err)
	case err != nil:
		return a.accountState(err)
	case me.UserID != a.config.UserID:
		return a.refused(ReasonOtherUser, nil)
	case me.DeviceID == "":
		return a.refused(ReasonNoDevice, nil)
	case found && stored.Device != me.DeviceID:
		a.acting.Store(&stored)
		return a.refused(ReasonOtherDevice, nil)
	}
	next := credentials{User: me.UserID, Device: me.DeviceID, Token: a.config.AccessToken, PickleKey: stored.PickleKey, Own: true}
	if !found {
		next.PickleKey = newPickleKey()
		a.use(next)
		if err := a.refuseForeignDevice(ctx); err != nil {
			return err
		}
	}
	a.entry.Store(EntryToken)
	return a.saveLogin(ctx, next)
}

// logIn makes the device, or gets it a new login, in the way that the homeserver and
// the configuration have in common.
func (a *Account) logIn(ctx context.Context) error {
	flows, err := a.flows(ctx)
	if err != nil {
		return err
	}
	if a.config.Password != "" && flows.HasFlow(mautrix.AuthTypePassword) {
		return a.passwordLogin(ctx)
	}
	s, err := a.authService(ctx)
	if err != nil {
		return err
	}
	if s != nil && s.codes() && a.config.Approve != nil {
		return a.codeLogin(ctx, s)
	}
	return a.noWayIn(flows, s)
}

// noWayIn says why the account does not get in, where homeserver and configuration
// have no way in common.
func (a *Account) noWayIn(flows *mautrix.RespLoginFlows, s *service) error {
	e := a.refused(ReasonNoSecret, nil)
	e.Codes = s != nil && s.codes()
	switch password := flows.HasFlow(mautrix.AuthTypePassword); {
	case password: // and none is set
	case e.Codes:
		e.Reason = ReasonApproval
	case s != nil:
		e.Reason = ReasonNoCodes
	default:
		e.Reason = ReasonNoPasswordLogin
		for _, f := range flows.Flows {
			e.Flows = append(e.Flows, string(f.Type))
		}
	}
	return e
}

// chosen is the device to log in as: that of an earlier attempt, or a new one. Its id
// is stored before it is used, so that a start that dies in between does not leave a
// device behind and make another one.
func (a *Account) chosen(ctx context.Context) (credentials, error) {
	c := *a.self()
	if c.Device != "" {
		return c, nil
	}
	c = credentials{User: a.config.UserID, Device: newDeviceID(), PickleKey: newPickleKey()}
	return c, a.saveLogin(ctx, c)
}

// passwordLogin makes the device, or gives it a new token.
func (a *Account) passwordLogin(ctx context.Context) error {
	c, err := a.chosen(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := within(ctx)
	defer cancel()
	res, err := a.guest.Login(ctx, &mautrix.ReqLogin{
		Type:       mautrix.AuthTypePassword,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: c.User.String()},
		Password:   a.config.Password, DeviceID: c.Device, InitialDeviceDisplayName: a.config.DeviceName,
	})
	switch {
	case errors.Is(err, mautrix.MForbidden):
		return a.refused(ReasonPassword, err)
	case err != nil:
		return a.accountState(fmt.Errorf("log in: %w", err))
	case res == nil || res.AccessToken == "":
		return a.refused(ReasonServer, errors.New("login without a token"))
	case res.UserID != c.User:
		return a.refused(ReasonOtherUser, nil)
	}
	if res.DeviceID != c.Device {
		// A homeserver that insists on a name of its own: it is ours from here on,
		// as long as nothing was made for the other one.
		if c.Token != "" {
			return a.refused(ReasonOtherDevice, nil)
		}
		c.Device = res.DeviceID
	}
	c.Token, c.Own, c.Grant = res.AccessToken, false, nil
	a.entry.Store(EntryPassword)
	a.log.InfoContext(ctx, "logged in", slog.String("sender", c.User.String()), slog.String("device_id", c.Device.String()))
	return a.saveLogin(ctx, c)
}

// flows asks how the homeserver lets people in.
func (a *Account) flows(ctx context.Context) (*mautrix.RespLoginFlows, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	flows, err := a.guest.GetLoginFlows(ctx)
	if err != nil {
		if errors.Is(err, mautrix.MUnrecognized) || errors.Is(err, mautrix.MNotFound) {
			return &mautrix.RespLoginFlows{}, nil // only OAuth 2.0 there
		}
		if e, ok := errors.AsType[mautrix.HTTPError](err); ok && e.Response != nil && e.Response.StatusCode == http.StatusNotFound {
			return nil, a.refused(ReasonServer, errNoMatrix) // a homeserver names its errors
		}
		return nil, fmt.Errorf("ask for login flows: %w", err)
	}
	if flows == nil {
		return &mautrix.RespLoginFlows{}, nil
	}
	return flows, nil
}

// loginAgain answers a token that is not known any more: the same device gets a
// new one. Whether the homeserver still has its keys (a soft logout keeps them, a
// hard one and an administrator do not) is looked at afterwards, by claimDevice.
func (a *Account) loginAgain(ctx context.Context, cause error) error {
	switch {
	case a.config.AccessToken != "":
		return a.refused(ReasonToken, cause)
	case a.config.Password != "" || a.config.Approve != nil:
	case ended(cause):
		return a.accountState(cause)
	case a.self().Grant != nil:
		return a.refused(ReasonGrant, cause)
	default:
		return a.refused(ReasonToken, cause)
	}
	a.log.WarnContext(ctx, "token is not known any more, logging in to the same device",
		slog.String("device_id", a.self().Device.String()), slog.Bool("soft_logout", softLogout(cause)))
	return a.logIn(ctx)
}

func softLogout(err error) bool {
	e, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || e.RespError == nil {
		return false
	}
	soft, _ := e.RespError.ExtraData["soft_logout"].(bool)
	return soft
}

// accountState turns what a homeserver says about the account into what cures it.
func (a *Account) accountState(err error) error {
	if e, ok := errors.AsType[*LoginError](err); ok {
		return e // met on the way: the request that met it says no more
	}
	e, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || e.RespError == nil {
		return err
	}
	switch e.RespError.ErrCode {
	case "M_USER_LOCKED":
		return a.refused(ReasonLocked, err)
	case "M_USER_SUSPENDED":
		return a.refused(ReasonSuspended, err)
	case "M_USER_DEACTIVATED":
		return a.refused(ReasonDeactivated, err)
	case "M_UNKNOWN_TOKEN", "M_MISSING_TOKEN":
		return a.refused(ReasonToken, err)
	}
	return err
}

// newDeviceID is ten capital letters, as homeservers make them.
func newDeviceID() id.DeviceID {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	for i := range b {
		b[i] = 'A' + b[i]%26
	}
	return id.DeviceID(b)
}

func newPickleKey() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return b
}
