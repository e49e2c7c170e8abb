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

// renewals is how many tokens the service was asked for with a refresh token.
func (p *person) renewals() int {
	p.t.Helper()
	n := 0
	for _, r := range p.server.Requests(matrixtest.OAuthToken) {
		if strings.Contains(string(r.Body), "grant_type=refresh_token") {
			n++
		}
	}
	return n
}

func (p *person) poll(a *matrix.Account) error {
	p.t.Helper()
	_, err := a.Poll(p.t.Context())
	return err
}

func TestATokenIsRenewedInTheLastQuarterOfItsLife(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	for _, step := range []struct {
		pass time.Duration
		want int
	}{
		{3*time.Minute + 44*time.Second, 0}, {2 * time.Second, 1}, {3 * time.Minute, 1}, {time.Minute, 2}, {time.Hour, 3},
	} {
		p.clock.pass(step.pass)
		if err := p.poll(a); err != nil {
			t.Fatal(err)
		}
		if n := p.renewals(); n != step.want {
			t.Errorf("after another %s: %d renewals, want %d", step.pass, n, step.want)
		}
	}
	// What was renewed is what the next start has.
	if err := p.poll(p.reopen(t, p.timed)); err != nil {
		t.Error(err)
	}
	if n := p.renewals(); n != 3 {
		t.Errorf("%d renewals after a start, want 3", n)
	}
}

func TestATokenThatRanOutBeforeItsTimeIsRenewed(t *testing.T) {
	for _, test := range []struct {
		name    string
		service matrixtest.Service
	}{
		{"without a word of it", matrixtest.Service{}},
		{"as a soft logout", matrixtest.Service{SoftLogout: true}},
		{"where the service does not say when", matrixtest.Service{TokenLife: -1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPerson(t, byCode(test.service))
			a := p.loggedIn()
			p.clock.pass(time.Minute)
			p.server.Expire(p.bot, a.DeviceID())
			if err := p.poll(a); err != nil {
				t.Fatal(err)
			}
			if n := p.renewals(); n != 1 {
				t.Errorf("%d renewals, want 1", n)
			}
			// The device's keys are as they were: nothing has logged in again.
			if n := p.server.Count(matrixtest.OAuthCode); n != 1 {
				t.Errorf("%d codes, want that of the login alone", n)
			}
		})
	}
}

func TestARequestWithABodyIsSentAgainWhole(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{TokenLife: -1}))
	a := p.loggedIn()
	alice := p.peer("alice")
	den := p.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(p.bot)
	p.say(alice, den.ID, "asks for keys")
	p.clock.pass(time.Minute)
	// The query for Alice's keys is the first request that meets the dead token.
	p.server.Inject(matrixtest.Fault{On: matrixtest.Sync, Times: 1, Reach: func() { p.server.Expire(p.bot, a.DeviceID()) }})
	queries := p.server.Count(matrixtest.KeysQuery)
	p.catchUp(a)
	if diff := cmp.Diff([]string{"asks for keys"}, p.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	asked := p.server.Requests(matrixtest.KeysQuery)[queries:]
	if len(asked) != 2 || string(asked[0].Body) != string(asked[1].Body) || len(asked[0].Body) == 0 {
		t.Errorf("the keys were asked for %d times, want twice by the same words", len(asked))
	}
}

func TestLoopsAtOnceRenewOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		why  func(p *person, a *matrix.Account)
	}{
		{"when it is time", func(p *person, _ *matrix.Account) { p.clock.pass(4 * time.Minute) }},
		{"when the token ran out", func(p *person, a *matrix.Account) {
			p.clock.pass(time.Minute)
			p.server.Expire(p.bot, a.DeviceID())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPerson(t, byCode(matrixtest.Service{}))
			a := p.loggedIn()
			den := p.server.NewRoom(p.server.Account("alice", "x"), matrixtest.RoomOptions{})
			den.Join(p.bot)
			sent := den.Say("@alice:test.example", "hello")
			test.why(p, a)
			var wait sync.WaitGroup
			failed := make(chan error, 9)
			for range 8 {
				wait.Go(func() {
					failed <- a.FetchTarget(t.Context(), den.ID, sent)
				})
			}
			wait.Go(func() { failed <- p.poll(a) })
			wait.Wait()
			close(failed)
			for err := range failed {
				if err != nil {
					t.Error(err)
				}
			}
			if n := p.renewals(); n != 1 {
				t.Errorf("%d renewals, want 1", n)
			}
		})
	}
}

// A process that is killed between the service's answer and the commit has the old
// refresh token, and starts with it.
func TestAKillBetweenAnswerAndCommitLosesNoLogin(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	p.clock.pass(4 * time.Minute)
	if !p.killedAtCommit(a) {
		t.Fatal("the commit was not reached")
	}
	again := p.reopen(t, p.timed)
	if err := p.poll(again); err != nil {
		t.Fatal(err)
	}
	if n := p.renewals(); n != 2 {
		t.Errorf("%d renewals, want one before and one after", n)
	}
	if diff := cmp.Diff([]id.DeviceID{again.DeviceID()}, p.server.DeviceIDs(p.bot)); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

// row is what is stored of the login.
func (p *person) row(t *testing.T) [2]string {
	t.Helper()
	var row [2]string
	if err := p.store.DB().QueryRow(t.Context(), "SELECT hex(access_token), hex(refresh_token) FROM matrix_account").Scan(&row[0], &row[1]); err != nil {
		t.Fatal(err)
	}
	return row
}

// killedAtCommit lets the store refuse the commit of a renewal, as a kill would, and
// reports whether a renewal came that far.
func (p *person) killedAtCommit(a *matrix.Account) bool {
	p.t.Helper()
	p.exec("CREATE TRIGGER killed BEFORE UPDATE ON matrix_account BEGIN SELECT RAISE(ABORT, 'killed'); END")
	renewals := p.renewals()
	err := p.poll(a)
	p.exec("DROP TRIGGER killed")
	return err != nil && p.renewals() == renewals+1
}

// While the process lives, tokens that could not be stored are kept and stored later:
// the service is not asked for others.
func TestTokensThatCouldNotBeStoredAreStoredLater(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	p.clock.pass(4 * time.Minute)
	if !p.killedAtCommit(a) {
		t.Fatal("the commit was not reached")
	}
	before := p.row(t)
	p.clock.pass(4 * time.Second) // the pause after a failure
	if err := p.poll(a); err != nil {
		t.Fatal(err)
	}
	if n := p.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
	if diff := cmp.Diff(before, p.row(t)); diff == "" {
		t.Error("the new tokens are not stored")
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	p.clock.pass(10 * time.Minute)
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, CutAfter: 20, Times: 1})
	if f := matrix.Classify(p.poll(a)); f.Class != matrix.ClassTemporary {
		t.Errorf("class %s, want %s", f.Class, matrix.ClassTemporary)
	}
	p.clock.pass(4 * time.Second)
	if err := p.poll(a); err != nil {
		t.Error(err)
	}
	if n := p.renewals(); n != 2 {
		t.Errorf("%d renewals, want 2", n)
	}
}

func TestAServiceThatIsAwayIsNoEndOfALogin(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault matrixtest.Fault
		class matrix.Class
	}{
		{"gone", matrixtest.Fault{CutAfter: -1}, matrix.ClassTemporary},
		{"out of order", matrixtest.Fault{Status: http.StatusInternalServerError, Body: `{"error":"server_error"}`}, matrix.ClassTemporary},
		{"behind a proxy that refuses", matrixtest.Fault{Status: http.StatusForbidden, Body: "<html>"}, matrix.ClassTemporary},
		{"behind a proxy that speaks JSON", matrixtest.Fault{Status: http.StatusForbidden, Body: `{"error":"forbidden"}`}, matrix.ClassTemporary},
		{"busy", matrixtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "7"}, matrix.ClassRateLimited},
		{"talking nonsense", matrixtest.Fault{Status: http.StatusOK, Body: `{"access_token":""}`}, matrix.ClassTemporary},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPerson(t, byCode(matrixtest.Service{}))
			a := p.loggedIn()
			test.fault.On = matrixtest.OAuthToken
			p.server.Inject(test.fault)

			// As long as the token holds, nobody notices.
			p.clock.pass(4 * time.Minute)
			if err := p.poll(a); err != nil {
				t.Fatalf("a token that holds: %v", err)
			}
			asked := p.renewals()
			if err := p.poll(a); err != nil || p.renewals() != asked {
				t.Errorf("%v; the service was asked %d times in a row", err, p.renewals())
			}
			// Then it is a failure that passes, and the service is not asked by every request.
			p.clock.pass(2 * time.Minute)
			for range 5 {
				if f := matrix.Classify(p.poll(a)); f.Class != test.class {
					t.Errorf("class %s, want %s", f.Class, test.class)
				}
			}
			if n := p.renewals(); n != asked+1 {
				t.Errorf("the service was asked %d times, want once more than %d", n, asked)
			}
			p.server.Heal()
			p.clock.pass(time.Minute)
			if err := p.poll(a); err != nil {
				t.Errorf("it is back: %v", err)
			}
			if n := strings.Count(p.log.String(), "token not renewed"); n != 1 {
				t.Errorf("logged %d times, want once", n)
			}
		})
	}
}

// What the service has ended a person has to cure. It is asked once, whoever wants a
// token, and the next start says the same.
func TestALoginThatTheServiceEndedIsOverAndNotAskedForAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(p *person, a *matrix.Account)
	}{
		{"by its owner", func(p *person, a *matrix.Account) { p.server.EndLogin(p.bot, a.DeviceID()) }},
		{"with all its clients", func(p *person, _ *matrix.Account) {
			p.server.ForgetClients()
			p.clock.pass(10 * time.Minute)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPerson(t, byCode(matrixtest.Service{}))
			a := p.loggedIn()
			device := a.DeviceID()
			p.clock.pass(time.Minute)
			test.end(p, a)
			over := func(err error) {
				t.Helper()
				e, ok := errors.AsType[*matrix.LoginError](err)
				if !ok || e.Reason != matrix.ReasonGrant || !strings.Contains(e.Hint(), "matrix-connector login") {
					t.Errorf("error %v, want reason %q", err, matrix.ReasonGrant)
				}
				if f := matrix.Classify(err); f.Class != matrix.ClassUnauthorized {
					t.Errorf("class %s, want %s", f.Class, matrix.ClassUnauthorized)
				}
				if strings.Contains(err.Error(), "request error") {
					t.Errorf("the error speaks of requests: %v", err)
				}
			}
			for range 5 {
				over(p.poll(a))
				p.clock.pass(time.Minute)
			}
			if n := p.renewals(); n != 1 {
				t.Errorf("the service was asked %d times, want once", n)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := p.tryOpen(p.timed)
			over(err)

			// A person lets it in again, as the same device.
			p.approves(len(p.clock.waits)+1, p.bot)
			again := p.reopen(t, p.there)
			if again.Entry() != matrix.EntryCode || again.DeviceID() != device {
				t.Errorf("entry %q as %s, want %q as %s", again.Entry(), again.DeviceID(), matrix.EntryCode, device)
			}
			if err := p.poll(again); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFreshTokenThatIsRefusedIsNotExchangedAgain(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	p.clock.pass(4 * time.Minute)
	// The homeserver has lost touch with its service: it knows no token at all.
	p.server.Inject(matrixtest.Fault{On: matrixtest.Sync, Status: http.StatusUnauthorized, Code: "M_UNKNOWN_TOKEN"})
	for range 5 {
		if f := matrix.Classify(p.poll(a)); f.Class != matrix.ClassUnauthorized {
			t.Errorf("class %s, want %s", f.Class, matrix.ClassUnauthorized)
		}
	}
	if n := p.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
	p.server.Heal()
	if err := p.poll(a); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

func TestAServiceThatHangsHoldsUpOneRequest(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	den := p.server.NewRoom(p.server.Account("alice", "x"), matrixtest.RoomOptions{})
	den.Join(p.bot)
	sent := den.Say("@alice:test.example", "hello")
	p.clock.pass(4 * time.Minute)
	hanging, answer := make(chan struct{}), make(chan struct{})
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, Times: 1, Wait: answer, Reach: func() { close(hanging) }})
	polled := make(chan error, 1)
	go func() { polled <- p.poll(a) }()
	<-hanging
	if err := a.FetchTarget(t.Context(), den.ID, sent); err != nil {
		t.Errorf("while the service hangs: %v", err)
	}
	close(answer)
	if err := <-polled; err != nil {
		t.Error(err)
	}
	if n := p.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
}

// Who wants no token any more does not take the answer with them: it would be lost.
func TestARenewalOutlivesWhoAskedForIt(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	p.clock.pass(10 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan struct{})
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, Times: 1, Wait: answer, Reach: func() {
		cancel()
		close(answer)
	}})
	if _, err := a.Poll(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if err := p.poll(a); err != nil {
		t.Error(err)
	}
	if n := p.renewals(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
}

func TestAttachmentsWaitForATokenAndAreNotLost(t *testing.T) {
	p := newPerson(t, byCode(matrixtest.Service{}))
	a := p.loggedIn()
	file := wanted(p.server.Upload([]byte("a file"), "text/plain"), nil)
	p.clock.pass(10 * time.Minute)
	p.server.Inject(matrixtest.Fault{On: matrixtest.OAuthToken, Status: http.StatusBadGateway, Times: 1})
	_, err := a.Fetch(t.Context(), file, 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Class != matrix.ClassTemporary {
		t.Errorf("error %v, want a temporary one", err)
	}
	p.clock.pass(time.Minute)
	if _, err := a.Fetch(t.Context(), file, 0); err != nil {
		t.Errorf("the service is back: %v", err)
	}
	p.clock.pass(10 * time.Minute)
	p.server.EndLogin(p.bot, a.DeviceID())
	_, err = a.Fetch(t.Context(), file, 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Class != matrix.ClassUnauthorized {
		t.Errorf("error %v, want an unauthorised one", err)
	}
}

func TestAStoreOfTheVersionBeforeIsBroughtUp(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	s.open()
	for _, column := range []string{"client_id", "refresh_token", "token_from", "token_until"} {
		s.exec("ALTER TABLE matrix_account DROP COLUMN " + column)
	}
	s.exec("DROP TABLE matrix_upgrade")
	s.exec("UPDATE matrix_version SET version=3")
	// A look changes nothing, and sees the login all the same.
	p := matrix.NewProbe(s.config())
	if _, err := p.Homeserver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, err := p.Login(t.Context()); err != nil || !l.Stored {
		t.Errorf("login %+v, %v", l, err)
	}
	if s.reopen(t).Entry() != matrix.EntryStored {
		t.Error("the login of the version before is not used")
	}
}
