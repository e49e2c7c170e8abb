package check

import (
	"context"
	"errors"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/network"
)

// reading looks at the half that reads: homeserver, account, device, rooms.
type reading struct {
	settings *config.Config
	storage  *storage
	dates    *dates
	now      func() time.Time

	probe *matrix.Probe
	login matrix.Login
	trial *matrix.Trial // of an account without a device
	trust matrix.Trust
}

func (r *reading) steps() []step {
	return []step{
		{name: Homeserver, ask: r.homeserver},
		{name: Login, needs: []string{Homeserver}, ask: r.logIn, grace: 10 * time.Second},
		{name: Device, needs: []string{Login}, ask: r.device},
		{name: Backup, needs: []string{Device}, ask: r.backup},
		{name: Keys, needs: []string{Device}, ask: r.keys},
		{name: Rooms, needs: []string{Login}, ask: r.rooms},
	}
}

// homeserver finds the client-server API and asks for its versions.
func (r *reading) homeserver(ctx context.Context) Line {
	s := r.settings
	base, err := network.Homeserver(s)
	if err != nil {
		return failed(Homeserver, err.Error(), connector.Hint(err))
	}
	r.probe = matrix.NewProbe(matrix.Config{
		Homeserver: string(s.Matrix.Server), UserID: id.UserID(s.Matrix.UserID),
		Password: s.Matrix.Password.Reveal(), AccessToken: s.Matrix.AccessToken.Reveal(), RecoveryKey: s.Matrix.RecoveryKey.Reveal(),
		Store: r.storage.open, Transport: r.dates.watch("homeserver", base), Now: r.now,
	})
	found, err := r.probe.Homeserver(ctx)
	address := found.URL
	if address == "" {
		address = string(s.Matrix.Server)
	}
	if err != nil {
		return r.unreachable(address, err).with("url", address)
	}
	l := fine(Homeserver, found.URL+" speaks Matrix "+found.Newest)
	if found.Discovered {
		l.Says = found.URL + ", found by the name " + string(s.Matrix.Server) + ", speaks Matrix " + found.Newest
	}
	if exposed(found.URL) {
		l = warning(Homeserver, l.Says+", without TLS: the password and the token can be read on the way", "write https:// in MATRIX_SERVER")
	}
	return l.with("url", found.URL).with("version", found.Newest).with("discovered", found.Discovered)
}

// unreachable says why no homeserver answers.
func (r *reading) unreachable(address string, err error) Line {
	_, server, _ := strings.Cut(string(r.settings.Matrix.UserID), ":")
	byName := "or to the server name " + server + ", whose .well-known is then asked"
	status := matrix.Answered(err)
	switch {
	case connector.Hint(err) != "":
		return failed(Homeserver, place(address)+": "+matrix.Brief(err), connector.Hint(err))
	case late(err):
		return silence(Homeserver, "the homeserver at", place(address), "MATRIX_SERVER", proxyOf(address))
	case status >= 500:
		return failed(Homeserver, place(address)+": "+matrix.Brief(err),
			"the homeserver, or a proxy before it, is out of order: try again, or ask who runs it (MATRIX_SERVER)")
	case status >= 300 && status < 400:
		return failed(Homeserver, place(address)+" redirects elsewhere", "set MATRIX_SERVER to the address that it redirects to")
	case matrix.NotMatrix(err), status != 0:
		return failed(Homeserver, place(address)+": "+matrix.Brief(err),
			"set MATRIX_SERVER to the URL of the homeserver itself, not of a web client, "+byName)
	case !r.settings.Matrix.Server.IsURL():
		return failed(Homeserver, "no homeserver is found by the name "+string(r.settings.Matrix.Server)+": "+matrix.Brief(err),
			"set MATRIX_SERVER to the homeserver's URL, like https://matrix."+server)
	}
	return failed(Homeserver, place(address)+": "+matrix.Brief(err), "check host and port in MATRIX_SERVER")
}

// logIn finds out whether the account gets in, and as which device.
func (r *reading) logIn(ctx context.Context) Line {
	s := r.settings
	if r.storage.open == nil && r.storage.known {
		return skipped(Login, "because the store cannot be read, and with it the bot's device")
	}
	login, err := r.probe.Login(ctx)
	r.login = login
	user := string(s.Matrix.UserID)
	if errors.Is(err, matrix.ErrNoDevice) {
		return r.try(ctx)
	}
	if err != nil {
		return r.refused(err)
	}
	if login.Renewed {
		return r.renewed(login)
	}
	how := "with the stored device"
	if !login.Stored {
		how = "with MATRIX_ACCESS_TOKEN"
	}
	return fine(Login, user+" is logged in "+how).with("user_id", user).with("device_id", string(login.Device))
}

// renewed tells of a login by the homeserver's authentication service, whose access
// token runs out and is renewed by who runs.
func (r *reading) renewed(login matrix.Login) Line {
	user := string(r.settings.Matrix.UserID)
	until := login.Until.UTC().Format("15:04:05 UTC")
	l := fine(Login, user+" is logged in with the stored device, by the authentication service")
	switch {
	case login.Unverified && r.storage.running:
		l = warning(Login, user+" has a login by the authentication service, whose token ran out at "+until+"; the running connector has not renewed it",
			"see matrix-connector health for what keeps it from that")
	case login.Unverified:
		// Whoever renews it takes the only copy: that must be who stores it.
		l = warning(Login, user+" has a login by the authentication service; its token ran out at "+until+", as it does while no connector runs, and whether the login still holds a check cannot tell",
			"start the connector, or run matrix-connector login, which tells")
	case !login.Until.IsZero():
		l.Says += "; its token holds until " + until + " and is renewed by the connector"
	}
	if !login.Until.IsZero() {
		l = l.with("token_until", login.Until.UTC().Format(time.RFC3339))
	}
	return l.with("user_id", user).with("device_id", string(login.Device)).with("verified", !login.Unverified)
}

// try logs in with the password and out again.
func (r *reading) try(ctx context.Context) Line {
	user := string(r.settings.Matrix.UserID)
	trial, err := r.probe.Trial(ctx)
	if err == nil {
		r.trial = &trial
	}
	if trial.LeftErr != nil {
		return warning(Login, "the password is right, but the device of this check could not be logged out: "+matrix.Brief(trial.LeftErr),
			"log the device "+string(trial.Device)+" of MATRIX_USER_ID out in any Matrix client").with("user_id", user).with("left_device", string(trial.Device))
	}
	if err != nil {
		return r.refused(err)
	}
	says := user + " can log in with its password; its device is made at the first start"
	if r.login.Again {
		return warning(Login, "the device "+string(r.login.Device)+" was logged out; the next start logs it in again with the password",
			"find out who logged it out: what was encrypted meanwhile may stay unread").with("user_id", user)
	}
	return fine(Login, says).with("user_id", user)
}

// refused says why the account does not get in.
func (r *reading) refused(err error) Line {
	user := string(r.settings.Matrix.UserID)
	if f := matrix.Classify(err); f.Class == matrix.ClassRateLimited {
		wait := "a while"
		if f.Delay > 0 {
			wait = rounded(f.Delay)
		}
		return warning(Login, "the homeserver wants no more logins for now, so that the password is not verified", "check again in "+wait).with("user_id", user)
	}
	if late(err) {
		return failed(Login, "the homeserver does not answer", "try again; if it stays so, ask who runs the homeserver of MATRIX_SERVER").with("user_id", user)
	}
	hint := connector.Hint(err)
	if e, ok := errors.AsType[*matrix.LoginError](err); ok && e.Reason == matrix.ReasonPassword {
		hint += "; the account has to be one of the homeserver of MATRIX_SERVER, " + string(r.settings.Matrix.Server)
	}
	if hint == "" {
		hint = "check MATRIX_USER_ID and MATRIX_PASSWORD, or ask who runs the homeserver"
	}
	return failed(Login, user+": "+matrix.Brief(err), hint).with("user_id", user)
}

// tokenOver is why nothing can be asked in the account's name.
const tokenOver = "because the token ran out, and only the connector may renew it"

// device tells what others see of the bot's device.
func (r *reading) device(ctx context.Context) Line {
	if r.trial != nil {
		return skipped(Device, "because the device is made at the first start")
	}
	if r.login.Device == "" {
		return skipped(Device, "because nobody is logged in")
	}
	if r.login.Unverified {
		return skipped(Device, tokenOver).with("device_id", string(r.login.Device))
	}
	name := string(r.login.Device)
	trust, err := r.probe.Trust(ctx, r.settings.Matrix.RecoveryKeyOut != "")
	if err != nil {
		return failed(Device, "the keys of device "+name+": "+matrix.Brief(err), "try again, or ask who runs the homeserver of MATRIX_SERVER")
	}
	r.trust = trust
	l := fine(Device, name+" is cross-signed")
	switch {
	case trust.Signed:
	case trust.Problem == "" && trust.Identity:
		l = warning(Device, name+" is not cross-signed yet: the next start signs it, or the running connector within a day", "start the connector, or start it again")
	case trust.Problem == "":
		l = warning(Device, name+" is not cross-signed yet: the next start makes an identity for the account and signs it", "start the connector, or start it again")
	default:
		l = warning(Device, name+" is not cross-signed, because "+string(trust.Problem)+": clients that keep to MSC4153 send it no keys, and what they say in encrypted rooms stays unread",
			trust.Problem.Hint(r.probe.UserID()))
	}
	return l.with("device_id", name).with("keys", trust.Keys).with("cross_signed", trust.Signed).with("identity", trust.Identity)
}
