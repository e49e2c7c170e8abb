package check_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestFinalSlashesAndBasePathsAreNoMistake(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	mux := http.NewServeMux()
	mux.Handle("/opencti/", http.StripPrefix("/opencti", forwarder(t, s.platform.URL(), nil)))
	s.env["OPENCTI_URL"] = server(t, mux) + "/opencti/"
	s.env["MATRIX_SERVER"] += "/"
	s.checks().noneFails()
}

func TestAnAuthorityOfTheCompanyIsTrustedWhereItIsNamed(t *testing.T) {
	s := newScene(t, openctitest.Config{TLS: true})
	homeserver := overTLS(t, s.homeserver.URL())
	s.env["MATRIX_SERVER"] = homeserver.URL
	ofHomeserver := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: homeserver.Certificate().Raw})
	t.Run("both in HTTPS_CA_CERTIFICATES", func(t *testing.T) {
		inner := *s
		inner.t = t
		s.env["HTTPS_CA_CERTIFICATES"] = string(append(ofHomeserver, s.platform.CA()...))
		inner.checks().noneFails()
	})
	t.Run("the platform's in the file of OPENCTI_SSL_VERIFY", func(t *testing.T) {
		inner := *s
		inner.t = t
		s.env["HTTPS_CA_CERTIFICATES"] = string(ofHomeserver)
		s.env["OPENCTI_SSL_VERIFY"] = write(t, "ca.pem", s.platform.CA())
		inner.checks().noneFails()
	})
	t.Run("the platform's not verified", func(t *testing.T) {
		inner := *s
		inner.t = t
		s.env["OPENCTI_SSL_VERIFY"] = "false"
		r := inner.checks()
		r.noneFails()
		r.is(check.Settings, check.Warning, "OPENCTI_SSL_VERIFY is off")
	})
}

// companyProxy leads to servers that are reached by no other way: names ending in
// .invalid are known to it alone (RFC 6761 §6.4).
func companyProxy(t *testing.T, known map[string]string) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	return server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Proxy-Authorization") == "" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		target, err := url.Parse(known[r.URL.Hostname()])
		if err != nil || target.Host == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		out := r.Clone(context.WithoutCancel(r.Context()))
		out.RequestURI, out.URL.Scheme, out.URL.Host, out.Host = "", target.Scheme, target.Host, target.Host
		out.Header.Del("Proxy-Authorization")
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	})), asked
}

func TestProxies(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	proxy, asked := companyProxy(t, map[string]string{"matrix.invalid": s.homeserver.URL(), "octi.invalid": s.platform.URL()})
	signedIn := strings.Replace(proxy, "http://", "http://me:canary-proxy@", 1)
	s.env["MATRIX_SERVER"], s.env["OPENCTI_URL"] = "http://matrix.invalid", "http://octi.invalid"
	s.patience = 2 * time.Second
	tests := []struct {
		name     string
		env      map[string]string
		homesrv  check.State
		platform check.State
		holds    []string // of the homeserver's line
	}{
		{name: "a proxy leads to both", env: map[string]string{"HTTP_PROXY": signedIn}, homesrv: check.Warning, platform: check.Warning, holds: []string{"without TLS"}},
		{name: "a proxy is needed", homesrv: check.Failed, platform: check.Failed, holds: []string{"MATRIX_SERVER"}},
		{
			name: "the proxy is away", env: map[string]string{"HTTP_PROXY": "http://127.0.0.1:" + itoa(closedPort(t))},
			homesrv: check.Failed, platform: check.Failed, holds: []string{"HTTP_PROXY", "NO_PROXY"},
		},
		{
			name: "the proxy wants a password", env: map[string]string{"HTTP_PROXY": proxy},
			homesrv: check.Failed, platform: check.Failed, holds: []string{"407", "HTTP_PROXY", "user:password@"},
		},
		{
			name: "NO_PROXY names the homeserver alone", env: map[string]string{"HTTP_PROXY": signedIn, "NO_PROXY": "matrix.invalid"},
			homesrv: check.Failed, platform: check.Warning, holds: []string{"MATRIX_SERVER"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inner := *s
			inner.t = t
			for _, name := range []string{"HTTP_PROXY", "NO_PROXY"} {
				s.env[name] = test.env[name]
			}
			before := asked.Load()
			r := inner.checks()
			r.is(check.Homeserver, test.homesrv, test.holds...)
			r.is(check.Platform, test.platform)
			if test.platform == check.Warning && asked.Load() == before {
				t.Error("the proxy was not asked")
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestAHomeserverIsFoundByItsName(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	named := overTLS(t, s.homeserver.URL())
	s.env["HTTPS_CA_CERTIFICATES"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: named.Certificate().Raw}))
	s.env["MATRIX_SERVER"] = strings.TrimPrefix(named.URL, "https://")
	r := s.checks()
	r.noneFails()
	r.is(check.Homeserver, check.OK, s.homeserver.URL()+", found by the name "+s.env["MATRIX_SERVER"])
}

func TestABrokerOverTLS(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.asBefore()
	peer := httptest.NewUnstartedServer(nil) // whose certificate serves the broker
	peer.StartTLS()
	t.Cleanup(peer.Close)
	s.broker = newBroker(t, func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: peer.TLS.Certificates, MinVersion: tls.VersionTLS12})
	})
	s.env["MQ_PORT"] = itoa(s.broker.port())
	t.Run("nobody said so", func(t *testing.T) {
		inner := *s
		inner.t = t
		inner.checks().failsAlone(check.Broker, "MQ_USE_SSL")
	})
	s.env["MQ_USE_SSL"] = "true"
	t.Run("its authority is not known", func(t *testing.T) {
		inner := *s
		inner.t = t
		inner.checks().failsAlone(check.Broker, "unknown authority", "MQ_USE_SSL_CA")
	})
	t.Run("its authority is named", func(t *testing.T) {
		inner := *s
		inner.t = t
		s.env["MQ_USE_SSL_CA"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: peer.Certificate().Raw}))
		r := inner.checks()
		r.noneFails()
		r.is(check.Broker, check.OK, "over TLS")
	})
}
