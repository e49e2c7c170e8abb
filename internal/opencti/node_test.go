package opencti_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// balancer stands before two nodes and asks one after the other, but for a client
// that brings the cookie of a node. The stand-ins share nothing, so that whoever
// comes to the other node is a stranger there.
func balancer(t *testing.T, nodes ...*openctitest.Platform) *httptest.Server {
	t.Helper()
	const cookie = "balancer_node"
	var next atomic.Int64
	var ways []*httputil.ReverseProxy
	for _, n := range nodes {
		u, err := url.Parse(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		ways = append(ways, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }})
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(next.Add(1)) % len(ways)
		if c, err := r.Cookie(cookie); err == nil {
			if kept, err := strconv.Atoi(c.Value); err == nil && kept < len(ways) {
				n = kept
			}
		} else {
			http.SetCookie(w, &http.Cookie{Name: cookie, Value: strconv.Itoa(n), Path: "/", HttpOnly: true})
		}
		ways[n].ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// forgetful keeps no cookie.
type forgetful struct{}

func (forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		res.Header.Del("Set-Cookie")
	}
	return res, err
}

func TestABalancersCookieHoldsTheConnectorToOneNode(t *testing.T) {
	for _, c := range []struct {
		name string
		by   http.RoundTripper
		ok   bool
	}{{"with cookies", nil, true}, {"without", forgetful{}, false}} {
		t.Run(c.name, func(t *testing.T) {
			var nodes []*openctitest.Platform
			for range 2 {
				n, err := openctitest.New(openctitest.Config{Generation: openctitest.Gen7})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = n.Close() })
				nodes = append(nodes, n)
			}
			p := connect(t, opencti.Config{
				URL: balancer(t, nodes...).URL, Token: nodes[0].Token("connector"), ConnectorID: connectorID, Name: "Matrix",
				Markings: amber(), Transport: c.by, ThroughAPI: true,
			})
			if _, err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := stix.NewBundle(room(), alice())
			receipt, err := p.Begin(t.Context(), len(b.Objects))
			if err == nil {
				err = p.Publish(t.Context(), receipt, b)
			}
			if (err == nil) != c.ok {
				t.Errorf("a batch: %v", err)
			}
			var asked []int
			for _, n := range nodes {
				asked = append(asked, n.Calls("about")+n.Calls("me")+n.Calls("registerConnector")+n.Calls("stixBundlePush"))
			}
			if alone := asked[0] == 0 || asked[1] == 0; alone != c.ok {
				t.Errorf("the nodes were asked %v times", asked)
			}
		})
	}
}

// onIPv6 skips where the machine has no IPv6 of its own.
func onIPv6(t *testing.T) {
	t.Helper()
	var l net.ListenConfig
	six, err := l.Listen(t.Context(), "tcp6", "[::1]:0")
	if err != nil {
		if os.Getenv("CI") != "" { //nolint:forbidigo // a test has no settings
			t.Fatal(err)
		}
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	if err := six.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAPlatformOnIPv6AloneIsReached(t *testing.T) {
	onIPv6(t)
	s := newSceneOn(t, openctitest.Config{Generation: openctitest.Gen7, Address: "[::1]:0"}, nil)
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatalf("%s: %v", s.octi.URL(), err)
	}
	b := stix.NewBundle(room(), alice())
	s.landed(s.deliver(b), b)
}

func TestABrokerOnIPv6AloneIsDialled(t *testing.T) {
	onIPv6(t)
	var l net.ListenConfig
	six, err := l.Listen(t.Context(), "tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = six.Close() }()
	greeting := make(chan string, 1)
	go func() {
		defer close(greeting)
		conn, err := six.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		b := make([]byte, 8)
		if _, err := conn.Read(b); err == nil {
			greeting <- string(b[:4])
		}
	}()
	port := six.Addr().(*net.TCPAddr).Port
	if _, err := opencti.DialBroker(t.Context(), opencti.Broker{Host: "::1", Port: port, VHost: "/"}); err == nil {
		t.Error("a listener passed for a broker")
	}
	if got := <-greeting; got != "AMQP" {
		t.Errorf("it was greeted with %q", got)
	}
}
