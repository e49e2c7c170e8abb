package e2e_test

import (
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// founded is a company that goes when the test ends.
func founded(t *testing.T) *parts.Company {
	t.Helper()
	c, err := parts.NewCompany(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestAllArrivesWhereTheBrokerCannotBeReached(t *testing.T) {
	t.Parallel()
	generations(t, func(t *testing.T, g openctitest.Generation) {
		s := scene.New(t, scene.Config{Generation: g})
		alice, bob := s.Town.Moves("alice"), s.Town.Moves("bob")
		s.ToBroker.Shut() // nobody listens where the settings lead
		s.Env["CONNECTOR_QUEUE_PROTOCOL"] = "api"
		s.Starts()
		s.Logs("which is weaker", "CONNECTOR_QUEUE_PROTOCOL")
		room := joined(s, alice, "War room", people.Encrypted())
		alice.Invites(room, bob.ID)
		bob.Joins(room)
		chat(alice, bob, room)
		s.Receives()
		s.Kills()
		alice.Says(room, "Said while the connector is dead")
		s.Starts()
		alice.Says(room, "Said when it lives again")
		s.Receives()
		s.ToPlatform.Shut()
		alice.Says(room, "Said while the platform is away")
		if err := s.ToPlatform.Open(); err != nil {
			t.Fatal(err)
		}
		s.Receives()
		for _, run := range []string{"workEdit.addExpectations", "stixBundlePush"} {
			t.Logf("%s was called %d times", run, s.Platform.Calls(run))
		}
		if s.Platform.Calls("stixBundlePush") == 0 {
			t.Error("nothing went through the platform")
		}
	})
}

func TestTheBrokerIsSpokenToOverTLS(t *testing.T) {
	t.Parallel()
	company := founded(t)
	cert, key, err := company.Certificate("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	ours, oursKey, err := company.Certificate("connector")
	if err != nil {
		t.Fatal(err)
	}
	s := scene.New(t, scene.Config{BrokerTLS: parts.BrokerTLS{Authority: company.Authority, Cert: cert, Key: key}})
	alice := s.Town.Moves("alice")
	// The way without TLS is shut.
	s.ToBroker.Shut()
	maps.Copy(s.Env, map[string]string{
		"MQ_HOST": "127.0.0.1", "MQ_PORT": strconv.Itoa(s.Broker.SecurePort), "MQ_USE_SSL": "true",
		"MQ_USE_SSL_CERT": ours, "MQ_USE_SSL_KEY": oursKey,
	})
	s.Starts()
	room := joined(s, alice, "War room")
	alice.Says(room, "Nobody trusts the broker yet")
	s.Logs("failed, will try again", "unauthorized", "MQ_USE_SSL_CA", "MQ_USE_SSL_REJECT_UNAUTHORIZED")
	s.Stops()

	s.Env["MQ_USE_SSL_CA"] = company.Authority
	delete(s.Env, "MQ_USE_SSL_CERT")
	delete(s.Env, "MQ_USE_SSL_KEY")
	s.Starts()
	alice.Says(room, "Now the broker does not trust us")
	s.Logs("failed, will try again", "MQ_USE_SSL_CERT", "MQ_USE_SSL_KEY")
	s.Stops()

	s.Env["MQ_USE_SSL"] = "false"
	s.Starts()
	s.Logs("failed, will try again", "MQ_PORT", "MQ_USE_SSL")
	s.Stops()

	text, err := os.ReadFile(oursKey)
	if err != nil {
		t.Fatal(err)
	}
	s.Env["MQ_USE_SSL"], s.Env["MQ_USE_SSL_CERT"], s.Env["MQ_USE_SSL_KEY"] = "true", ours, string(text)
	s.Starts()
	alice.Says(room, "Now they trust each other")
	s.Receives()
}

func TestAllThreePeersAreReachedOnIPv6Alone(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	for variable, way := range map[string]*parts.Gate{"MATRIX_SERVER": s.ToHomeserver, "OPENCTI_URL": s.ToPlatform, "": s.ToBroker} {
		six, err := parts.OpenGateOn("::1", way.Address())
		if err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skipf("this machine has no IPv6 loopback: %v", err)
		}
		t.Cleanup(six.Shut)
		if variable != "" {
			s.Env[variable] = "http://" + six.Address()
			continue
		}
		if s.Env["MQ_HOST"], s.Env["MQ_PORT"], err = net.SplitHostPort(six.Address()); err != nil {
			t.Fatal(err)
		}
	}
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "This comes by way of the sixth version")
	alice.Sends(room, people.Document("longer-addresses.pdf", "128 bits"), "")
	s.Receives()
}

func TestACompanysProxyAndCertificatesLeadToBothPeers(t *testing.T) {
	t.Parallel()
	company := founded(t)
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	stands := func(name, part string) {
		h, err := parts.LeadsTo(part)
		if err != nil {
			t.Fatal(err)
		}
		if err := company.Stands(name, h); err != nil {
			t.Fatal(err)
		}
	}
	stands("matrix.company.test", "http://"+s.ToHomeserver.Address())
	stands("octi.company.test", "http://"+s.ToPlatform.Address())
	if err := company.Stands("company.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/matrix/client" {
			http.Redirect(w, r, "/.well-known/matrix/client", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte(`{"m.homeserver":{"base_url":"https://matrix.company.test"}}`))
	})); err != nil {
		t.Fatal(err)
	}
	right := map[string]string{
		"MATRIX_SERVER": "company.test", "OPENCTI_URL": "https://octi.company.test",
		"HTTPS_PROXY": company.Proxy(company.Login), "HTTPS_CA_CERTIFICATES": company.Authority, "NO_PROXY": "127.0.0.1",
	}
	password, _ := company.Login.Password()
	for _, wrong := range []struct {
		name string
		set  map[string]string
		says []string
	}{
		{"the authority is not named", map[string]string{"HTTPS_CA_CERTIFICATES": ""}, []string{"certificate signed by unknown authority", "HTTPS_CA_CERTIFICATES"}},
		{"the platform's own setting does not help the homeserver", map[string]string{"HTTPS_CA_CERTIFICATES": "", "OPENCTI_SSL_VERIFY": company.Authority}, []string{"certificate signed by unknown authority", "HTTPS_CA_CERTIFICATES"}},
		{"the proxy wants a password", map[string]string{"HTTPS_PROXY": company.Proxy(nil)}, []string{"407", "HTTPS_PROXY"}},
		{"the certificates are not there", map[string]string{"HTTPS_CA_CERTIFICATES": "/no/such/file.pem"}, []string{"HTTPS_CA_CERTIFICATES names a file that cannot be read", "mount"}},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			maps.Copy(s.Env, right)
			maps.Copy(s.Env, wrong.set)
			refused(t, s, password, wrong.says...)
			delete(s.Env, "OPENCTI_SSL_VERIFY")
		})
	}
	maps.Copy(s.Env, right)

	maps.Copy(s.Env, right)
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "This goes through the company's proxy")
	alice.Sends(room, people.Document("report-of-the-company.pdf", "by proxy"), "")
	s.Receives()
	for _, host := range []string{"company.test:443", "matrix.company.test:443", "octi.company.test:443"} {
		if company.Asked(host) == 0 {
			t.Errorf("the proxy was not asked for %s", host)
		}
	}
	if n := company.Asked("octi.company.test:443"); n > 40 {
		t.Errorf("%d connections to the platform: they are not used again", n)
	}
}
