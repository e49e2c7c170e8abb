package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/oauth"
)

// service is the homeserver's authentication service: the authorization server of
// the OAuth 2.0 API (Matrix C-S API v1.15), such as the Matrix Authentication Service.
//
// The library's requests are used, its renewal is not: it takes a token without
// expires_in for one that has run out, goes by a clock of its own, and sends a request
// again for ever whose token was revoked before its time (mautrix v0.31.0,
// shouldRetryWithRefreshedToken).
type service struct {
	client *mautrix.Client // has no token of the homeserver
	meta   *oauth.ServerMetadata
}

// maxServiceBytes bounds the answers of an authentication service.
const maxServiceBytes = 1 << 20

// authService finds the homeserver's authentication service; nil where it has none.
func (a *Account) authService(ctx context.Context) (*service, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	client, err := a.newClient(a.client.HomeserverURL.String(), a.transport())
	if err != nil {
		return nil, a.refused(ReasonServer, nil)
	}
	client.ResponseSizeLimit = maxServiceBytes
	meta, err := client.OAuthGetServerMetadata(ctx)
	if err != nil {
		err = serviceFailure("ask for the authentication service", err)
		if e, ok := errors.AsType[*serviceError](err); ok && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed) {
			return nil, nil
		}
		return nil, err
	}
	if meta == nil {
		return nil, &serviceError{What: "ask for the authentication service", Status: http.StatusOK, Err: errNoService}
	}
	s := &service{client: client, meta: meta}
	for _, at := range []string{meta.TokenEndpoint, meta.RegistrationEndpoint, meta.RevocationEndpoint, meta.DeviceAuthorizationEndpoint} {
		if err := s.usable(at); err != nil {
			return nil, a.refused(ReasonService, err)
		}
	}
	return s, nil
}

// usable reports what keeps an address from being one of the service's. Tokens that
// the homeserver is told over TLS are told to nobody without.
func (s *service) usable(at string) error {
	if at == "" {
		return nil // who needs it says so
	}
	if err := baseURL(at); err != nil {
		return err
	}
	if s.client.HomeserverURL.Scheme == "https" && !strings.HasPrefix(at, "https://") {
		return errors.New("one of its addresses is without TLS")
	}
	return nil
}

// codes reports whether the service lets people in with a code (RFC 8628).
func (s *service) codes() bool {
	return s.meta.DeviceAuthorizationEndpoint != "" && s.meta.TokenEndpoint != "" && s.meta.RegistrationEndpoint != ""
}

// with gives a client that has a login's tokens. It acts once: its renewal is not used.
func (s *service) with(a *Account, c credentials) (*mautrix.Client, error) {
	client, err := a.newClient(s.client.HomeserverURL.String(), a.transport())
	if err != nil {
		return nil, err
	}
	client.ResponseSizeLimit = maxServiceBytes
	client.OAuthSetServerMetadata(s.meta)
	client.OAuthSetTokens(c.Grant.Client, c.Grant.Refresh, c.Token, time.Time{})
	return client, nil
}

// revoke ends a login at the service; its device goes with it.
func (s *service) revoke(ctx context.Context, a *Account, c credentials) error {
	const what = "revoke the login"
	if s.meta.RevocationEndpoint == "" {
		return &serviceError{What: what, Err: errors.New("the authentication service offers no way")}
	}
	client, err := s.with(a, c)
	if err != nil {
		return err
	}
	return s.failure(what, client.OAuthRevokeToken(ctx))
}

// failure is serviceFailure of a request to the service itself.
func (s *service) failure(what string, err error) error {
	err = serviceFailure(what, err)
	if e, ok := errors.AsType[*serviceError](err); ok && e.Status == 0 {
		if at, err := url.Parse(s.meta.TokenEndpoint); err == nil {
			e.At = at.Host
		}
	}
	return err
}

// errNoService is an answer that no authentication service gives.
var errNoService = errors.New("the answer is not that of an authentication service")

// errSlowService is a service that takes too long. It is no end of a context: nobody
// has ended anything.
var errSlowService = errors.New("no answer in time")

// The codes of RFC 8628 §3.5.
const (
	codePending = "authorization_pending"
	codeSlower  = "slow_down"
	codeExpired = "expired_token"
	codeDenied  = "access_denied"
)

// finalCodes are what a token endpoint answers when the same request will be refused
// again (RFC 6749 §5.2). Others are not believed: a proxy may have an "error", too.
var finalCodes = []string{
	"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request",
}

// registrationCodes are those of a registration (RFC 7591 §3.2.2).
var registrationCodes = []string{
	"invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement",
}

// serviceError is a request that an authentication service did not grant. It holds no
// body: that of a token may be in it.
type serviceError struct {
	What   string // what was asked for
	Status int    // of HTTP; 0: no answer
	Code   string // the service's own, RFC 6749 §5.2; empty: something else answered
	Says   string // in the service's words, where it has some
	Delay  time.Duration
	Err    error  // of the connection
	At     string // where the service is, which did not answer
}

// Error says what was asked for, and what came of it.
func (e *serviceError) Error() string { return e.What + ": " + e.brief() }

func (e *serviceError) brief() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Says != "" && e.Code != "invalid_grant": // which says all
		return fmt.Sprintf("answered %d %s (%s)", e.Status, e.Code, e.Says)
	case e.Code != "":
		return fmt.Sprintf("answered %d %s", e.Status, e.Code)
	}
	return fmt.Sprintf("answered %d, and not as an authentication service does", e.Status)
}

// Unwrap gives the failure of the connection.
func (e *serviceError) Unwrap() error { return e.Err }

// Hint says what a person can do: that of the connection, where it knows a setting
// that cures it. Which address was not reached is no setting of ours.
func (e *serviceError) Hint() string {
	h, ok := errors.AsType[interface {
		error
		Hint() string
		Lasting() bool
	}](e.Err)
	switch {
	case ok && (e.At == "" || h.Lasting()):
		return h.Hint()
	case e.At != "":
		return "this machine has to reach the homeserver's authentication service, too: it is at " + e.At
	}
	return ""
}

// failure classifies it. What no service has said may pass.
func (e *serviceError) failure() Failure {
	switch {
	case e.Status == http.StatusTooManyRequests:
		return Failure{Class: ClassRateLimited, Delay: e.Delay}
	case e.Status >= 400 && e.Status < 500 &&
		(slices.Contains(finalCodes, e.Code) || slices.Contains(registrationCodes, e.Code)):
		return Failure{Class: ClassPermanent}
	}
	return Failure{Class: ClassTemporary, Delay: e.Delay}
}

// final reports whether the service itself says that asking again is of no use.
func (e *serviceError) final() bool { return e.failure().Class == ClassPermanent }

// serviceFailure makes a [*serviceError] of a library's error; one that a caller has
// brought about by ending its context stays what it is.
func serviceFailure(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	out := &serviceError{What: what}
	e, ok := errors.AsType[mautrix.HTTPError](err)
	switch {
	case ok && e.Response != nil:
		out.Status = e.Response.StatusCode
		out.Delay = askedDelay(e)
		if e.RespError != nil {
			out.Code, out.Says = e.RespError.ErrCode, briefly(e.RespError.Err)
		}
		if out.Status < 300 {
			out.Err = errNoService // the error quotes what could not be read
		}
	case errors.Is(err, context.DeadlineExceeded):
		out.Err = errSlowService
	default:
		out.Err = err
		if u, ok := errors.AsType[*url.Error](err); ok {
			out.Err = u.Err
		}
	}
	return out
}

// briefly is what another server says, fit for a line.
func briefly(text string) string {
	const most = 200
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
