package matrix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/oauth"
)

// Approval is what a person has to do so that an authentication service lets the
// account in (RFC 8628): open a page, in any browser on any machine, log in there as
// the account, and confirm the code.
type Approval struct {
	Page string // to open
	Code string // to enter there
	Link string // the page with the code in it; empty where there is none
	Life time.Duration
}

// The client as it registers. A service may show name and address to who approves.
const (
	clientName = "matrix-connector for OpenCTI"
	clientURI  = "https://github.com/matrix-connector/matrix-connector"
)

// Times of polling (RFC 8628 §3.2, §3.5).
const (
	usualInterval   = 5 * time.Second
	slowerBy        = 5 * time.Second // after every slow_down
	longestPoll     = time.Minute     // between tries of a service that is away
	usualCodeLife   = 10 * time.Minute
	longestCodeLife = time.Hour // nobody waits longer for a person
)

// codeLogin lets a person approve the login (Matrix C-S API v1.18, "Device
// authorisation flow"). The device is ours to choose.
func (a *Account) codeLogin(ctx context.Context, s *service) error {
	c, err := a.chosen(ctx)
	if err != nil {
		return err
	}
	client, err := a.register(ctx, s)
	if err != nil {
		return err
	}
	asked := a.now()
	code, err := s.code(ctx, client, c)
	if err != nil {
		return a.notAdmitted(ReasonNoCodes, err)
	}
	if err := a.config.Approve(ctx, Approval{
		Page: code.VerificationURI, Code: code.UserCode, Link: code.VerificationURIComplete, Life: code.ExpiresIn.Duration,
	}); err != nil {
		return fmt.Errorf("show the code: %w", err)
	}
	c.Own, c.Grant = false, &grant{Client: client}
	if err := a.await(ctx, s, code, asked.Add(code.ExpiresIn.Duration), &c); err != nil {
		return err
	}
	if err := a.verifyApproval(ctx, c); err != nil {
		return a.undo(ctx, s, c, err)
	}
	if err := a.saveLogin(ctx, c); err != nil {
		return a.undo(ctx, s, c, err)
	}
	a.entry.Store(EntryCode)
	a.log.InfoContext(ctx, "logged in", slog.String("sender", c.User.String()), slog.String("device_id", c.Device.String()))
	a.nameDevice(ctx)
	return nil
}

// register makes this program known to the service. That is done for every login
// anew: a service may forget clients that nobody has logged in with.
func (a *Account) register(ctx context.Context, s *service) (client string, err error) {
	ctx, cancel := within(ctx)
	defer cancel()
	known, err := s.client.OAuthRegisterClient(ctx, &oauth.ClientMetadata{
		ClientName: clientName, ClientURI: clientURI, ApplicationType: oauth.ApplicationTypeNative,
		GrantTypes:              []oauth.GrantType{oauth.GrantTypeDeviceCode, oauth.GrantTypeRefreshToken},
		TokenEndpointAuthMethod: oauth.AuthMethodNone, // a program that anybody can read keeps no secret
	})
	const what = "register with the authentication service"
	switch {
	case err != nil:
		return "", a.notAdmitted(ReasonRegistration, s.failure(what, err))
	case known == nil || known.ClientID == "":
		return "", &serviceError{What: what, Status: http.StatusOK, Err: errNoService}
	case len(known.GrantTypes) > 0 && !slices.Contains(known.GrantTypes, oauth.GrantTypeDeviceCode):
		// What was asked for is what the service had offered, and is left out.
		return "", a.refused(ReasonNoCodes, nil)
	}
	return known.ClientID, nil
}

// notAdmitted says what cures a service's refusal.
func (a *Account) notAdmitted(why Reason, err error) error {
	if e, ok := errors.AsType[*serviceError](err); ok && e.final() {
		return a.refused(why, err)
	}
	return err
}

// code asks for a code.
func (s *service) code(ctx context.Context, client string, c credentials) (*oauth.DeviceCodeResponse, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	const what = "ask for a code"
	code, err := s.client.OAuthGenerateDeviceCode(ctx, oauth.GenerateDeviceCodeParams{
		ClientID: client, Scopes: oauth.ScopeList{oauth.ScopeClientAPI, oauth.ScopeDevice(c.Device)},
	})
	switch {
	case err != nil:
		return nil, s.failure(what, err)
	case code == nil || code.DeviceCode == "" || code.UserCode == "" || baseURL(code.VerificationURI) != nil:
		return nil, &serviceError{What: what, Status: http.StatusOK, Err: errNoService}
	}
	if baseURL(code.VerificationURIComplete) != nil {
		code.VerificationURIComplete = ""
	}
	if code.ExpiresIn.Duration <= 0 {
		code.ExpiresIn.Duration = usualCodeLife
	}
	code.ExpiresIn.Duration = min(code.ExpiresIn.Duration, longestCodeLife)
	if code.Interval.Duration <= 0 {
		code.Interval.Duration = usualInterval
	}
	code.Interval.Duration = min(code.Interval.Duration, code.ExpiresIn.Duration)
	return code, nil
}

// await asks whether somebody has approved, until somebody has or the code has run
// out, and puts the tokens into c.
func (a *Account) await(ctx context.Context, s *service, code *oauth.DeviceCodeResponse, until time.Time, c *credentials) error {
	interval, failures := code.Interval.Duration, 0
	var last error // of those that may pass
	for {
		wait := interval
		if failures > 0 { // a service that is away is asked less and less often
			wait = max(interval, min(interval<<min(failures, 6), longestPoll))
		}
		if err := a.config.Pause(ctx, wait); err != nil {
			return err
		}
		if !a.now().Before(until) {
			return a.refused(ReasonCode, last)
		}
		asked := a.now()
		tokens, err := s.poll(ctx, c.Grant.Client, code.DeviceCode)
		e, _ := errors.AsType[*serviceError](err)
		switch {
		case err == nil:
			c.Token, c.Grant.Refresh, c.Grant.From = tokens.AccessToken, tokens.RefreshToken, asked
			if tokens.ExpiresIn.Duration > 0 {
				c.Grant.Until = asked.Add(tokens.ExpiresIn.Duration)
			}
			return nil
		case e == nil:
			return err
		case e.Code == codePending:
			failures, last = 0, nil
		case e.Code == codeSlower:
			interval += slowerBy
		case e.Code == codeDenied:
			return a.refused(ReasonDenied, nil)
		case e.Code == codeExpired:
			return a.refused(ReasonCode, nil)
		case e.final():
			// The answer to the last question was lost, and a code is good once.
			return a.refused(ReasonCode, err)
		default:
			failures, last = failures+1, err
			interval = max(interval, min(e.Delay, longestPoll))
		}
	}
}

// poll asks once whether the login was approved.
func (s *service) poll(ctx context.Context, client, code string) (*oauth.TokenResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	const what = "ask whether the login is approved"
	tokens, err := s.client.OAuthPollDeviceCode(ctx, oauth.PollDeviceCodeParams{ClientID: client, DeviceCode: code})
	if err == nil && (tokens == nil || tokens.AccessToken == "" || tokens.RefreshToken == "") {
		// A refresh token comes with every login (Matrix C-S API, "Device authorization grant").
		return nil, &serviceError{What: what, Status: http.StatusOK, Err: errNoService}
	}
	return tokens, s.failure(what, err)
}

// verifyTries is how often a homeserver is asked whose token a new one is: it may hear
// of it a moment later than we.
const verifyTries = 4

// verifyApproval makes sure that the tokens are those of the account and the device
// that were asked for. Who approves is logged in to a browser, most often as somebody
// else.
func (a *Account) verifyApproval(ctx context.Context, c credentials) error {
	client, err := a.newClient(a.client.HomeserverURL.String(), a.transport())
	if err != nil {
		return err
	}
	client.AccessToken = c.Token
	var me *mautrix.RespWhoami
	for try := 1; ; try++ {
		asking, cancel := within(ctx)
		me, err = client.Whoami(asking)
		cancel()
		if err == nil || try == verifyTries {
			break
		}
		if err := a.config.Pause(ctx, time.Second<<try); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return a.accountState(fmt.Errorf("ask whose token it is: %w", err))
	case me == nil:
		return a.refused(ReasonServer, errNoMatrix)
	case me.UserID != c.User:
		return a.refused(ReasonOtherPerson, fmt.Errorf("it is %s", me.UserID))
	case me.DeviceID != c.Device:
		return a.refused(ReasonOtherDevice, fmt.Errorf("it is %s", me.DeviceID))
	}
	return nil
}

// undo ends a login that is not used, and gives why it is not.
func (a *Account) undo(ctx context.Context, s *service, c credentials, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	if err := s.revoke(ctx, a, c); err != nil {
		return fmt.Errorf("%w; the login that was made is still there: %w", why, err)
	}
	return why
}

// nameDevice gives the device the name that people see: a login by a service has none.
func (a *Account) nameDevice(ctx context.Context) {
	ctx, cancel := within(ctx)
	defer cancel()
	err := a.client.SetDeviceInfo(ctx, a.self().Device, &mautrix.ReqDeviceInfo{DisplayName: a.config.DeviceName})
	if err != nil {
		a.log.WarnContext(ctx, "device not named", slog.Any("err", err))
	}
}

// pauseFor waits by a timer.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
