package check_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// Every mistake that a newcomer makes is one failed line, with the variable and the
// cure in it.
func TestMistakesAreToldWithTheirCure(t *testing.T) {
	tests := []struct {
		name     string
		platform openctitest.Config
		makes    func(*scene)
		line     string
		holds    []string
	}{
		{
			name:  "the password is wrong",
			makes: func(s *scene) { s.env["MATRIX_PASSWORD"] = "canary-mistyped" },
			line:  check.Login, holds: []string{"does not accept user and password", "MATRIX_PASSWORD", "MATRIX_SERVER"},
		},
		{
			name: "the user id is that of nobody", makes: func(s *scene) { s.env["MATRIX_USER_ID"] = "@nobody:test.example" },
			line: check.Login, holds: []string{"@nobody:test.example", "MATRIX_USER_ID"},
		},
		{
			name:  "the homeserver's port is wrong",
			makes: func(s *scene) { s.env["MATRIX_SERVER"] = fmt.Sprintf("http://127.0.0.1:%d", closedPort(s.t)) },
			line:  check.Homeserver, holds: []string{"refused", "MATRIX_SERVER"},
		},
		{
			name:  "the platform's port is wrong",
			makes: func(s *scene) { s.env["OPENCTI_URL"] = fmt.Sprintf("http://127.0.0.1:%d", closedPort(s.t)) },
			line:  check.Platform, holds: []string{"refused", "OPENCTI_URL"},
		},
		{
			name:  "the homeserver's port is the platform's",
			makes: func(s *scene) { s.env["MATRIX_SERVER"] = s.platform.URL() },
			line:  check.Homeserver, holds: []string{"not as a homeserver does", "MATRIX_SERVER"},
		},
		{
			name:  "the homeserver's URL is that of a web client",
			makes: func(s *scene) { s.env["MATRIX_SERVER"] = webPage(s.t) },
			line:  check.Homeserver, holds: []string{"not that of a homeserver", "MATRIX_SERVER", "web client", "test.example"},
		},
		{
			name:  "the platform's URL is that of something else",
			makes: func(s *scene) { s.env["OPENCTI_URL"] = webPage(s.t) },
			line:  check.Platform, holds: []string{"OPENCTI_URL", "base URL"},
		},
		{
			name: "http is written for https, of the platform", platform: openctitest.Config{TLS: true},
			makes: func(s *scene) { s.env["OPENCTI_URL"] = "http" + strings.TrimPrefix(s.platform.URL(), "https") },
			line:  check.Platform, holds: []string{"write https:// in OPENCTI_URL"},
		},
		{
			name:  "https is written for http, of the platform",
			makes: func(s *scene) { s.env["OPENCTI_URL"] = "https" + strings.TrimPrefix(s.platform.URL(), "http") },
			line:  check.Platform, holds: []string{"write http:// in OPENCTI_URL"},
		},
		{
			name: "http is written for https, of the homeserver",
			makes: func(s *scene) {
				tls := overTLS(s.t, s.homeserver.URL())
				s.env["MATRIX_SERVER"] = "http" + strings.TrimPrefix(tls.URL, "https")
			},
			line: check.Homeserver, holds: []string{"write https:// in MATRIX_SERVER"},
		},
		{
			name:  "https is written for http, of the homeserver",
			makes: func(s *scene) { s.env["MATRIX_SERVER"] = "https" + strings.TrimPrefix(s.homeserver.URL(), "http") },
			line:  check.Homeserver, holds: []string{"write http:// in MATRIX_SERVER"},
		},
		{
			name: "the platform's name goes to https by itself",
			makes: func(s *scene) {
				s.env["OPENCTI_URL"] = server(s.t, http.RedirectHandler("https://opencti.example.org/", http.StatusMovedPermanently))
			},
			line: check.Platform, holds: []string{"redirects", "OPENCTI_URL", "https://"},
		},
		{
			name: "the API's path is written", makes: func(s *scene) { s.env["OPENCTI_URL"] += "/graphql" },
			line: check.Settings, holds: []string{"OPENCTI_URL", "leave /graphql off"},
		},
		{
			name: "the base path is left out",
			makes: func(s *scene) {
				mux := http.NewServeMux()
				mux.Handle("/opencti/", http.StripPrefix("/opencti", forwarder(s.t, s.platform.URL(), nil)))
				s.env["OPENCTI_URL"] = server(s.t, mux)
			},
			line: check.Platform, holds: []string{"answered 404", "OPENCTI_URL", "base path"},
		},
		{
			name: "a certificate is signed by an authority of the company", platform: openctitest.Config{TLS: true},
			makes: func(*scene) {},
			line:  check.Platform, holds: []string{"unknown authority", "OPENCTI_SSL_VERIFY", "HTTPS_CA_CERTIFICATES"},
		},
		{
			name:  "a certificate of the homeserver is signed by an authority of the company",
			makes: func(s *scene) { s.env["MATRIX_SERVER"] = overTLS(s.t, s.homeserver.URL()).URL },
			line:  check.Homeserver, holds: []string{"unknown authority", "HTTPS_CA_CERTIFICATES"},
		},
		{
			name: "the file of authorities is not there", makes: func(s *scene) { s.env["OPENCTI_SSL_VERIFY"] = "/nowhere/ca.pem" },
			line: check.Platform, holds: []string{"OPENCTI_SSL_VERIFY", "cannot be read"},
		},
		{
			name: "the Matrix token is another user's",
			makes: func(s *scene) {
				peer, err := s.homeserver.NewPeer(s.t.Context(), "carol")
				if err != nil {
					s.t.Fatal(err)
				}
				delete(s.env, "MATRIX_PASSWORD")
				s.env["MATRIX_ACCESS_TOKEN"] = peer.Client.AccessToken
			},
			line: check.Login, holds: []string{"another user", "@carol:test.example", "MATRIX_USER_ID and MATRIX_ACCESS_TOKEN"},
		},
		{
			name: "the Matrix token is that of a client in use",
			makes: func(s *scene) {
				peer, err := s.homeserver.NewPeer(s.t.Context(), "bot")
				if err != nil {
					s.t.Fatal(err)
				}
				delete(s.env, "MATRIX_PASSWORD")
				s.env["MATRIX_ACCESS_TOKEN"] = peer.Client.AccessToken
			},
			line: check.Login, holds: []string{"keys of another client", "MATRIX_PASSWORD"},
		},
		{
			name: "the Matrix token is out of date",
			makes: func(s *scene) {
				delete(s.env, "MATRIX_PASSWORD")
				s.env["MATRIX_ACCESS_TOKEN"] = revoked(s)
			},
			line: check.Login, holds: []string{"not known", "MATRIX_ACCESS_TOKEN"},
		},
		{
			name: "the platform does not know the token", makes: func(s *scene) { s.env["OPENCTI_TOKEN"] = "canary-unknown" },
			line: check.Platform, holds: []string{"does not accept the token", "OPENCTI_TOKEN"},
		},
		{
			name: "the platform wants to be activated",
			makes: func(s *scene) {
				s.answers("about", `{"errors":[{"message":"canary","extensions":{"code":"LTS_REQUIRED_ACTIVATION"}}]}`)
			},
			line: check.Platform, holds: []string{"LTS_REQUIRED_ACTIVATION", "OPENCTI_URL", "not ready"},
		},
		{
			name: "a login page stands before the platform",
			makes: func(s *scene) {
				s.env["OPENCTI_URL"] = server(s.t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
			},
			line: check.Platform, holds: []string{"answered 401", "OPENCTI_CUSTOM_HEADERS"},
		},
		{
			name: "the broker's name is one of the platform's own network",
			makes: func(s *scene) {
				s.asBefore()
				delete(s.env, "MQ_HOST")
				delete(s.env, "MQ_PORT")
				s.patience = 2 * time.Second
				s.rewrites(`"host":"127.0.0.1"`, `"host":"rabbitmq.invalid"`)
			},
			line: check.Broker, holds: []string{"rabbitmq.invalid:5672", "MQ_HOST and MQ_PORT"},
		},
		{
			name: "the token is that of a user without rights",
			platform: openctitest.Config{Users: []openctitest.User{
				{Name: "connector", Token: "canary-token"}, {Name: "reader", Token: "canary-reader", Capabilities: []string{"KNOWLEDGE", "APIACCESS_USETOKEN"}},
			}},
			makes: func(s *scene) { s.env["OPENCTI_TOKEN"] = "canary-reader" },
			line:  check.Rights, holds: []string{"reader lacks CONNECTORAPI", "KNOWLEDGE_KNUPDATE (importing", "OPENCTI_TOKEN", "group Connectors"},
		},
		{
			name: "the token still says ChangeMe", makes: func(s *scene) { s.env["OPENCTI_TOKEN"] = "ChangeMe" },
			line: check.Settings, holds: []string{"OPENCTI_TOKEN", "still says ChangeMe"},
		},
		{
			name:  "the connector's id is that of another type",
			makes: func(s *scene) { s.registers("VirusTotal", "INTERNAL_ENRICHMENT", s.env["OPENCTI_TOKEN"]) },
			line:  check.Registered, holds: []string{"VirusTotal", "INTERNAL_ENRICHMENT", "CONNECTOR_ID", "uuidgen"},
		},
		{
			name: "the connector's id is no UUID", makes: func(s *scene) { s.env["CONNECTOR_ID"] = "matrix_1" },
			line: check.Settings, holds: []string{"CONNECTOR_ID", "uuidgen"},
		},
		{
			name: "the marking is mistyped", makes: func(s *scene) { s.env["MATRIX_TLP"] = "AMBR" },
			line: check.Settings, holds: []string{"MATRIX_TLP", "AMBER+STRICT"},
		},
		{
			name:  "there is no such marking",
			makes: func(s *scene) { s.answers("markingDefinition", `{"data":{"markingDefinition":null}}`) },
			line:  check.Markings, holds: []string{"does not exist", "MATRIX_TLP"},
		},
		{
			name:     "the user may not use the marking",
			platform: openctitest.Config{Users: []openctitest.User{{Name: "connector", Token: "canary-token", Markings: []string{"TLP:CLEAR", "TLP:GREEN"}}}},
			makes:    func(s *scene) { s.env["MATRIX_TLP"] = "RED" },
			line:     check.Markings, holds: []string{"may not use", "TLP:RED", "group", "MATRIX_TLP"},
		},
		{
			name:     "the user may not use the marking of a rule",
			platform: openctitest.Config{Users: []openctitest.User{{Name: "connector", Token: "canary-token", Markings: []string{"TLP:GREEN", "TLP:AMBER"}}}},
			makes:    func(s *scene) { s.yaml = "matrix:\n  rooms:\n    - room: \"#board:*\"\n      tlp: RED\n" },
			line:     check.Markings, holds: []string{"may not use", "TLP:RED", "rule in matrix.rooms"},
		},
		{
			name: "the platform is too old", platform: openctitest.Config{Generation: openctitest.Gen6, Version: "6.3.9"},
			makes: func(*scene) {},
			line:  check.Platform, holds: []string{"6.3.9", "not supported", "6.4.3"},
		},
		{
			name: "the homeserver has no login with a password",
			makes: func(s *scene) {
				var err error
				hs, err := matrixtest.New(matrixtest.Options{Flows: []string{"m.login.sso"}})
				if err != nil {
					s.t.Fatal(err)
				}
				s.t.Cleanup(func() { _ = hs.Close() })
				hs.Account("bot", password)
				s.env["MATRIX_SERVER"] = hs.URL()
			},
			line: check.Login, holds: []string{"no login with a password", "m.login.sso", "MATRIX_ACCESS_TOKEN"},
		},
		{
			name: "the account is locked", makes: func(s *scene) { s.homeserver.Lock(s.bot, true) },
			line: check.Login, holds: []string{"locked", "administrator"},
		},
		{
			name:  "the store is a file",
			makes: func(s *scene) { s.env["MATRIX_STORE_PATH"] = write(s.t, "store", []byte("in the way")) },
			line:  check.Store, holds: []string{"no folder", "MATRIX_STORE_PATH"},
		},
		{
			name: "the store's key is another one",
			makes: func(s *scene) {
				s.starts()
				s.env["MATRIX_STORE_KEY"] = "canary-another"
			},
			line: check.Store, holds: []string{"MATRIX_STORE_KEY is not the key"},
		},
		{
			name:  "the broker is away",
			makes: func(s *scene) { s.asBefore(); s.env["MQ_PORT"] = strconv.Itoa(closedPort(s.t)) },
			line:  check.Broker, holds: []string{"refused", "MQ_HOST and MQ_PORT", "firewall", "CONNECTOR_QUEUE_PROTOCOL=api"},
		},
		{
			name: "a firewall swallows what goes to the broker",
			makes: func(s *scene) {
				s.asBefore()
				s.patience = time.Second
				s.env["MQ_PORT"] = strconv.Itoa(silent(s.t))
			},
			line: check.Broker, holds: []string{"MQ_PORT", "MQ_USE_SSL"},
		},
		{
			name: "the broker's port is that of its page",
			makes: func(s *scene) {
				s.asBefore()
				s.env["MQ_PORT"] = webPage(s.t)[len("http://127.0.0.1:"):]
			},
			line: check.Broker, holds: []string{"MQ_PORT"},
		},
		{
			name: "the broker's password is wrong", makes: func(s *scene) { s.asBefore(); s.env["MQ_PASS"] = "canary-mq" },
			line: check.Broker, holds: []string{"does not accept the user guest", "MQ_USER and MQ_PASS"},
		},
		{
			name: "the broker's virtual host is wrong", makes: func(s *scene) { s.asBefore(); s.env["MQ_VHOST"] = "opencti" },
			line: check.Broker, holds: []string{"virtual host opencti", "MQ_VHOST"},
		},
		{
			name: "TLS is spoken to a broker without", makes: func(s *scene) { s.asBefore(); s.env["MQ_USE_SSL"] = "true" },
			line: check.Broker, holds: []string{"MQ_USE_SSL"},
		},
		{
			name: "the queue is gone", makes: func(s *scene) { s.asBefore(); s.broker.missing = true },
			line: check.Queue, holds: []string{"push_" + connID, "CONNECTOR_ID"},
		},
		{
			name: "this machine's clock is off",
			makes: func(s *scene) {
				s.now = func() time.Time { return time.Now().Add(-time.Hour) }
			},
			line: check.Clock, holds: []string{"1h0m0s behind the homeserver", "behind the platform", "NTP"},
		},
		{
			name: "the homeserver's clock is off",
			makes: func(s *scene) {
				s.env["MATRIX_SERVER"] = before(s.t, s.homeserver.URL(), func(r *http.Response) error {
					r.Header.Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
					return nil
				}).URL
			},
			line: check.Clock, holds: []string{"2h0m0s ahead of the homeserver", "clock of the homeserver"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, test.platform)
			test.makes(s)
			s.checks().failsAlone(test.line, test.holds...)
		})
	}
}

// answers lets the platform answer a query in another way.
func (s *scene) answers(query, answer string) {
	s.changes(func(text string) string {
		if strings.Contains(text, `"`+query+`"`) {
			return answer
		}
		return text
	})
}

// rewrites changes a part of the platform's answers.
func (s *scene) rewrites(from, to string) {
	s.changes(func(text string) string { return strings.ReplaceAll(text, from, to) })
}

func (s *scene) changes(change func(string) string) {
	s.env["OPENCTI_URL"] = before(s.t, s.platform.URL(), func(r *http.Response) error {
		text, err := io.ReadAll(r.Body)
		changed := change(string(text))
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
		r.Header.Set("Content-Length", strconv.Itoa(len(changed)))
		return err
	}).URL
}

// asBefore makes the connector known, so that the broker is looked at.
func (s *scene) asBefore() { s.registers("Matrix", "EXTERNAL_IMPORT", s.env["OPENCTI_TOKEN"]) }

func revoked(s *scene) string {
	s.t.Helper()
	peer, err := s.homeserver.NewPeer(s.t.Context(), "bot")
	if err != nil {
		s.t.Fatal(err)
	}
	s.homeserver.Revoke(s.bot, peer.Client.DeviceID, false)
	return peer.Client.AccessToken
}

func webPage(t *testing.T) string {
	t.Helper()
	return server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>Welcome</title>")
	}))
}

func server(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// overTLS is a server with a certificate of nobody's authority.
func overTLS(t *testing.T, target string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(forwarder(t, target, nil))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// silent takes connections and says nothing.
func silent(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}
