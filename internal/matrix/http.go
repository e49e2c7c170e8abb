package matrix

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix"

	"github.com/matrix-connector/matrix-connector/internal/crash"
)

// Times of requests. A request for news has its own, see [Account.poll].
const (
	requestTimeout   = 2 * time.Minute
	firstSyncTimeout = 15 * time.Minute // servers take minutes for thousands of rooms
	syncGrace        = 2 * time.Minute  // on top of the long poll
)

// userAgent names the program to homeserver administrators.
const userAgent = "matrix-connector"

// newClient makes a client for everything but media.
func (a *Account) newClient(homeserver string, through http.RoundTripper) (*mautrix.Client, error) {
	c, err := mautrix.NewClient(homeserver, "", "")
	if err != nil {
		return nil, err
	}
	c.Client = &http.Client{Transport: through}
	c.UserAgent = userAgent
	c.ResponseSizeLimit = a.config.Limits.Response
	// Retries belong to the loops above: only they know what waits meanwhile.
	c.DefaultHTTPRetries = 0
	return c, nil
}

// clients makes the two clients of the homeserver: what bears a token goes by the
// first, what is asked before there is one by the second.
func (a *Account) clients(homeserver string) (err error) {
	if a.client, err = a.newClient(homeserver, a.authorised()); err == nil {
		a.guest, err = a.newClient(homeserver, a.transport())
	}
	return err
}

// authorised is what requests with the account's token go through.
func (a *Account) authorised() http.RoundTripper {
	if a.renewal.turn == nil {
		return a.transport()
	}
	return &bearer{account: a, base: a.transport()}
}

// transport is what every request of the account goes through.
func (a *Account) transport() http.RoundTripper {
	base := a.config.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	return &requests{base: base, log: a.log, debug: a.config.Debug}
}

// requests logs requests without what they carry.
type requests struct {
	base  http.RoundTripper
	log   *slog.Logger
	debug bool
}

// RoundTrip sends the request.
func (t *requests) RoundTrip(r *http.Request) (*http.Response, error) {
	started := time.Now()
	crash.At("homeserver: before", r.URL.Path)
	res, err := t.base.RoundTrip(r)
	crash.At("homeserver: after", r.URL.Path)
	if t.debug {
		status := 0
		if res != nil {
			status = res.StatusCode
		}
		t.log.DebugContext(r.Context(), "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", status), slog.Duration("duration", time.Since(started)), slog.Bool("failed", err != nil))
	}
	return res, err
}

// CloseIdleConnections closes what the base keeps open.
func (t *requests) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// within bounds an ordinary request.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestTimeout)
}

// Class is the class of a failure: what to do about it (closed set).
type Class string

// The classes. What is not known is temporary.
const (
	ClassTemporary    Class = "temporary"
	ClassRateLimited  Class = "rate_limited"
	ClassUnauthorized Class = "unauthorized" // the account or its token is not accepted
	ClassPermanent    Class = "permanent"    // the same request will be refused again
	ClassCancelled    Class = "cancelled"
)

// Failure is a classified error.
type Failure struct {
	Class Class
	// Delay is how long the homeserver asks to wait; zero where it does not say.
	Delay time.Duration
}

// Bounds of waiting. A homeserver's own word counts for up to an hour: Synapse
// asks for minutes after too many logins.
const (
	firstBackoff = 4 * time.Second
	maxBackoff   = 10 * time.Minute
	maxAsked     = time.Hour
)

// Backoff is how long to wait before try number attempt (from 1): what the
// homeserver asked for, else 4 s doubling up to 10 min (4, 8, 16, 32, 64 s …).
func (f Failure) Backoff(attempt int) time.Duration {
	if f.Delay > 0 {
		return min(f.Delay, maxAsked)
	}
	d := firstBackoff
	for i := 1; i < attempt && d < maxBackoff; i++ {
		d *= 2
	}
	return min(d, maxBackoff)
}

// Classify says what kind of failure err is. nil and unknown errors are temporary.
func Classify(err error) Failure {
	if errors.Is(err, context.Canceled) {
		return Failure{Class: ClassCancelled}
	}
	if e, ok := errors.AsType[*LoginError](err); ok {
		return Failure{Class: e.Reason.class()}
	}
	if e, ok := errors.AsType[*serviceError](err); ok {
		return e.failure()
	}
	e, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || e.Response == nil {
		return Failure{Class: ClassTemporary}
	}
	code := ""
	if e.RespError != nil {
		code = e.RespError.ErrCode
	}
	status := e.Response.StatusCode
	switch {
	case status == http.StatusTooManyRequests || code == "M_LIMIT_EXCEEDED":
		return Failure{Class: ClassRateLimited, Delay: askedDelay(e)}
	case code == "M_USER_LOCKED":
		return Failure{Class: ClassUnauthorized}
	case status == http.StatusUnauthorized, code == "M_UNKNOWN_TOKEN", code == "M_MISSING_TOKEN",
		code == "M_USER_SUSPENDED", code == "M_USER_DEACTIVATED":
		return Failure{Class: ClassUnauthorized}
	case status >= 500, status == http.StatusRequestTimeout, status < 400:
		// Below 400: the answer itself could not be read.
		return Failure{Class: ClassTemporary, Delay: askedDelay(e)}
	case code == "" && status != http.StatusNotFound:
		// Not a homeserver's words: something in between answered.
		return Failure{Class: ClassTemporary}
	}
	return Failure{Class: ClassPermanent}
}

// askedDelay is how long the answer asks to wait: the Retry-After header (Matrix
// C-S API v1.10, "Rate limiting"), else the older retry_after_ms of the body, which
// is all that Dendrite sends.
func askedDelay(e mautrix.HTTPError) time.Duration {
	if h := strings.TrimSpace(e.Response.Header.Get("Retry-After")); h != "" {
		if s, err := strconv.ParseInt(h, 10, 32); err == nil && s >= 0 {
			return max(time.Duration(s)*time.Second, time.Millisecond)
		}
		if at, err := http.ParseTime(h); err == nil {
			return max(time.Until(at), time.Millisecond)
		}
	}
	if e.RespError != nil {
		if ms, ok := e.RespError.ExtraData["retry_after_ms"].(float64); ok && ms > 0 && ms < float64(maxAsked.Milliseconds()) {
			return time.Duration(ms) * time.Millisecond
		} else if ok && ms > 0 {
			return maxAsked
		}
	}
	return 0
}

// errOffline is the answer to a request of the crypto machine that nobody has
// prepared an answer for.
var errOffline = errors.New("the crypto machine makes no requests")

// answers are prepared for the requests of the crypto machine, by the last part of
// the path.
type answers struct {
	bodies map[string][]byte
	asked  map[string][]byte // what was sent, by path
}

type answersKey struct{}

func (p *answers) attach(ctx context.Context) context.Context {
	return context.WithValue(ctx, answersKey{}, p)
}

// offline answers requests from memory. It is the whole network of the crypto
// machine: no request can happen inside a transaction.
type offline struct{}

// RoundTrip answers with what the context holds for the path.
func (offline) RoundTrip(r *http.Request) (*http.Response, error) {
	p, _ := r.Context().Value(answersKey{}).(*answers)
	if p == nil {
		return nil, errOffline
	}
	for suffix, body := range p.bodies {
		if !strings.Contains(r.URL.Path, suffix) {
			continue
		}
		if r.Body != nil {
			sent, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			if p.asked == nil {
				p.asked = map[string][]byte{}
			}
			p.asked[r.URL.Path] = sent
		}
		return &http.Response{
			StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)),
			Body: io.NopCloser(bytes.NewReader(body)), Request: r,
		}, nil
	}
	return nil, errOffline
}

func offlineClient() *http.Client { return &http.Client{Transport: offline{}} }
