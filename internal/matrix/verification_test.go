package matrix_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// meeting is the bot with an identity of its own, and alice with hers, in an encrypted room.
type meeting struct {
	*scene
	account *matrix.Account
	v       *matrix.Verifications
	may     map[id.UserID]bool
	woken   int
	alice   *mate
	room    id.RoomID
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	s := newScene(t, matrixtest.Options{})
	key, _ := s.hasIdentity()
	m := &meeting{scene: s, may: map[id.UserID]bool{}}
	m.alice = s.mate("alice")
	m.may[m.alice.User] = true
	r := s.server.NewRoom(m.alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(s.bot)
	m.room = r.ID
	m.begin(withRecoveryKey(key))
	return m
}

// begin is the bot with the recovery key, as it starts.
func (m *meeting) begin(change ...func(*matrix.Config)) {
	m.t.Helper()
	m.account = m.open(change...)
	m.catchUp(m.account)
	m.secured(m.account)
	m.v = m.account.Verifications(func(u id.UserID) bool { return m.may[u] }, func() { m.woken++ })
}

func (s *scene) mate(name string) *mate {
	s.t.Helper()
	p := s.peer(name)
	if err := p.SignSelf(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	v, err := p.Verifier()
	if err != nil {
		s.t.Fatal(err)
	}
	return &mate{Verifier: v, t: s.t}
}

// mate is a verifier that fails the test.
type mate struct {
	*matrixtest.Verifier
	t *testing.T
}

// says sends what a call of theirs returned.
func (a *mate) says(one *sas.Verification, out []sas.Message, err error) {
	a.t.Helper()
	if err == nil {
		err = a.Post(a.t.Context(), one, out)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *mate) hears() (news bool) {
	a.t.Helper()
	news, err := a.Hear(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return news
}

// talk lets both sides say what they say by themselves, until neither does.
func (m *meeting) talk() {
	m.t.Helper()
	for range 10 {
		m.catchUp(m.account)
		changed, err := m.v.Turn(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		if !m.alice.hears() && !changed {
			return
		}
	}
	m.t.Fatal("they talk for ever")
}

func (m *meeting) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// asked is the one verification under way, which somebody has asked for.
func asked(t *testing.T, all []*sas.Verification) *sas.Verification {
	t.Helper()
	if len(all) != 1 || all[0].State() != sas.StateAsked {
		t.Fatalf("%d verifications, want one that is asked for: %v", len(all), all)
	}
	return all[0]
}

// compare has both persons look, and say the same.
func (m *meeting) compare(ours, theirs *sas.Verification) {
	m.t.Helper()
	m.talk()
	mine, ok := ours.Emoji()
	yours, too := theirs.Emoji()
	if !ok || !too || mine != yours {
		m.t.Fatalf("the emoji differ, or are missing: %v %v in %s", mine, yours, ours.State())
	}
	m.must(m.v.Confirm(m.t.Context(), ours))
	out, err := theirs.Confirm()
	m.alice.says(theirs, out, err)
	m.talk()
}

// done asserts that both believe each other.
func (m *meeting) done(ours, theirs *sas.Verification) {
	m.t.Helper()
	ctx := m.t.Context()
	if ours.State() != sas.StateDone || theirs.State() != sas.StateDone {
		m.t.Fatalf("we are %s, they are %s\n%s", ours.State(), theirs.State(), m.log)
	}
	m.must(m.v.Settle(ctx, ours))
	us, ok := theirs.Outcome()
	if !ok || us.User != m.bot || us.Device != m.account.DeviceID() || us.Keys.Master == "" {
		m.t.Fatalf("they verified %+v", us)
	}
	m.must(m.alice.Machine.SignUser(ctx, m.bot, us.Keys.Master))
	if got := m.seenBy(m.alice.Peer, m.account.DeviceID()); got != id.TrustStateCrossSignedVerified {
		m.t.Errorf("alice sees the bot's device as %s", got)
	}
	if got := m.count("SELECT count(*) FROM crypto_device WHERE user_id=$1 AND device_id=$2 AND trust=$3", m.alice.User, m.alice.Client.DeviceID, id.TrustStateVerified); got != 1 {
		m.t.Errorf("the bot does not trust the device that it verified")
	}
	if signatures := m.signers(); signatures[m.bot] != 1 {
		m.t.Errorf("alice's identity has %v signatures", signatures)
	}
	m.must(func() error { _, err := m.v.Turn(ctx); return err }())
	if n := len(m.v.UnderWay()); n != 0 {
		m.t.Errorf("%d are under way", n)
	}
}

// signers counts the signatures of others that the homeserver has been given for alice's
// identity.
func (m *meeting) signers() map[id.UserID]int {
	n := map[id.UserID]int{}
	for _, r := range m.server.Requests(matrixtest.KeysSignatures) {
		var of map[id.UserID]map[string]struct {
			Signatures map[id.UserID]map[string]string `json:"signatures"`
		}
		unmarshal(m.t, r.Body, &of)
		for _, signed := range of[m.alice.User] {
			if r.User != m.alice.User {
				n[r.User] += len(signed.Signatures[r.User])
			}
		}
	}
	return n
}

func TestSomebodyVerifiesTheBot(t *testing.T) {
	tests := []struct {
		name     string
		room     bool
		seals    bool
		theStart bool // theirs, before ours
	}{
		{"by to-device messages", false, false, true},
		{"by to-device messages, and we start", false, false, false},
		{"in a room", true, false, true},
		{"in a room, sealed", true, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMeeting(t)
			ctx := t.Context()
			m.alice.Seals = tt.seals
			var theirs *sas.Verification
			var out []sas.Message
			var err error
			if tt.room {
				theirs, out, err = m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
			} else {
				theirs, out, err = m.alice.Book.Request(m.bot, []id.DeviceID{m.account.DeviceID()}, time.Now())
			}
			m.alice.says(theirs, out, err)
			m.catchUp(m.account)
			if m.woken == 0 {
				t.Error("nobody was woken")
			}
			m.talk()
			if want := "somebody asks to verify the bot by emoji: run matrix-connector verify within ten minutes"; strings.Count(m.log.String(), want) != 1 {
				t.Errorf("the log does not say once that somebody asks:\n%s", m.log)
			}
			ours := asked(t, m.v.UnderWay())
			m.must(m.v.Accept(ctx, ours))
			m.talk()
			if tt.theStart {
				out, err := theirs.Start()
				m.alice.says(theirs, out, err)
			} else {
				m.must(m.v.Start(ctx, ours))
			}
			m.compare(ours, theirs)
			m.done(ours, theirs)
			if strings.Contains(m.log.String(), "canary") {
				t.Error("what they said is in the log")
			}
		})
	}
}

func TestTheBotVerifiesSomebody(t *testing.T) {
	for _, inRoom := range []bool{false, true} {
		m := newMeeting(t)
		ctx := t.Context()
		room := m.room
		if !inRoom {
			room = ""
		}
		ours, err := m.v.Request(ctx, m.alice.User, room)
		m.must(err)
		m.talk()
		theirs := asked(t, m.alice.Book.UnderWay())
		out, err := theirs.Accept()
		m.alice.says(theirs, out, err)
		m.talk()
		m.must(m.v.Start(ctx, ours))
		m.compare(ours, theirs)
		m.done(ours, theirs)
	}
}

func TestEmojiThatDifferAreBelievedByNobody(t *testing.T) {
	m := newMeeting(t)
	ctx := t.Context()
	theirs, out, err := m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
	m.alice.says(theirs, out, err)
	m.talk()
	ours := asked(t, m.v.UnderWay())
	m.must(m.v.Accept(ctx, ours))
	m.talk()
	m.must(m.v.Start(ctx, ours))
	m.talk()
	m.must(m.v.Refuse(ctx, ours))
	m.talk()
	c, _ := theirs.Cancellation()
	if ours.State() != sas.StateCancelled || c.Code != sas.CodeMismatchedSAS {
		t.Fatalf("we are %s, they heard %s", ours.State(), c.Code)
	}
	if err := m.v.Settle(ctx, ours); err == nil {
		t.Error("what was not done was believed")
	}
	if got := m.count("SELECT count(*) FROM crypto_device WHERE trust=$1 AND user_id<>$2", id.TrustStateVerified, m.bot); got != 0 {
		t.Errorf("%d devices are trusted", got)
	}
}

// Strangers are not heard at all: neither do they get an answer, nor is anything kept of them.
func TestStrangersVerifyNobody(t *testing.T) {
	m := newMeeting(t)
	m.may = map[id.UserID]bool{}
	theirs, out, err := m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
	m.alice.says(theirs, out, err)
	theirs, out, err = m.alice.Book.Request(m.bot, []id.DeviceID{m.account.DeviceID()}, time.Now())
	m.alice.says(theirs, out, err)
	m.talk()
	if n := len(m.v.UnderWay()); n != 0 || m.woken != 0 || len(m.alice.Told) != 0 {
		t.Errorf("%d are under way, woken %d times, the stranger heard %v", n, m.woken, m.alice.Told)
	}
	if strings.Contains(m.log.String(), "asks to verify") {
		t.Error("a stranger makes noise in the log")
	}
	if theirs.State() != sas.StateAsking {
		t.Errorf("the stranger's is %s", theirs.State())
	}
}

// A verification is not kept over a restart: what the other side goes on with is answered as
// one that is not known, or not at all, and a new one works.
func TestARestartEndsAVerification(t *testing.T) {
	m := newMeeting(t)
	ctx := t.Context()
	theirs, out, err := m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
	m.alice.says(theirs, out, err)
	m.talk()
	m.must(m.v.Accept(ctx, asked(t, m.v.UnderWay())))
	m.talk()
	m.restart(m.account)
	m.begin()
	out, err = theirs.Start()
	m.alice.says(theirs, out, err)
	m.talk()
	if n := len(m.v.UnderWay()); n != 0 {
		t.Fatalf("%d are under way after a restart", n)
	}
	if !theirs.State().Ended() {
		out = theirs.Cancel(sas.CodeUser)
		m.alice.says(theirs, out, nil)
	}
	m.talk()
	theirs, out, err = m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
	m.alice.says(theirs, out, err)
	m.talk()
	ours := asked(t, m.v.UnderWay())
	m.must(m.v.Accept(ctx, ours))
	m.talk()
	m.must(m.v.Start(ctx, ours))
	m.talk()
	if ours.State() != sas.StateComparing {
		t.Errorf("the second verification is %s", ours.State())
	}
}

// Where an answer cannot be sent, that verification is over, which the other side is told; a
// verification with somebody else goes on.
func TestAFailureConcernsOneVerification(t *testing.T) {
	m := newMeeting(t)
	ctx := t.Context()
	bob := m.mate("bob")
	m.may[bob.User] = true
	device := []id.DeviceID{m.account.DeviceID()}
	theirs, out, err := m.alice.Book.Request(m.bot, device, time.Now())
	m.alice.says(theirs, out, err)
	m.talk()
	m.must(m.v.Accept(ctx, asked(t, m.v.UnderWay())))
	m.talk()
	out, err = theirs.Start()
	m.alice.says(theirs, out, err)
	bobs, out, err := bob.Book.Request(m.bot, device, time.Now())
	bob.says(bobs, out, err)
	m.catchUp(m.account)
	m.server.Inject(matrixtest.Fault{On: matrixtest.ToDevice, Status: http.StatusBadGateway, Times: 1})
	if _, err := m.v.Turn(ctx); err == nil {
		t.Error("a failure is not told")
	}
	m.talk()
	if one := asked(t, m.v.UnderWay()); one.Them().User != bob.User {
		t.Errorf("%s is under way", one.Them().User)
	}
	if theirs.State() != sas.StateCancelled {
		t.Errorf("the other side's is %s", theirs.State())
	}
}

// A request that a person makes while the bot is away is there when it comes back; one from
// longer ago is none.
func TestOldRequestsAreNone(t *testing.T) {
	m := newMeeting(t)
	theirs, out, err := m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
	m.alice.says(theirs, out, err)
	m.server.SetClock(func() time.Time { return time.Now().Add(-time.Hour) })
	theirs, out, err = m.alice.Book.RequestInRoom(m.bot, m.room, time.Now())
	m.alice.says(theirs, out, err)
	m.server.SetClock(time.Now)
	m.talk()
	asked(t, m.v.UnderWay())
}

// Without an identity of its own the bot is verified as a device alone.
func TestADeviceWithoutAnIdentityIsVerified(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	m := &meeting{scene: s, may: map[id.UserID]bool{}}
	m.alice = s.mate("alice")
	m.may[m.alice.User] = true
	m.account = s.open()
	s.catchUp(m.account)
	m.v = m.account.Verifications(func(u id.UserID) bool { return m.may[u] }, func() { m.woken++ })
	ctx := t.Context()
	theirs, out, err := m.alice.Book.Request(m.bot, []id.DeviceID{m.account.DeviceID()}, time.Now())
	m.alice.says(theirs, out, err)
	m.talk()
	ours := asked(t, m.v.UnderWay())
	m.must(m.v.Accept(ctx, ours))
	m.talk()
	m.must(m.v.Start(ctx, ours))
	m.compare(ours, theirs)
	us, ok := theirs.Outcome()
	if !ok || us.Keys.Device == "" || us.Keys.Master != "" {
		t.Errorf("they verified %+v", us)
	}
	m.must(m.v.Settle(ctx, ours))
}

// Whoever has no device, or is not in the room, cannot be asked, and a person is told so.
func TestSomebodyWhoIsNotThereCannotBeAsked(t *testing.T) {
	m := newMeeting(t)
	nobody := m.server.Account("bob", "password")
	_, err := m.v.Request(t.Context(), nobody, "")
	var v *matrix.VerifyError
	if !errors.As(err, &v) || v.Reason != matrix.VerifyNoDevices || v.Hint() == "" {
		t.Errorf("asking nobody: %v", err)
	}
	for _, room := range []id.RoomID{m.room, "!elsewhere:example.org"} {
		_, err = m.v.Request(t.Context(), nobody, room)
		if !errors.As(err, &v) || v.Reason != matrix.VerifyNotTogether || v.Hint() == "" {
			t.Errorf("asking somebody in %s: %v", room, err)
		}
	}
}

// A flood of requests, here by devices that are none, costs little: what is under way is
// bounded, and so is what is asked of the homeserver.
func TestAFloodOfVerifications(t *testing.T) {
	m := newMeeting(t)
	for n := range 500 {
		m.server.SendToDevice(m.alice.User, m.bot, m.account.DeviceID(), "m.key.verification.request", map[string]any{
			"from_device": fmt.Sprint("D", n), "methods": []string{"m.sas.v1"}, "timestamp": time.Now().UnixMilli(),
			"transaction_id": fmt.Sprint("t", n),
		})
	}
	m.catchUp(m.account)
	queries := m.server.Count(matrixtest.KeysQuery)
	for range 3 {
		if _, err := m.v.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.v.UnderWay()); n != 0 {
		t.Errorf("%d are under way with devices that are none", n)
	}
	if queries = m.server.Count(matrixtest.KeysQuery) - queries; queries > 20 {
		t.Errorf("keys were asked for %d times", queries)
	}
}
