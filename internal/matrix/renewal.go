package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// renewal keeps the access token of a grant good. Of all loops one renews at a time,
// and the others use what it gets.
//
// A refresh token is used once: the answer to it holds the next one. So the new tokens
// are stored before any of them is used. A process that is killed between the answer
// and the commit starts again with the old refresh token, which a service takes until
// it has seen one of the new tokens (Matrix C-S API, "Refresh token grant").
type renewal struct {
	// turn has one place: who holds it may touch the rest. nil: nothing is renewed. It
	// is taken before the store's writer, and held during a request to the service.
	turn chan struct{}

	unstored *credentials // new tokens that could not be stored yet
	lost     error        // that the service has ended the login; nil: it holds
	failed   error        // why the last attempt failed; nil: it did not
	failures int
	again    time.Time // when to try again
}

// Bounds of renewing.
const (
	// renewGrace is how long a renewal goes on when nobody waits for it any more: an
	// answer that is not read may cost the login.
	renewGrace = 3 * time.Second
	// renewTimeout bounds a request to the service.
	renewTimeout = 15 * time.Second
	// longestRenewPause bounds the pause between attempts, which begins with four
	// seconds.
	longestRenewPause = 30 * time.Second
	// young is a token that no other one can replace for the better: the homeserver
	// that refuses it will refuse the next one, too.
	young = 30 * time.Second
)

// take waits for the turn.
func (r *renewal) take(ctx context.Context) (release func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin forgets what belongs to the login before. The caller has the turn.
func (r *renewal) begin() {
	r.unstored, r.lost, r.failed, r.failures, r.again = nil, nil, nil, 0, time.Time{}
}

// token gives the token to send with a request: a renewed one, where the one in use is
// about to run out.
func (a *Account) token(ctx context.Context) (string, error) {
	c := a.self()
	if c.Grant == nil || !c.Grant.due(a.now()) {
		return c.Token, nil
	}
	if len(a.renewal.turn) > 0 && !c.Grant.over(a.now()) {
		return c.Token, nil // somebody is at it: a service that hangs holds up one request
	}
	fresh, err := a.renew(ctx, c.Token)
	if err != nil && !ended(err) && !c.Grant.over(a.now()) {
		return c.Token, nil // it still holds: the service has some time to come back
	}
	return fresh, err
}

// ended reports whether the service has ended the login.
func ended(err error) bool {
	e, ok := errors.AsType[*LoginError](err)
	return ok && e.Reason == ReasonGrant
}

// renew gives a token that is newer than used. A login that the service has ended is a
// [*LoginError]; it is asked once.
func (a *Account) renew(ctx context.Context, used string) (string, error) {
	release, err := a.renewal.take(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	r, c := &a.renewal, *a.self()
	switch {
	case c.Grant == nil, c.Token != used:
		return c.Token, nil // another loop was faster, or has logged in anew
	case r.lost != nil:
		return "", r.lost
	case a.now().Before(r.again):
		return "", r.failed
	}
	ctx, cancel := outliving(ctx, renewGrace)
	defer cancel()
	if r.unstored == nil {
		next, err := a.exchange(ctx, c)
		if err != nil {
			return "", a.notRenewed(ctx, err)
		}
		r.unstored = &next
	}
	next := *r.unstored
	if err := a.storeLogin(ctx, next); err != nil {
		return "", a.notRenewed(ctx, err)
	}
	if r.failures > 0 {
		a.log.InfoContext(ctx, "token renewed", slog.Int("attempts", r.failures+1))
	}
	r.begin()
	a.use(next)
	return next.Token, nil
}

// notRenewed notes a failure. The caller has the turn.
func (a *Account) notRenewed(ctx context.Context, err error) error {
	r := &a.renewal
	err = fmt.Errorf("renew token: %w", err)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if ended(err) {
		r.lost = err
		return err
	}
	f := Classify(err)
	r.failures++
	r.failed, r.again = err, a.now().Add(min(f.Backoff(r.failures), max(longestRenewPause, f.Delay)))
	if r.failures == 1 {
		a.log.WarnContext(ctx, "token not renewed", slog.Any("err", err), slog.String("class", string(f.Class)))
	}
	return err
}

// exchange gives the service the refresh token, and gets new tokens.
func (a *Account) exchange(ctx context.Context, c credentials) (credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	s, err := a.authService(ctx)
	if err != nil {
		return c, err
	}
	if s == nil || s.meta.TokenEndpoint == "" {
		// Somebody has to cure that, but it may be the homeserver's proxy.
		return c, &serviceError{What: "renew token", Err: errors.New("the homeserver names no authentication service")}
	}
	client, err := s.with(a, c)
	if err != nil {
		return c, err
	}
	asked, next := a.now(), c
	client.SaveNewToken = func(_ context.Context, refresh, access string, until time.Time) error {
		if access == "" {
			return errNoService
		}
		next.Token, next.Grant = access, &grant{Client: c.Grant.Client, Refresh: refresh, From: asked}
		// The library reckons by its own clock, from before the request.
		if life := time.Until(until).Round(time.Second); life > 0 {
			next.Grant.Until = asked.Add(life)
		}
		return nil
	}
	err = s.failure("use the refresh token", client.OAuthRefreshToken(ctx, 0))
	if e, ok := errors.AsType[*serviceError](err); ok && e.final() {
		return c, a.refused(ReasonGrant, err)
	}
	return next, err
}

// outliving gives a context that ends some time after its parent.
func outliving(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// bearer sends requests to the homeserver with a token that is good: renewed before it
// runs out, and once more where the homeserver does not know it. Requests that bear
// none are left alone.
type bearer struct {
	account *Account
	base    http.RoundTripper
}

// maxRefusalBytes bounds what is read of a refusal.
const maxRefusalBytes = 64 << 10

// RoundTrip sends the request.
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	a := b.account
	if a.self().Grant == nil || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		return b.base.RoundTrip(r)
	}
	token, err := a.token(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // nobody has read of it
		}
		return nil, err
	}
	res, err := b.base.RoundTrip(bearing(r, token))
	if err != nil || !unknownToken(res) || r.Body != nil && r.GetBody == nil {
		return res, err
	}
	if c := a.self(); c.Token == token && c.Grant != nil && a.now().Sub(c.Grant.From).Abs() < young {
		return res, nil
	}
	fresh, err := a.renew(r.Context(), token)
	_ = res.Body.Close() // it was read
	if err != nil {
		return nil, err
	}
	again := bearing(r, fresh)
	if r.Body != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("send again: %w", err)
		}
	}
	return b.base.RoundTrip(again)
}

// CloseIdleConnections closes what the base keeps open.
func (b *bearer) CloseIdleConnections() {
	if c, ok := b.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// bearing is the request with a token.
func bearing(r *http.Request, token string) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// unknownToken reports whether the homeserver refuses the token. The answer's body can
// still be read.
func unknownToken(res *http.Response) bool {
	if res.StatusCode != http.StatusUnauthorized {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusalBytes))
	_ = res.Body.Close() // all that counts was read
	res.Body = io.NopCloser(bytes.NewReader(body))
	var refusal struct {
		Code string `json:"errcode"`
	}
	return err == nil && json.Unmarshal(body, &refusal) == nil && refusal.Code == "M_UNKNOWN_TOKEN"
}
