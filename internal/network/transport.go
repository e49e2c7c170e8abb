package network

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// Times of a connection. What a request may take as a whole is its context's
// business: a long poll takes half a minute, a first sync a quarter of an hour.
const (
	dialTimeout      = 15 * time.Second
	handshakeTimeout = 15 * time.Second
	// longestAnswer is the platform's own limit for a request, above the longest
	// that a homeserver is waited for.
	longestAnswer = 20 * time.Minute
	// A connection that lies idle is closed before firewalls forget it in silence,
	// and one that is waited on is asked whether it lives.
	idleTimeout = 90 * time.Second
	aliveEvery  = 15 * time.Second
)

// Homeserver is how requests get to the Matrix homeserver. It may be used by
// several goroutines; its errors are [*Error] but for those of an ended context.
// An error of Homeserver itself is a [*SettingError].
func Homeserver(c *config.Config) (http.RoundTripper, error) {
	security, err := homeserverTLS(c)
	if err != nil {
		return nil, err
	}
	return newTransport(PeerHomeserver, c.Network, security, nil)
}

// Platform is how requests get to OpenCTI, like [Homeserver]. It adds
// OPENCTI_CUSTOM_HEADERS; cookies are the client's, who has to keep them: they
// hold a client to one of several nodes behind a balancer.
func Platform(c *config.Config) (http.RoundTripper, error) {
	security, err := platformTLS(c)
	if err != nil {
		return nil, err
	}
	return newTransport(PeerPlatform, c.Network, security, c.OpenCTI.CustomHeaders.Header())
}

// transport sends requests to one peer and explains what fails.
type transport struct {
	base    *http.Transport
	peer    Peer
	headers http.Header
}

func newTransport(peer Peer, n config.Network, security *tls.Config, headers http.Header) (*transport, error) {
	proxy, err := proxies(n)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: aliveEvery}
	return &transport{peer: peer, headers: headers, base: &http.Transport{
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        security,
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: aliveEvery, PingTimeout: aliveEvery},
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  longestAnswer,
		OnProxyConnectResponse: connected,
	}}, nil
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if len(t.headers) > 0 {
		r = r.Clone(r.Context())
		maps.Copy(r.Header, t.headers)
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, explain(r.Context(), t.peer, r.URL, err)
	}
	if res.StatusCode == http.StatusProxyAuthRequired {
		// Of plain HTTP a proxy answers itself.
		_ = res.Body.Close() // nothing of it is needed
		return nil, explain(r.Context(), t.peer, r.URL, &refusal{status: res.Status, code: res.StatusCode})
	}
	if r.URL.Scheme == "http" && res.StatusCode == http.StatusBadRequest && wantsTLS(res) {
		_ = res.Body.Close()
		return nil, &Error{Peer: t.peer, Kind: NeedsTLS, url: r.URL, err: errNeedsTLS}
	}
	return res, nil
}

// CloseIdleConnections closes what is kept open for later.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// wantsTLS reports whether a server says that plain HTTP came in where it speaks
// TLS, in the words of the common ones. The body can be read on.
func wantsTLS(res *http.Response) bool {
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		return false
	}
	const most = 1 << 10
	start, err := io.ReadAll(io.LimitReader(res.Body, most))
	rest := io.Reader(res.Body)
	if err != nil {
		rest = failed{err}
	}
	res.Body = &resumed{Reader: io.MultiReader(bytes.NewReader(start), rest), Closer: res.Body}
	for _, words := range []string{
		"Client sent an HTTP request to an HTTPS server",    // Go
		"plain HTTP request was sent to HTTPS port",         // nginx
		"speaking plain HTTP to an SSL-enabled server port", // Apache httpd
		"This combination of host and port requires TLS",    // Tomcat
	} {
		if bytes.Contains(start, []byte(words)) {
			return true
		}
	}
	return false
}

// resumed is a body of which the start was looked at.
type resumed struct {
	io.Reader
	io.Closer
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// refusal is a proxy's own answer instead of a connection.
type refusal struct {
	status string // "407 Proxy Authentication Required"
	code   int
}

// Error repeats the status.
func (r *refusal) Error() string { return "the proxy answered " + r.status }

// connected looks at a proxy's answer to CONNECT.
func connected(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return &refusal{status: res.Status, code: res.StatusCode}
	}
	return nil
}
