package network_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/network"
)

// transports are the two that speak HTTP.
var transports = map[string]func(*config.Config) (http.RoundTripper, error){
	"homeserver": network.Homeserver, "platform": network.Platform,
}

// serve answers "hello" over TLS as change says.
func serve(t *testing.T, l leaf, change func(*tls.Config)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{l.pair()}, MinVersion: tls.VersionTLS10}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// tlsOf is what a server needs to show a certificate.
func tlsOf(l leaf) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{l.pair()}, MinVersion: tls.VersionTLS12}
}

// timedOut is a context that has run out of time.
func timedOut(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
}

// get asks through a transport of the settings.
func get(t *testing.T, reach func(*config.Config) (http.RoundTripper, error), c *config.Config, address string) (string, error) {
	t.Helper()
	transport, err := reach(c)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// fails checks the kind of a failure and that its hint names the setting.
func fails(t *testing.T, err error, kind network.Kind, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*network.Error](err)
	if !ok {
		t.Errorf("%v is no failure of the network", err)
		return
	}
	if e.Kind != kind {
		t.Errorf("%v is %s, want %s", err, e.Kind, kind)
	}
	for _, w := range words {
		if !strings.Contains(e.Hint(), w) {
			t.Errorf("the hint %q does not name %s", e.Hint(), w)
		}
	}
	if strings.Contains(err.Error()+e.Hint(), "canary") {
		t.Errorf("a secret stands in %q, %q", err, e.Hint())
	}
}

func TestAPrivateAuthorityIsTrustedWhereItIsNamed(t *testing.T) {
	company, other := newAuthority(t), newAuthority(t)
	s := serve(t, company.server(t), nil)
	hint := map[string]string{"homeserver": "HTTPS_CA_CERTIFICATES", "platform": "OPENCTI_SSL_VERIFY"}
	for peer, reach := range transports {
		for _, c := range []struct {
			name string
			set  config.Config
			ok   bool
		}{
			{"nowhere", config.Config{}, false},
			{"as text", config.Config{Network: config.Network{CACertificates: company.pem}}, true},
			{"as text on one line", config.Config{Network: config.Network{CACertificates: strings.ReplaceAll(company.pem, "\n", `\n`)}}, true},
			{"in a file", config.Config{Network: config.Network{CACertificates: file(t, company.pem)}}, true},
			{"in a file of several", config.Config{Network: config.Network{CACertificates: file(t, other.pem+"\n# the company's\n"+company.pem)}}, true},
			{"another one", config.Config{Network: config.Network{CACertificates: other.pem}}, false},
		} {
			t.Run(peer+" "+c.name, func(t *testing.T) {
				text, err := get(t, reach, &c.set, s.URL)
				if c.ok && (err != nil || text != "hello") {
					t.Errorf("%q, %v", text, err)
				}
				if !c.ok {
					fails(t, err, network.Untrusted, hint[peer])
				}
			})
		}
	}
}

func TestThePlatformsOwnSettingCountsForThePlatformAlone(t *testing.T) {
	company, other := newAuthority(t), newAuthority(t)
	s := serve(t, company.server(t), nil)
	for _, c := range []struct {
		name   string
		verify config.Verify
		extra  string
	}{
		{"a file", config.Verify{CAFile: file(t, company.pem)}, ""},
		{"a file beside further authorities", config.Verify{CAFile: file(t, company.pem)}, other.pem},
		{"a file of others beside ours", config.Verify{CAFile: file(t, other.pem)}, company.pem},
		{"off", config.Verify{Off: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := &config.Config{OpenCTI: config.OpenCTI{SSLVerify: c.verify}, Network: config.Network{CACertificates: c.extra}}
			if text, err := get(t, network.Platform, set, s.URL); err != nil || text != "hello" {
				t.Errorf("%q, %v", text, err)
			}
			if _, err := get(t, network.Homeserver, set, s.URL); c.extra != company.pem {
				fails(t, err, network.Untrusted)
			}
		})
	}
}

func TestACertificateThatDoesNotFitSaysWhy(t *testing.T) {
	company := newAuthority(t)
	set := &config.Config{Network: config.Network{CACertificates: company.pem}}
	for peer, reach := range transports {
		address := map[string]string{"homeserver": "MATRIX_SERVER", "platform": "OPENCTI_URL"}[peer]
		t.Run(peer+" of another name", func(t *testing.T) {
			s := serve(t, company.issue(t, newKey(t), time.Now().Add(time.Hour), "octi.corp.example"), nil)
			_, err := get(t, reach, set, s.URL)
			fails(t, err, network.OtherName, address, "octi.corp.example")
		})
		t.Run(peer+" of last year", func(t *testing.T) {
			s := serve(t, company.issue(t, newKey(t), time.Now().Add(-time.Hour), "127.0.0.1"), nil)
			_, err := get(t, reach, set, s.URL)
			fails(t, err, network.Expired, "clock")
		})
		t.Run(peer+" of an old TLS", func(t *testing.T) {
			s := serve(t, company.server(t), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })
			_, err := get(t, reach, set, s.URL)
			fails(t, err, network.BadTLS, address, "1.2")
		})
	}
}

func TestHTTPAndHTTPSAreNotConfused(t *testing.T) {
	company := newAuthority(t)
	secure := serve(t, company.server(t), nil)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for peer, reach := range transports {
		address := map[string]string{"homeserver": "MATRIX_SERVER", "platform": "OPENCTI_URL"}[peer]
		t.Run(peer, func(t *testing.T) {
			_, err := get(t, reach, &config.Config{}, strings.Replace(plain.URL, "http:", "https:", 1))
			fails(t, err, network.NoTLS, "http:// in "+address)
			_, err = get(t, reach, &config.Config{}, strings.Replace(secure.URL, "https:", "http:", 1))
			fails(t, err, network.NeedsTLS, "https:// in "+address)
		})
	}
}

func TestAPlainBadRequestIsHandedOnWhole(t *testing.T) {
	long := strings.Repeat("not what was meant ", 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(long))
	}))
	t.Cleanup(s.Close)
	if text, err := get(t, network.Platform, &config.Config{}, s.URL); err != nil || text != long {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestAClientCertificateIsShown(t *testing.T) {
	company := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(company.cert)
	s := serve(t, company.server(t), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool })
	us := company.issue(t, newKey(t), time.Now().Add(time.Hour))
	expired := company.issue(t, newKey(t), time.Now().Add(-time.Hour))
	for peer, reach := range transports {
		names := map[string]string{"homeserver": "MATRIX_CLIENT_CERT", "platform": "OPENCTI_CLIENT_CERT"}[peer]
		for _, c := range []struct {
			name, cert, key string
			ok              bool
		}{
			{"none", "", "", false},
			{"text", us.cert, us.pkcs8(t), true},
			{"files", file(t, us.cert), file(t, us.pkcs8(t)), true},
			{"one file with both", file(t, us.pkcs8(t)+us.cert), "", true},
			{"one that has expired", expired.cert, expired.pkcs8(t), false},
		} {
			t.Run(peer+" "+c.name, func(t *testing.T) {
				set := &config.Config{
					Network: config.Network{CACertificates: company.pem},
					OpenCTI: config.OpenCTI{ClientCert: c.cert, ClientKey: config.NewSecret(c.key)},
					Matrix:  config.Matrix{ClientCert: c.cert, ClientKey: config.NewSecret(c.key)},
				}
				text, err := get(t, reach, set, s.URL)
				if c.ok && (err != nil || text != "hello") {
					t.Errorf("%q, %v", text, err)
				}
				if !c.ok {
					fails(t, err, network.NoClientCert, names)
				}
			})
		}
	}
}

// encryptedKeys are the forms that openssl has written a key with a passphrase in.
func encryptedKeys(t *testing.T, passphrase string) map[string]struct {
	key  crypto.Signer
	text string
} {
	t.Helper()
	ec := newKey(t)
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	legacy := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		b, err := x509.EncryptPEMBlock(rand.Reader, kind, der, []byte(passphrase), x509.PEMCipherAES256) //nolint:staticcheck // SA1019: what openssl wrote for decades
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(b))
	}
	modern := func(key any) string {
		der, err := pkcs8.MarshalPrivateKey(key, []byte(passphrase), nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	}
	ecDER, err := x509.MarshalECPrivateKey(ec)
	type form = struct {
		key  crypto.Signer
		text string
	}
	return map[string]form{
		"PKCS #8, EC":  {ec, modern(ec)},
		"PKCS #8, RSA": {long, modern(long)},
		"legacy, EC":   {ec, legacy("EC PRIVATE KEY", ecDER, err)},
		"legacy, RSA":  {long, legacy("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(long), nil)},
	}
}

func TestTheBrokersClientKeyIsOpenedWithItsPassphrase(t *testing.T) {
	const passphrase = "canary passphrase"
	company := newAuthority(t)
	for name, form := range encryptedKeys(t, passphrase) {
		t.Run(name, func(t *testing.T) {
			us := company.issue(t, form.key, time.Now().Add(time.Hour))
			set := &config.Config{MQ: config.MQ{
				SSLCert: us.cert, SSLKey: config.NewSecret(file(t, form.text)), SSLPassphrase: config.NewSecret(passphrase), SSLRejectUnauthorized: true,
			}}
			c, err := network.Broker(set)
			if err != nil {
				t.Fatal(err)
			}
			if c.InsecureSkipVerify || len(c.Certificates) != 1 || c.MinVersion < tls.VersionTLS12 {
				t.Errorf("configuration: insecure %v, %d certificates, version %x", c.InsecureSkipVerify, len(c.Certificates), c.MinVersion)
			}
			for wrong, cure := range map[string]string{"": "MQ_USE_SSL_PASSPHRASE", "another canary": "openssl"} {
				set.MQ.SSLPassphrase = config.NewSecret(wrong)
				_, err := network.Broker(set)
				refused(t, err, "MQ_USE_SSL_KEY", cure)
			}
		})
	}
}

// refused checks that a setting is named, with its cure.
func refused(t *testing.T, err error, variable, cure string) {
	t.Helper()
	e, ok := errors.AsType[*network.SettingError](err)
	if !ok {
		t.Errorf("%v names no setting, want %s", err, variable)
		return
	}
	if e.Variable != variable || !strings.Contains(e.Hint(), cure) {
		t.Errorf("%v, %q: want %s with %q", err, e.Hint(), variable, cure)
	}
	if strings.Contains(err.Error()+e.Hint(), "canary") {
		t.Errorf("a secret stands in %q, %q", err, e.Hint())
	}
}

func TestASettingThatCannotBeUsedIsNamed(t *testing.T) {
	company := newAuthority(t)
	us, them := company.issue(t, newKey(t), time.Now().Add(time.Hour)), company.issue(t, newKey(t), time.Now().Add(time.Hour))
	locked := encryptedKeys(t, "canary")["PKCS #8, EC"].text
	platform := func(change func(*config.Config)) error {
		c := &config.Config{}
		change(c)
		_, err := network.Platform(c)
		return err
	}
	for _, c := range []struct {
		name, variable, cure string
		set                  func(*config.Config)
	}{
		{"no such file", "HTTPS_CA_CERTIFICATES", "mount", func(c *config.Config) { c.Network.CACertificates = "/no/such/file" }},
		{"a folder", "HTTPS_CA_CERTIFICATES", "mount", func(c *config.Config) { c.Network.CACertificates = t.TempDir() }},
		{"DER", "HTTPS_CA_CERTIFICATES", "-inform der", func(c *config.Config) { c.Network.CACertificates = file(t, string(us.der)) }},
		{"a key in place of a certificate", "HTTPS_CA_CERTIFICATES", "BEGIN CERTIFICATE", func(c *config.Config) { c.Network.CACertificates = us.pkcs8(t) }},
		{"a damaged certificate", "OPENCTI_SSL_VERIFY", "BEGIN CERTIFICATE", func(c *config.Config) {
			c.OpenCTI.SSLVerify.CAFile = file(t, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}},
		{"a key without a certificate", "OPENCTI_CLIENT_KEY", "OPENCTI_CLIENT_CERT", func(c *config.Config) { c.OpenCTI.ClientKey = config.NewSecret(us.pkcs8(t)) }},
		{"a certificate without a key", "OPENCTI_CLIENT_CERT", "PRIVATE KEY", func(c *config.Config) { c.OpenCTI.ClientCert = us.cert }},
		{"a key of another certificate", "OPENCTI_CLIENT_CERT", "its own key", func(c *config.Config) {
			c.OpenCTI.ClientCert, c.OpenCTI.ClientKey = us.cert, config.NewSecret(them.pkcs8(t))
		}},
		{"an encrypted key where no passphrase can be set", "OPENCTI_CLIENT_KEY", "without a passphrase", func(c *config.Config) {
			c.OpenCTI.ClientCert, c.OpenCTI.ClientKey = us.cert, config.NewSecret(locked)
		}},
		{"a proxy that is none", "HTTPS_PROXY", "http://proxy", func(c *config.Config) { c.Network.HTTPSProxy = config.NewSecret("http://canary:%zz@proxy:3128") }},
		{"a proxy of another kind", "HTTP_PROXY", "http://proxy", func(c *config.Config) { c.Network.HTTPProxy = config.NewSecret("ftp://canary@proxy") }},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, platform(c.set), c.variable, c.cure) })
	}
}

func TestTheBrokersCertificateIsVerifiedUnlessAskedNotTo(t *testing.T) {
	company := newAuthority(t)
	s := serve(t, company.server(t), nil) // for its handshake
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	dial := func(t *testing.T, m config.MQ, address string) error {
		t.Helper()
		c, err := network.Broker(&config.Config{MQ: m})
		if err != nil {
			t.Fatal(err)
		}
		d := tls.Dialer{Config: c}
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return network.ExplainBroker(err)
		}
		return conn.Close()
	}
	address := s.Listener.Addr().String()
	if err := dial(t, config.MQ{SSLRejectUnauthorized: true, SSLCA: company.pem}, address); err != nil {
		t.Error(err)
	}
	if err := dial(t, config.MQ{}, address); err != nil {
		t.Error(err)
	}
	fails(t, dial(t, config.MQ{SSLRejectUnauthorized: true}, address), network.Untrusted, "MQ_USE_SSL_CA", "MQ_USE_SSL_REJECT_UNAUTHORIZED")
	fails(t, dial(t, config.MQ{}, plain.Listener.Addr().String()), network.NoTLS, "MQ_USE_SSL=false", "MQ_PORT")

	var l net.ListenConfig
	free, err := l.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	fails(t, dial(t, config.MQ{}, closed), network.NoRoute, "MQ_HOST", "CONNECTOR_QUEUE_PROTOCOL=api")
	fails(t, dial(t, config.MQ{}, "no-such-host.invalid:5671"), network.NoName, "MQ_HOST")
}
