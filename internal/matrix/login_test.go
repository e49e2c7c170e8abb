package matrix_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

func TestASecondStartUsesTheSameDevice(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(s.bot)
	a := s.open()
	s.catchUp(a)
	s.say(alice, den.ID, "before")
	s.catchUp(a)
	keys := s.server.DeviceKeys(s.bot, a.DeviceID())
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}

	s.openStore()
	again := s.open()
	// The same session: its key came before the restart.
	s.say(alice, den.ID, "after")
	s.catchUp(again)
	if diff := cmp.Diff([]string{"before", "after"}, s.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if again.DeviceID() != a.DeviceID() {
		t.Errorf("device %s, then %s", a.DeviceID(), again.DeviceID())
	}
	if diff := cmp.Diff([]id.DeviceID{a.DeviceID()}, s.server.DeviceIDs(s.bot)); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	if n := s.server.Count(matrixtest.Login); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	if string(keys) != string(s.server.DeviceKeys(s.bot, a.DeviceID())) {
		t.Error("the device's keys have changed")
	}
}

func TestALoginThatDiesHalfwayLeavesOneDevice(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	s.server.Inject(matrixtest.Fault{On: matrixtest.Login, CutAfter: 5, Times: 1})
	if _, err := s.tryOpen(); err == nil {
		t.Fatal("the cut login succeeded")
	}
	// The lock of the first attempt is still held by it.
	a := s.reopen(t)
	if diff := cmp.Diff([]id.DeviceID{a.DeviceID()}, s.server.DeviceIDs(s.bot)); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

// reopen closes the store, as the end of a process does, and starts again.
func (s *scene) reopen(t *testing.T, change ...func(*matrix.Config)) *matrix.Account {
	t.Helper()
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range s.opened {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.openStore()
	return s.open(change...)
}

func TestOneProcessActsAsADevice(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	s.open()
	_, err := s.tryOpen()
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("second account: %v, want %v", err, store.ErrLocked)
	}
}

func TestALostDevice(t *testing.T) {
	for _, test := range []struct {
		name string
		soft bool
	}{{"is logged in again after a soft logout", true}, {"gets its keys back after a hard logout", false}} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			alice := s.peer("alice")
			den := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
			den.Join(s.bot)
			a := s.open()
			s.catchUp(a)
			s.say(alice, den.ID, "one")
			s.catchUp(a)
			keys := keysOf(t, s.server.DeviceKeys(s.bot, a.DeviceID()))

			s.server.Revoke(s.bot, a.DeviceID(), test.soft)
			since, err := s.diary.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Poll(t.Context()); err != nil {
				t.Fatalf("sync with a dead token: %v", err)
			}
			s.server.ForgetSync(s.bot, a.DeviceID(), since)
			if err := alice.Rotate(t.Context(), den.ID); err != nil {
				t.Fatal(err)
			}
			s.say(alice, den.ID, "two")
			s.catchUp(a)
			if diff := cmp.Diff([]string{"one", "two"}, s.said()); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]id.DeviceID{a.DeviceID()}, s.server.DeviceIDs(s.bot)); diff != "" {
				t.Errorf("devices (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(keys, keysOf(t, s.server.DeviceKeys(s.bot, a.DeviceID()))); diff != "" {
				t.Errorf("device keys (-before +after):\n%s", diff)
			}
			if n := s.server.OneTimeKeys(s.bot, a.DeviceID()); n == 0 {
				t.Error("the device has no one-time keys")
			}
		})
	}
}

func keysOf(t *testing.T, raw json.RawMessage) map[string]string {
	t.Helper()
	var d struct {
		Keys map[string]string `json:"keys"`
	}
	if raw == nil {
		t.Fatal("the homeserver has no keys of the device")
	}
	unmarshal(t, raw, &d)
	return d.Keys
}

func TestATokenOfItsOwnDeviceLogsIn(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	token := s.server.Token(s.bot, "BOTDEVICE")
	useToken := func(c *matrix.Config) { c.Password, c.AccessToken = "", token }
	a := s.open(useToken)
	if a.DeviceID() != "BOTDEVICE" {
		t.Errorf("device %s, want BOTDEVICE", a.DeviceID())
	}
	if n := s.server.Count(matrixtest.Login); n != 0 {
		t.Errorf("%d logins, want none", n)
	}
	if s.reopen(t, useToken).DeviceID() != "BOTDEVICE" {
		t.Error("the second start uses another device")
	}
}

func TestWhatAPersonHasToCure(t *testing.T) {
	for _, test := range []struct {
		name    string
		options matrixtest.Options
		prepare func(s *scene)
		config  func(s *scene, c *matrix.Config)
		want    matrix.Reason
		hint    string
	}{
		{
			name:   "a wrong password",
			config: func(_ *scene, c *matrix.Config) { c.Password = "wrong" },
			want:   matrix.ReasonPassword, hint: "MATRIX_PASSWORD",
		},
		{
			name:   "no secret at all",
			config: func(_ *scene, c *matrix.Config) { c.Password = "" },
			want:   matrix.ReasonNoSecret, hint: "MATRIX_ACCESS_TOKEN",
		},
		{
			name:    "a server without login by password",
			options: matrixtest.Options{Flows: []string{"m.login.sso", "m.login.token"}},
			want:    matrix.ReasonNoPasswordLogin, hint: "MATRIX_ACCESS_TOKEN",
		},
		{
			name: "a token of another client's device",
			config: func(s *scene, c *matrix.Config) {
				p := s.peer("bot") // a person logged in as the bot, with keys of their own
				c.Password, c.AccessToken = "", p.Client.AccessToken
			},
			want: matrix.ReasonForeignKeys, hint: "no other client uses",
		},
		{
			name: "a token of another user",
			config: func(s *scene, c *matrix.Config) {
				c.AccessToken = s.server.Token(s.server.Account("mallory", "x"), "")
			},
			want: matrix.ReasonOtherUser, hint: "MATRIX_USER_ID",
		},
		{
			name: "a token that nobody knows",
			config: func(s *scene, c *matrix.Config) {
				c.Password, c.AccessToken = "", s.server.Token(s.bot, "GONE")
				s.server.Revoke(s.bot, "GONE", false)
			},
			want: matrix.ReasonToken, hint: "a valid token of a device that was made for the bot",
		},
		{
			name:    "a locked account",
			prepare: func(s *scene) { s.server.Lock(s.bot, true) },
			want:    matrix.ReasonLocked, hint: "administrator",
		},
		{
			name: "a suspended account",
			prepare: func(s *scene) {
				s.server.Inject(matrixtest.Fault{On: matrixtest.Login, Status: 403, Code: "M_USER_SUSPENDED"})
			},
			want: matrix.ReasonSuspended, hint: "administrator",
		},
		{
			name: "a deactivated account",
			prepare: func(s *scene) {
				s.server.Inject(matrixtest.Fault{On: matrixtest.Login, Status: 403, Code: "M_USER_DEACTIVATED"})
			},
			want: matrix.ReasonDeactivated, hint: "administrator",
		},
		{
			name:   "an address that is none",
			config: func(_ *scene, c *matrix.Config) { c.Homeserver = "ftp://example.org" },
			want:   matrix.ReasonServer, hint: "MATRIX_SERVER",
		},
		{
			name: "an address where something else answers",
			config: func(s *scene, c *matrix.Config) {
				other := httptest.NewServer(http.NotFoundHandler())
				s.t.Cleanup(other.Close)
				c.Homeserver = other.URL
			},
			want: matrix.ReasonServer, hint: "MATRIX_SERVER",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, test.options)
			if test.prepare != nil {
				test.prepare(s)
			}
			_, err := s.tryOpen(func(c *matrix.Config) {
				if test.config != nil {
					test.config(s, c)
				}
			})
			e, ok := errors.AsType[*matrix.LoginError](err)
			if !ok || e.Reason != test.want {
				t.Fatalf("error %v, want reason %q", err, test.want)
			}
			if !strings.Contains(e.Hint(), test.hint) {
				t.Errorf("hint %q does not name %q", e.Hint(), test.hint)
			}
			if strings.Contains(err.Error()+s.log.String(), botPassword) {
				t.Error("the password is in the error or the log")
			}
		})
	}
}

func TestKeysOfAnotherClientOnTheServerStopTheStart(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	other := s.peer("other")
	var foreign map[string]any
	unmarshal(t, s.server.DeviceKeys(other.User, other.Client.DeviceID), &foreign)
	text, err := json.Marshal(foreign)
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.NewReplacer(string(other.User), string(s.bot), string(other.Client.DeviceID), string(a.DeviceID())).Replace(string(text))
	s.server.SetDeviceKeys(s.bot, a.DeviceID(), json.RawMessage(renamed))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.tryOpen()
	e, ok := errors.AsType[*matrix.LoginError](err)
	if !ok || e.Reason != matrix.ReasonWrongKeys {
		t.Errorf("error %v, want reason %q", err, matrix.ReasonWrongKeys)
	}
}

func TestAStoreServesOneAccount(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	if err := s.open().Close(); err != nil {
		t.Fatal(err)
	}
	other := s.server.Account("other", botPassword)
	_, err := s.tryOpen(func(c *matrix.Config) { c.UserID = other })
	e, ok := errors.AsType[*matrix.LoginError](err)
	if !ok || e.Reason != matrix.ReasonStore {
		t.Errorf("error %v, want reason %q", err, matrix.ReasonStore)
	}
}

func TestSecretsAreSealedOnDisk(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	s.open()
	token := s.server.Token(s.bot, "") // shape of the tokens
	prefix := token[:strings.LastIndex(token, "_")]
	var sealed []byte
	if err := s.store.DB().QueryRow(t.Context(), "SELECT access_token FROM matrix_account").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if len(sealed) == 0 || strings.Contains(string(sealed), prefix) {
		t.Errorf("access token is stored as %q", sealed)
	}
}

func TestServerNamesAreDiscovered(t *testing.T) {
	// The transport stands for DNS and TLS: every host is the test server.
	s := newScene(t, matrixtest.Options{})
	s.open(func(c *matrix.Config) {
		c.Homeserver = "test.example"
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(s.server.URL(), "http://")
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	if n := s.server.Count(matrixtest.WellKnown); n != 1 {
		t.Errorf("%d requests for .well-known, want 1", n)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFailuresAreClassified(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   matrix.Failure
		wait   time.Duration // before the second attempt
	}{
		{
			name:   "a rate limit with Retry-After waits as long as it says",
			status: 429, header: map[string]string{"Retry-After": "7"}, body: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1}`,
			want: matrix.Failure{Class: matrix.ClassRateLimited, Delay: 7 * time.Second}, wait: 7 * time.Second,
		},
		{
			name:   "a rate limit without Retry-After waits as the body says",
			status: 429, body: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}`,
			want: matrix.Failure{Class: matrix.ClassRateLimited, Delay: 1500 * time.Millisecond}, wait: 1500 * time.Millisecond,
		},
		{
			name:   "a rate limit that says nothing doubles from four seconds",
			status: 429, body: `{"errcode":"M_LIMIT_EXCEEDED"}`,
			want: matrix.Failure{Class: matrix.ClassRateLimited}, wait: 8 * time.Second,
		},
		{
			name:   "a rate limit of years is cut",
			status: 429, body: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1e300}`,
			want: matrix.Failure{Class: matrix.ClassRateLimited, Delay: time.Hour}, wait: time.Hour,
		},
		{
			name: "an unknown token is unauthorised", status: 401, body: `{"errcode":"M_UNKNOWN_TOKEN"}`,
			want: matrix.Failure{Class: matrix.ClassUnauthorized}, wait: 8 * time.Second,
		},
		{
			name: "a refusal is permanent", status: 403, body: `{"errcode":"M_FORBIDDEN"}`,
			want: matrix.Failure{Class: matrix.ClassPermanent}, wait: 8 * time.Second,
		},
		{
			name: "a proxy's page is temporary", status: 403, body: `<html>`,
			want: matrix.Failure{Class: matrix.ClassTemporary}, wait: 8 * time.Second,
		},
		{
			name: "a broken server is temporary", status: 502, body: ``,
			want: matrix.Failure{Class: matrix.ClassTemporary}, wait: 8 * time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range test.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			client, err := mautrix.NewClient(server.URL, "@a:b", "x")
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Whoami(t.Context())
			got := matrix.Classify(err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
			if wait := got.Backoff(2); wait != test.wait {
				t.Errorf("second attempt after %s, want %s", wait, test.wait)
			}
		})
	}
}

func TestARateLimitedSyncSaysHowLongToWait(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	s.server.Inject(matrixtest.Fault{On: matrixtest.Sync, Status: 429, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 2500, Times: 1})
	_, err := a.Poll(t.Context())
	if f := matrix.Classify(err); f.Class != matrix.ClassRateLimited || f.Backoff(1) != 2500*time.Millisecond {
		t.Errorf("failure %+v of %v", f, err)
	}
	s.catchUp(a)
}
