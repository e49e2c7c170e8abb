package check_test

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// newServiceScene is one whose homeserver lets people in by its authentication service
// alone, and whose settings have no secret.
func newServiceScene(t *testing.T, o matrixtest.Options) *scene {
	t.Helper()
	s := newScene(t, openctitest.Config{})
	hs, err := matrixtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.homeserver.Close(); err != nil {
		t.Fatal(err)
	}
	s.homeserver = hs
	s.bot, s.alice = hs.Account("bot", password), hs.Account("alice", "canary-alice")
	hs.NewRoom(s.alice, matrixtest.RoomOptions{Name: "Den"}).Join(s.bot)
	s.env["MATRIX_SERVER"] = hs.URL()
	delete(s.env, "MATRIX_PASSWORD")
	return s
}

// approved is the configuration of a start at which somebody approves.
func (s *scene) approved(c *matrix.Config) {
	c.Approve = func(_ context.Context, a matrix.Approval) error { return s.homeserver.Approve(a.Code, s.bot) }
	c.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// asks is how often the service was asked for a token.
func (s *scene) asks() int { return s.homeserver.Count(matrixtest.OAuthToken) }

var byService = matrixtest.Options{Service: &matrixtest.Service{}, Flows: []string{"m.login.sso"}}

func TestALoginByTheServiceIsLookedAtAndNotRenewed(t *testing.T) {
	s := newServiceScene(t, byService)
	account := s.starts(s.approved)
	asked := s.asks()
	r := s.checks()
	r.noneFails()
	r.is(check.Login, check.OK, "with the stored device, by the authentication service", "its token holds until", "renewed by the connector")
	r.is(check.Device, check.Warning, string(account.DeviceID()))
	r.is(check.Rooms, check.OK, "in 1 room")

	// In its last quarter, too: the connector renews it, and not the check.
	late := func() time.Time { return time.Now().Add(4*time.Minute + 30*time.Second) }
	s.now = late
	s.checks().is(check.Login, check.OK, "its token holds until")
	if n := s.asks() - asked; n > 0 {
		t.Errorf("the check has asked the service for %d tokens", n)
	}
	// The running connector's own is as good as it was.
	if err := account.Sync(t.Context()); err != nil {
		t.Error(err)
	}
}

// startedBefore is an account that somebody approved some time ago, whose clock and
// the homeserver's are right again.
func (s *scene) startedBefore(ago time.Duration) *matrix.Account {
	s.t.Helper()
	var behind atomic.Int64
	behind.Store(int64(ago))
	clock := func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
	s.homeserver.SetClock(clock)
	account := s.starts(s.approved, func(c *matrix.Config) { c.Now = clock })
	behind.Store(0)
	return account
}

func TestWhetherALoginWhoseTokenRanOutHoldsIsNotKnown(t *testing.T) {
	s := newServiceScene(t, byService)
	s.startedBefore(time.Hour)
	asked := s.asks()
	r := s.checks()
	r.noneFails()
	r.is(check.Login, check.Warning, "ran out at", "a check cannot tell", "matrix-connector login")
	r.is(check.Device, check.Skipped, "only the connector may renew it")
	r.is(check.Rooms, check.Skipped, "only the connector may renew it")
	if verified, _ := r.line(check.Login).Facts["verified"].(bool); verified {
		t.Error("it counts as verified")
	}
	if n := s.asks() - asked; n > 0 {
		t.Errorf("the check has asked the service for %d tokens", n)
	}
}

// A connector renews its token just when the check asks: the one before is not known
// any more, the next one is about to be stored.
func TestATokenThatIsRenewedMeanwhileIsReadAgain(t *testing.T) {
	s := newServiceScene(t, byService)
	account := s.startedBefore(4 * time.Minute)
	asked := s.asks()
	renewed := make(chan error, 1)
	s.homeserver.Inject(matrixtest.Fault{On: matrixtest.Versions, Times: 1, Reach: func() { s.homeserver.Expire(s.bot, account.DeviceID()) }})
	s.homeserver.Inject(matrixtest.Fault{On: matrixtest.Whoami, Times: 1, Reach: func() {
		go func() { renewed <- account.Sync(t.Context()) }()
	}})
	r := s.checks()
	if err := <-renewed; err != nil {
		t.Fatal(err)
	}
	r.noneFails()
	r.is(check.Login, check.OK, "with the stored device")
	if n := s.asks() - asked; n != 1 {
		t.Errorf("%d tokens were asked for, want the connector's one", n)
	}
}

func TestALoginThatTheServiceEndedHasItsCure(t *testing.T) {
	s := newServiceScene(t, byService)
	account := s.starts(s.approved)
	s.homeserver.EndLogin(s.bot, account.DeviceID())
	s.checks().failsAlone(check.Login, "was revoked", "matrix-connector login")
}

func TestBeforeALoginTheCheckSaysHowToLogIn(t *testing.T) {
	for _, test := range []struct {
		name    string
		options matrixtest.Options
		sets    map[string]string
		holds   []string
	}{
		{name: "by the service alone", options: byService, holds: []string{"no other way in", "matrix-connector login"}},
		{
			name: "by the service alone, with a password", options: byService, sets: map[string]string{"MATRIX_PASSWORD": password},
			holds: []string{"no other way in", "matrix-connector login"},
		},
		{
			name: "by both", options: matrixtest.Options{Service: &matrixtest.Service{}},
			holds: []string{"neither a password nor an access token", "matrix-connector login", "MATRIX_PASSWORD"},
		},
		{
			name: "by a service without codes", options: matrixtest.Options{Service: &matrixtest.Service{NoCodes: true}, Flows: []string{"m.login.sso"}},
			holds: []string{"through a browser alone", "MATRIX_ACCESS_TOKEN", "device authorization grant"},
		},
		{name: "with a password alone", holds: []string{"neither a password nor an access token", "MATRIX_PASSWORD"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServiceScene(t, test.options)
			maps.Copy(s.env, test.sets)
			r := s.checks()
			r.failsAlone(check.Login, test.holds...)
			if strings.Contains(r.line(check.Login).Hint, "login") != (test.options.Service != nil && !test.options.Service.NoCodes) {
				t.Errorf("hint %q", r.line(check.Login).Hint)
			}
		})
	}
}
