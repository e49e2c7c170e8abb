package opencti_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestTLSIsWhatThePlatformSaysUnlessASettingSaysOtherwise(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name     string
		platform bool
		set      *bool
		want     bool
	}{
		{"the platform says yes", true, nil, true},
		{"the platform says no", false, nil, false},
		{"the setting says no", true, &no, false},
		{"the setting says yes", false, &yes, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			security := &tls.Config{MinVersion: tls.VersionTLS12}
			s := newSceneOn(t, openctitest.Config{Generation: openctitest.Gen7, BrokerTLS: c.platform}, func(o *opencti.Config) {
				o.MQ.UseSSL, o.MQ.TLS = c.set, security
			})
			if _, err := s.platform.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := stix.NewBundle(room())
			s.landed(s.deliver(b), b)
			if got := s.broker.dialled; got.UseSSL != c.want || got.TLS != security {
				t.Errorf("dialled with TLS %v", got.UseSSL)
			}
		})
	}
}

func TestTheBrokersCertificateIsVerifiedUnlessAskedNotTo(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer server.Close()
	// Not a broker, but TLS comes first: it hangs up after the handshake.
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			_ = conn.Close()
		}
	}()
	host, portText, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	authority := x509.NewCertPool()
	authority.AddCert(server.Certificate())
	for _, c := range []struct {
		name    string
		tls     *tls.Config
		trusted bool
	}{
		{"default", nil, false},
		{"with its authority", &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority}, true},
		{"switched off", &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := opencti.DialBroker(t.Context(), opencti.Broker{Host: host, Port: port, VHost: "/", UseSSL: true, TLS: c.tls})
			if err == nil {
				t.Fatal("a listener passed for a broker")
			}
			if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown == c.trusted {
				t.Errorf("trusted %v: %v", c.trusted, err)
			}
			want := opencti.Temporary
			if !c.trusted {
				want = opencti.Unauthorized
			}
			if got := opencti.ClassOf(err); got != want {
				t.Errorf("class %s, want %s", got, want)
			}
		})
	}
}
