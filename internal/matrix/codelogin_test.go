package matrix_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// byCode is a homeserver whose authentication service is the only way in.
func byCode(s matrixtest.Service) matrixtest.Options {
	return matrixtest.Options{Service: &s, Flows: []string{"m.login.sso", "m.login.token"}}
}

// waiting is a time that goes on when somebody waits.
type waiting struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
	// at is called at each pause with its number, from 1, before time goes on.
	at func(n int)
}

func newWaiting() *waiting { return &waiting{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *waiting) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *waiting) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *waiting) Pause(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.waits = append(c.waits, d)
	n, at := len(c.waits), c.at
	c.mu.Unlock()
	if at != nil {
		at(n)
	}
	c.pass(d)
	return ctx.Err()
}

// person is who approves a login, and what was shown to them.
type person struct {
	*scene
	clock *waiting
	shown []matrix.Approval
}

// newPerson makes a scene with a clock of its own, in which a person is there to
// approve logins.
func newPerson(t *testing.T, o matrixtest.Options) *person {
	t.Helper()
	p := &person{scene: newScene(t, o), clock: newWaiting()}
	p.server.SetClock(p.clock.Now)
	return p
}

// there lets the person see what is to be done; a configuration without it has nobody.
func (p *person) there(c *matrix.Config) {
	p.timed(c)
	c.Approve = func(_ context.Context, a matrix.Approval) error {
		p.shown = append(p.shown, a)
		return nil
	}
}

// timed is the configuration of a start with nobody there, and no secret.
func (p *person) timed(c *matrix.Config) {
	c.Password, c.Now, c.Pause = "", p.clock.Now, p.clock.Pause
}

// approves makes the person approve with an account at the n-th pause.
func (p *person) approves(n int, account id.UserID) {
	p.clock.at = func(at int) {
		if at != n {
			return
		}
		if err := p.server.Approve(p.shown[len(p.shown)-1].Code, account); err != nil {
			p.t.Error(err)
		}
	}
}

// loggedIn is an account that a person has let in and who has left, as a running
// connector has it.
func (p *person) loggedIn() *matrix.Account {
	p.t.Helper()
	p.approves(len(p.clock.waits)+1, p.bot)
	p.open(p.there)
	return p.reopen(p.t, p.timed)
}

func TestAPersonLetsTheAccountIn(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{Links: true}))
	p.approves(3, p.bot)
	a := p.open(p.there)

	want := []matrix.Approval{{
		Page: p.server.URL() + "/link", Code: p.shown[0].Code, Link: p.server.URL() + "/link?code=" + p.shown[0].Code, Life: 20 * time.Minute,
	}}
	if diff := cmp.Diff(want, p.shown); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	// RFC 8628 §3.2: five seconds where the service does not say.
	if diff := cmp.Diff([]time.Duration{5 * time.Second, 5 * time.Second, 5 * time.Second}, p.clock.waits); diff != "" {
		t.Errorf("pauses between polls (-want +got):\n%s", diff)
	}
	if a.Entry() != matrix.EntryCode {
		t.Errorf("entry %q, want %q", a.Entry(), matrix.EntryCode)
	}
	if diff := cmp.Diff([]id.DeviceID{a.DeviceID()}, p.server.DeviceIDs(p.bot)); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	if name := p.server.DeviceName(p.bot, a.DeviceID()); name != "octi_bot" {
		t.Errorf("the device is called %q", name)
	}

	// It reads encrypted rooms like any other.
	alice := p.peer("alice")
	den := p.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(p.bot)
	p.catchUp(a)
	p.say(alice, den.ID, "hello")
	p.catchUp(a)

	// The next start needs nobody and no secret.
	again := p.reopen(t, p.timed)
	p.say(alice, den.ID, "again")
	p.catchUp(again)
	if diff := cmp.Diff([]string{"hello", "again"}, p.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if again.Entry() != matrix.EntryStored || again.DeviceID() != a.DeviceID() {
		t.Errorf("entry %q as %s, want %q as %s", again.Entry(), again.DeviceID(), matrix.EntryStored, a.DeviceID())
	}
	// And so does a login that finds one: nobody is asked again.
	if p.reopen(t, p.there).Entry() != matrix.EntryStored || len(p.shown) != 1 {
		t.Errorf("%d codes were shown, want one", len(p.shown))
	}
}

func TestTokensOfAServiceAreSealedOnDisk(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	p.loggedIn()
	var access, refresh []byte
	if err := p.store.DB().QueryRow(t.Context(), "SELECT access_token, refresh_token FROM matrix_account").Scan(&access, &refresh); err != nil {
		t.Fatal(err)
	}
	for _, sealed := range [][]byte{access, refresh} {
		if len(sealed) == 0 || strings.Contains(string(sealed), "syt_") || strings.Contains(string(sealed), "mcr_") {
			t.Errorf("a token is stored as %q", sealed)
		}
	}
	if log := p.log.String(); strings.Contains(log, "syt_") || strings.Contains(log, "mcr_") || strings.Contains(log, "devicecode") {
		t.Errorf("a token is in the log: %s", log)
	}
}

func TestASlowedPollKeepsToTheLongerInterval(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{Interval: 2 * time.Second}))
	p.clock.at = func(n int) {
		var err error
		switch n {
		case 2:
			err = p.server.SlowDown(p.shown[0].Code)
		case 5:
			err = p.server.Approve(p.shown[0].Code, p.bot)
		}
		if err != nil {
			t.Error(err)
		}
	}
	p.open(p.there)
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	if diff := cmp.Diff([]time.Duration{seconds(2), seconds(2), seconds(7), seconds(7), seconds(7)}, p.clock.waits); diff != "" {
		t.Errorf("pauses between polls (-want +got):\n%s", diff)
	}
}

func TestAServiceThatIsAwayIsPolledLessOften(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, Status: http.StatusBadGateway, Body: "<html>", Times: 2})
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, CutAfter: -1, Times: 1})
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, Status: http.StatusTooManyRequests, RetryAfter: "30", Times: 1})
	p.approves(6, p.bot)
	p.open(p.there)
	var got []int
	for _, w := range p.clock.waits {
		got = append(got, int(w.Seconds()))
	}
	if diff := cmp.Diff([]int{5, 10, 20, 40, 60, 30}, got); diff != "" {
		t.Errorf("pauses between polls in seconds (-want +got):\n%s", diff)
	}
}

func TestALoginThatDiesWhileApprovedLeavesOneDevice(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, CutAfter: 5, Times: 1})
	p.approves(1, p.bot)
	_, err := p.tryOpen(p.there)
	if e, ok := errors.AsType[*matrix.LoginError](err); !ok || e.Reason != matrix.ReasonCode {
		t.Fatalf("error %v, want reason %q: the answer was lost, and a code is good once", err, matrix.ReasonCode)
	}
	p.approves(len(p.clock.waits)+1, p.bot)
	a := p.reopen(t, p.there)
	if diff := cmp.Diff([]id.DeviceID{a.DeviceID()}, p.server.DeviceIDs(p.bot)); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

func TestALoginThatIsInterruptedEndsAtOnce(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	ctx, cancel := context.WithCancel(t.Context())
	p.clock.at = func(n int) {
		if n == 2 {
			cancel()
		}
	}
	a, err := matrix.New(func() matrix.Config { c := p.config(); p.there(&c); return c }())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if err := a.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if n := p.server.Count(matrixtest.OAuthToken); n != 1 {
		t.Errorf("%d polls, want 1", n)
	}
}

// Each of them is told with what cures it, and leaves nothing behind.
func TestALoginByCodeThatFailsSaysWhatCuresIt(t *testing.T) {
	for _, test := range []struct {
		name    string
		service matrixtest.Service
		nobody  bool // is there
		prepare func(p *person)
		want    matrix.Reason
		class   matrix.Class
		hint    string
	}{
		{
			name: "nobody is there to approve", nobody: true,
			want: matrix.ReasonApproval, class: matrix.ClassPermanent, hint: "run `matrix-connector login` once",
		},
		{
			name: "the code runs out", service: matrixtest.Service{CodeLife: time.Minute},
			want: matrix.ReasonCode, class: matrix.ClassPermanent, hint: "matrix-connector login",
		},
		{
			name: "the code runs out while the service is away", service: matrixtest.Service{CodeLife: 5 * time.Minute},
			prepare: func(p *person) {
				p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, Status: http.StatusServiceUnavailable, Body: "away"})
			},
			want: matrix.ReasonCode, class: matrix.ClassPermanent, hint: "matrix-connector login",
		},
		{
			name: "the person refuses",
			prepare: func(p *person) {
				p.clock.at = func(int) { _ = p.server.Deny(p.shown[0].Code) }
			},
			want: matrix.ReasonDenied, class: matrix.ClassPermanent, hint: "allow the login",
		},
		{
			name:    "the person approves as somebody else",
			prepare: func(p *person) { p.approves(1, p.server.Account("mallory", "x")) },
			want:    matrix.ReasonOtherPerson, class: matrix.ClassPermanent, hint: "private window",
		},
		{
			name: "the service has no codes", service: matrixtest.Service{NoCodes: true},
			want: matrix.ReasonNoCodes, class: matrix.ClassPermanent, hint: "device authorization grant",
		},
		{
			name: "the service has no codes any more, and the homeserver remembers them", service: matrixtest.Service{NoCodes: true, Stale: true},
			want: matrix.ReasonNoCodes, class: matrix.ClassPermanent, hint: "device authorization grant",
		},
		{
			name: "the service takes its codes back",
			prepare: func(p *person) {
				p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthCode, Status: http.StatusBadRequest, Body: `{"error":"invalid_request"}`})
			},
			want: matrix.ReasonNoCodes, class: matrix.ClassPermanent, hint: "device authorization grant",
		},
		{
			name: "the service registers nobody", service: matrixtest.Service{Closed: true},
			want: matrix.ReasonRegistration, class: matrix.ClassPermanent, hint: "administrator",
		},
		{
			name: "the account is locked",
			prepare: func(p *person) {
				p.server.Lock(p.bot, true)
				p.approves(1, p.bot)
			},
			want: matrix.ReasonLocked, class: matrix.ClassUnauthorized, hint: "administrator",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPerson(t, byCode(test.service))
			if test.prepare != nil {
				test.prepare(p)
			}
			config := p.there
			if test.nobody {
				config = p.timed
			}
			_, err := p.tryOpen(config)
			e, ok := errors.AsType[*matrix.LoginError](err)
			if !ok || e.Reason != test.want {
				t.Fatalf("error %v, want reason %q", err, test.want)
			}
			if !strings.Contains(e.Hint(), test.hint) {
				t.Errorf("hint %q does not name %q", e.Hint(), test.hint)
			}
			if f := matrix.Classify(err); f.Class != test.class {
				t.Errorf("class %s, want %s", f.Class, test.class)
			}
			for _, user := range []id.UserID{p.bot, p.server.UserID("mallory")} {
				if devices := p.server.DeviceIDs(user); len(devices) > 0 {
					t.Errorf("%s is left with the devices %v", user, devices)
				}
			}
		})
	}
}

func TestAPasswordIsOfUseWhereTheServiceTakesIt(t *testing.T) {
	s := newScene(t, matrixtest.Options{Service: &matrixtest.Service{}})
	if a := s.open(); a.Entry() != matrix.EntryPassword {
		t.Errorf("entry %q, want %q", a.Entry(), matrix.EntryPassword)
	}
	// Without one, both ways are named.
	_, err := newScene(t, matrixtest.Options{Service: &matrixtest.Service{}}).tryOpen(func(c *matrix.Config) { c.Password = "" })
	e, ok := errors.AsType[*matrix.LoginError](err)
	if !ok || e.Reason != matrix.ReasonNoSecret || !strings.Contains(e.Hint(), "matrix-connector login") || !strings.Contains(e.Hint(), "MATRIX_PASSWORD") {
		t.Errorf("error %v", err)
	}
}

func TestAPasswordThatTheServerDoesNotTakeGivesWayToAPerson(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	p.approves(1, p.bot)
	a := p.open(p.there, func(c *matrix.Config) { c.Password = botPassword })
	if a.Entry() != matrix.EntryCode {
		t.Errorf("entry %q, want %q", a.Entry(), matrix.EntryCode)
	}
}

func TestTokensAreToldOverTLSAlone(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	_, err := p.tryOpen(p.there, func(c *matrix.Config) {
		c.Homeserver = "https://matrix.test.example"
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(p.server.URL(), "http://")
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	e, ok := errors.AsType[*matrix.LoginError](err)
	if !ok || e.Reason != matrix.ReasonService || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("error %v, want reason %q", err, matrix.ReasonService)
	}
}

func TestAnotherTokenFollowsTheOperatorsOwn(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	token := s.server.Token(s.bot, "BOTDEVICE1")
	s.open(func(c *matrix.Config) { c.Password, c.AccessToken = "", token })
	s.server.Revoke(s.bot, "BOTDEVICE1", true)
	// As the hint says: the token is taken out of the settings, a password is set.
	if a := s.reopen(t); a.Entry() != matrix.EntryPassword || a.DeviceID() != "BOTDEVICE1" {
		t.Errorf("entry %q as %s, want %q as the same device", a.Entry(), a.DeviceID(), matrix.EntryPassword)
	}
}

func TestAServiceThatIsNotReachedIsNamed(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	_, err := p.tryOpen(p.there, func(c *matrix.Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/oauth2/") {
				return nil, errors.New("no route to host")
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	hint, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok || !strings.Contains(hint.Hint(), "authentication service, too: it is at "+strings.TrimPrefix(p.server.URL(), "http://")) {
		t.Errorf("error %v has no hint at the service's address", err)
	}
	if f := matrix.Classify(err); f.Class != matrix.ClassTemporary {
		t.Errorf("class %s, want %s", f.Class, matrix.ClassTemporary)
	}
}
