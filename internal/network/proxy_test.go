package network_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/network"
)

// proxy is a company's way out. It leads every name to one server.
type proxy struct {
	*httptest.Server
	to       string // host:port
	login    string // user:password that it wants; empty: none
	closed   bool   // it leads nowhere
	mu       sync.Mutex
	requests []string // method and host, as they came
}

func newProxy(t *testing.T, to *httptest.Server) *proxy {
	t.Helper()
	p := &proxy{to: to.Listener.Addr().String()}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, r.Method+" "+r.Host)
	p.mu.Unlock()
	switch {
	case p.login != "" && r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.login)):
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
	case p.closed:
		w.WriteHeader(http.StatusForbidden)
	case r.Method != http.MethodConnect:
		_, _ = w.Write([]byte("by proxy"))
	default:
		p.tunnel(w, r)
	}
}

func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	var d net.Dialer
	there, err := d.DialContext(r.Context(), "tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
	_, _ = io.Copy(here, there)
}

func (p *proxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.requests
	p.requests = nil
	return seen
}

func TestAProxyLeadsToBothPeers(t *testing.T) {
	company := newAuthority(t)
	way := newProxy(t, serve(t, company.server(t, "octi.corp.example"), nil))
	way.login = "us:canary p@ss"
	through := func(login string) *config.Config {
		u := &url.URL{Scheme: "http", Host: way.Listener.Addr().String()}
		if user, password, ok := strings.Cut(login, ":"); ok {
			u.User = url.UserPassword(user, password)
		}
		return &config.Config{Network: config.Network{
			CACertificates: company.pem, HTTPProxy: config.NewSecret(u.String()), HTTPSProxy: config.NewSecret(u.String()),
		}}
	}
	for peer, reach := range transports {
		t.Run(peer, func(t *testing.T) {
			for address, want := range map[string]string{"https://octi.corp.example/x": "hello", "http://octi.corp.example/x": "by proxy"} {
				if text, err := get(t, reach, through(way.login), address); err != nil || text != want {
					t.Errorf("%s: %q, %v", address, text, err)
				}
			}
			for _, wrong := range []string{"", "us:canary"} {
				_, err := get(t, reach, through(wrong), "https://octi.corp.example/x")
				fails(t, err, network.ProxyAuth, "HTTPS_PROXY")
				_, err = get(t, reach, through(wrong), "http://octi.corp.example/x")
				fails(t, err, network.ProxyAuth, "HTTP_PROXY")
			}
		})
	}
}

func TestAProxyThatDoesNotLeadThereIsNamed(t *testing.T) {
	way := newProxy(t, httptest.NewServer(http.NotFoundHandler()))
	way.closed = true
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		name, proxy string
		kind        network.Kind
		words       []string
	}{
		{"it refuses", way.URL, network.ProxyRefused, []string{"HTTPS_PROXY", "NO_PROXY"}},
		{"it is away", strings.Replace(gone.URL, "http://", "http://us:canary@", 1), network.ProxyAway, []string{"HTTPS_PROXY", "octi.corp.example", "NO_PROXY"}},
		{"it is not known", "http://us:canary@no-such-proxy.invalid:3128", network.ProxyAway, []string{"HTTPS_PROXY"}},
		{"it is away, of SOCKS", strings.Replace(gone.URL, "http://", "socks5://", 1), network.ProxyAway, []string{"HTTPS_PROXY"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := &config.Config{Network: config.Network{HTTPSProxy: config.NewSecret(c.proxy)}}
			_, err := get(t, network.Platform, set, "https://octi.corp.example/x")
			fails(t, err, c.kind, c.words...)
		})
	}
}

func TestNoProxyNamesWhatIsReachedDirectly(t *testing.T) {
	way := newProxy(t, httptest.NewServer(http.NotFoundHandler()))
	for _, c := range []struct {
		noProxy, host string
		direct        bool
	}{
		{"", "octi.corp.invalid", false},
		{"corp.invalid", "octi.corp.invalid", true},
		{".corp.invalid", "octi.corp.invalid", true},
		{".corp.invalid", "corp.invalid", false},
		{"octi.corp.invalid:8080", "octi.corp.invalid:8080", true},
		{"octi.corp.invalid:8080", "octi.corp.invalid", false},
		{"other.invalid, corp.invalid", "octi.corp.invalid", true},
		{"*", "octi.corp.invalid", true},
		{"192.0.2.0/24", "203.0.113.5", false},
		{"CORP.invalid", "octi.corp.INVALID", true},
		{"2001:db8::/32", "[2001:db9::5]", false},
	} {
		t.Run(c.noProxy+" and "+c.host, func(t *testing.T) {
			set := &config.Config{Network: config.Network{HTTPProxy: config.NewSecret(way.URL), NoProxy: c.noProxy}}
			text, err := get(t, network.Homeserver, set, "http://"+c.host+"/")
			if c.direct {
				fails(t, err, network.NoName, "MATRIX_SERVER")
			} else if err != nil || text != "by proxy" {
				t.Errorf("%q, %v", text, err)
			}
			if seen := way.seen(); (len(seen) == 0) != c.direct {
				t.Errorf("the proxy saw %v", seen)
			}
		})
	}
}

func TestWhatIsOnTheMachineIsNeverProxied(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) }))
	t.Cleanup(s.Close)
	way := newProxy(t, s)
	set := &config.Config{Network: config.Network{HTTPProxy: config.NewSecret(way.URL)}}
	if text, err := get(t, network.Platform, set, s.URL); err != nil || text != "here" || len(way.seen()) > 0 {
		t.Errorf("%q, %v", text, err)
	}
}

func TestHeadersGoToThePlatformAlone(t *testing.T) {
	var got []http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header) }))
	t.Cleanup(s.Close)
	set := &config.Config{}
	if err := set.OpenCTI.CustomHeaders.UnmarshalText([]byte("X-Gate: canary:1; x-zone:dmz")); err != nil {
		t.Fatal(err)
	}
	for _, reach := range []func(*config.Config) (http.RoundTripper, error){network.Platform, network.Homeserver} {
		if _, err := get(t, reach, set, s.URL); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"canary:1", "dmz", "", ""}, []string{got[0].Get("X-Gate"), got[0].Get("X-Zone"), got[1].Get("X-Gate"), got[1].Get("X-Zone")}); d != "" {
		t.Error(d)
	}
}

func TestAPeerOnIPv6IsReached(t *testing.T) {
	var l net.ListenConfig
	six, err := l.Listen(t.Context(), "tcp6", "[::1]:0")
	if err != nil {
		if os.Getenv("CI") != "" { //nolint:forbidigo // a test has no settings
			t.Fatal(err)
		}
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	company := newAuthority(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.Listener = six
	s.TLS = tlsOf(company.server(t))
	s.StartTLS()
	t.Cleanup(s.Close)
	set := &config.Config{Network: config.Network{CACertificates: company.pem, HTTPSProxy: config.NewSecret("http://127.0.0.1:1")}}
	for peer, reach := range transports {
		if text, err := get(t, reach, set, s.URL); err != nil || text != "hello" {
			t.Errorf("%s at %s: %q, %v", peer, s.URL, text, err)
		}
	}
}

func TestAnEndedCallerIsNoFailureOfTheNetwork(t *testing.T) {
	for peer, reach := range transports {
		transport, err := reach(&config.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		ctx, end := timedOut(t)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if e, ok := errors.AsType[*network.Error](err); ok || err == nil {
			t.Errorf("%s: %v, %v", peer, err, e)
		}
		end()
		s.Close()
	}
}

func TestALoopbackAddressThatNobodyListensAtRemindsOfContainers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	closed := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	_, port, err := net.SplitHostPort(closed)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, err := get(t, network.Platform, &config.Config{}, "http://"+net.JoinHostPort(host, port))
		fails(t, err, network.NoRoute, "OPENCTI_URL", "inside a container "+host+" is the container itself")
	}
}

func TestAServerThatHangsUpOnTLSHasACure(t *testing.T) {
	var l net.ListenConfig
	listener, err := l.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096)) // the hello, which it does not understand
			_ = c.Close()
		}
	}()
	_, err = get(t, network.Homeserver, &config.Config{}, "https://"+listener.Addr().String())
	fails(t, err, network.Broken, "if it speaks no TLS, write http:// in MATRIX_SERVER")
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
