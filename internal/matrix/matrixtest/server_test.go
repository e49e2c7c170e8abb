package matrixtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o matrixtest.Options) *matrixtest.Server {
	t.Helper()
	s, err := matrixtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// wellUsed fails the test for whatever the server complains about.
func wellUsed(t *testing.T, s *matrixtest.Server) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("violation: %s", v)
	}
}

// login logs in to an account whose password is secret.
func login(t *testing.T, s *matrixtest.Server, user id.UserID) *mautrix.Client {
	t.Helper()
	c, err := mautrix.NewClient(s.URL(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Client = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.Client.CloseIdleConnections)
	_, err = c.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Password: "secret", StoreCredentials: true,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: string(user)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func peer(t *testing.T, s *matrixtest.Server, name string) *matrixtest.Peer {
	t.Helper()
	p, err := s.NewPeer(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	p.Client.Client = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(p.Client.Client.CloseIdleConnections)
	return p
}

func syncOnce(t *testing.T, c *mautrix.Client, since string, limit int) *mautrix.RespSync {
	t.Helper()
	resp, err := c.FullSyncRequest(t.Context(), mautrix.ReqSync{
		Since: since, FilterID: fmt.Sprintf(`{"room":{"timeline":{"limit":%d}}}`, limit),
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func ids(events []*event.Event) []id.EventID {
	var out []id.EventID
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

func TestSyncShowsWhatHappenedAndPagesShowTheRest(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "x")
	room := s.NewRoom(alice, matrixtest.RoomOptions{Name: "Den"})
	room.Join(bot)
	c := login(t, s, bot)
	first := syncOnce(t, c, "", 1)
	if got := len(first.Rooms.Join[room.ID].State.Events); got < 5 {
		t.Errorf("initial sync shows %d state events, want the room's state", got)
	}

	var said []id.EventID
	for i := range 250 {
		said = append(said, room.Say(alice, strconv.Itoa(i)))
	}
	second := syncOnce(t, c, first.NextBatch, 20)
	tl := second.Rooms.Join[room.ID].Timeline
	if diff := cmp.Diff(said[230:], ids(tl.Events)); diff != "" || !tl.Limited {
		t.Errorf("limited %v, timeline differs: %s", tl.Limited, diff)
	}
	var paged []id.EventID
	for from := tl.PrevBatch; len(paged) < 230; {
		page, err := c.Messages(t.Context(), room.ID, from, "", mautrix.DirectionBackward, nil, 500)
		if err != nil || len(page.Chunk) == 0 || len(page.Chunk) > 100 {
			t.Fatalf("page of %d events, want 1 to 100: %v", len(page.Chunk), err)
		}
		for _, e := range page.Chunk {
			if e.RoomID != room.ID {
				t.Fatalf("event %s without its room", e.ID)
			}
			paged = append(paged, e.ID)
		}
		from = page.End
	}
	for i, got := range paged[:230] {
		if got != said[229-i] {
			t.Fatalf("page event %d is %s, want %s", i, got, said[229-i])
		}
	}
	third := syncOnce(t, c, second.NextBatch, 20)
	if len(third.Rooms.Join) != 0 || third.NextBatch != second.NextBatch {
		t.Errorf("nothing happened, yet sync shows %d rooms", len(third.Rooms.Join))
	}
	wellUsed(t, s)
}

func TestSyncWaitsForNews(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "x")
	room := s.NewRoom(alice, matrixtest.RoomOptions{})
	room.Join(bot)
	c := login(t, s, bot)
	since := syncOnce(t, c, "", 1).NextBatch
	got := make(chan []id.EventID)
	go func() {
		resp, err := c.FullSyncRequest(t.Context(), mautrix.ReqSync{Since: since, Timeout: 30_000})
		if err != nil {
			t.Error(err)
			got <- nil
			return
		}
		got <- ids(resp.Rooms.Join[room.ID].Timeline.Events)
	}()
	want := []id.EventID{room.Say(alice, "now")}
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Error(diff)
	}
	wellUsed(t, s)
}

func TestATimelineIsNoLongerThanTheServerAllows(t *testing.T) {
	s := start(t, matrixtest.Options{TimelineCap: 2})
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "secret")
	room := s.NewRoom(alice, matrixtest.RoomOptions{})
	room.Join(bot)
	var said []id.EventID
	for n := range 5 {
		said = append(said, room.Say(alice, strconv.Itoa(n)))
	}
	c := login(t, s, bot)
	shown := syncOnce(t, c, "", 50).Rooms.Join[room.ID].Timeline
	if diff := cmp.Diff(said[3:], ids(shown.Events)); diff != "" || !shown.Limited {
		t.Errorf("limited is %v; diff (-said +shown):\n%s", shown.Limited, diff)
	}
	if err := s.AwaitAnswers(t.Context(), matrixtest.Sync, 1); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AwaitAnswers(ctx, matrixtest.Sync, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a second answer, which was never given: %v", err)
	}
	wellUsed(t, s)
}

func TestInviteJoinAndKickAreShownWithTheirEvents(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "x")
	room := s.NewRoom(alice, matrixtest.RoomOptions{Name: "Den"})
	old := room.Say(alice, "before")
	c := login(t, s, bot)
	since := syncOnce(t, c, "", 10).NextBatch
	room.Invite(alice, bot)
	resp := syncOnce(t, c, since, 10)
	var inviter id.UserID
	for _, e := range resp.Rooms.Invite[room.ID].State.Events {
		if e.Type == event.StateMember && e.GetStateKey() == string(bot) {
			inviter = e.Sender
		}
	}
	if inviter != alice {
		t.Errorf("invited by %q, want %q", inviter, alice)
	}
	if _, err := c.JoinRoomByID(t.Context(), room.ID); err != nil {
		t.Fatal(err)
	}
	resp = syncOnce(t, c, resp.NextBatch, 10)
	joined := resp.Rooms.Join[room.ID]
	if joined == nil || !contains(ids(joined.Timeline.Events), old) {
		t.Fatalf("joined room does not show what was said before: %+v", joined)
	}
	last := room.Say(alice, "bye")
	room.Leave(alice, bot)
	room.Say(alice, "behind your back")
	resp = syncOnce(t, c, resp.NextBatch, 10)
	left := resp.Rooms.Leave[room.ID]
	if left == nil || len(left.Timeline.Events) != 2 || left.Timeline.Events[0].ID != last {
		t.Errorf("left room shows %+v, want the last message and the kick", left)
	}
	wellUsed(t, s)
}

func contains(list []id.EventID, one id.EventID) bool {
	return slices.Contains(list, one)
}

func TestHistoryBeforeTheJoinIsHiddenWhereVisibilityIsJoined(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "x")
	room := s.NewRoom(alice, matrixtest.RoomOptions{Visibility: "joined"})
	room.Say(alice, "before")
	room.Join(bot)
	after := room.Say(alice, "after")
	c := login(t, s, bot)
	page, err := c.Messages(t.Context(), room.ID, "", "", mautrix.DirectionBackward, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(page.Chunk); len(got) != 2 || got[0] != after {
		t.Errorf("page shows %v, want the message after the join and the join", got)
	}
}

// TestPeersTalkThroughRealEncryption sends a message and a file from one goolm
// device to another through the server's key storage.
func TestPeersTalkThroughRealEncryption(t *testing.T) {
	s := start(t, matrixtest.Options{})
	alice, bob := peer(t, s, "alice"), peer(t, s, "bob")
	if err := alice.SignSelf(t.Context()); err != nil {
		t.Fatal(err)
	}
	room := s.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	room.Join(bob.User)
	since := syncOnce(t, bob.Client, "", 10).NextBatch

	said, err := alice.Say(t.Context(), room.ID, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := alice.SendFile(t.Context(), room.ID, "a.txt", "text/plain", []byte("content")); err != nil {
		t.Fatal(err)
	}
	resp := syncOnce(t, bob.Client, since, 10)
	if n := len(resp.ToDevice.Events); n != 1 {
		t.Fatalf("%d to-device messages, want the room key", n)
	}
	if got := resp.DeviceOTKCount.SignedCurve25519; got != 49 {
		t.Errorf("%d one-time keys left, want 49 after one claim", got)
	}
	bob.Machine.ProcessSyncResponse(t.Context(), resp, since)
	if got := s.Pending(bob.User, bob.Client.DeviceID); got != 1 {
		t.Errorf("%d messages pending before they are acknowledged, want 1", got)
	}
	evt := resp.Rooms.Join[room.ID].Timeline.Events[0]
	evt.RoomID = room.ID
	if err := evt.Content.ParseRaw(evt.Type); err != nil {
		t.Fatal(err)
	}
	plain, err := bob.Machine.DecryptMegolmEvent(t.Context(), evt)
	if err != nil {
		t.Fatal(err)
	}
	if plain.ID != said || plain.Content.AsMessage().Body != "hello" {
		t.Errorf("decrypted %s %q", plain.ID, plain.Content.AsMessage().Body)
	}
	syncOnce(t, bob.Client, resp.NextBatch, 10)
	if got := s.Pending(bob.User, bob.Client.DeviceID); got != 0 {
		t.Errorf("%d messages pending after they were acknowledged, want 0", got)
	}
	wellUsed(t, s)
}

func TestHeldToDeviceMessagesComeLater(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "x")
	c := login(t, s, bot)
	since := syncOnce(t, c, "", 1).NextBatch
	release := s.HoldToDevice(bot, "m.room.encrypted")
	s.SendToDevice(alice, bot, "*", "m.room.encrypted", matrixtest.Content{"a": 1})
	s.SendToDevice(alice, bot, "*", "m.dummy", matrixtest.Content{})
	resp := syncOnce(t, c, since, 1)
	if len(resp.ToDevice.Events) != 1 || resp.ToDevice.Events[0].Type.Type != "m.dummy" {
		t.Fatalf("held back: %d events", len(resp.ToDevice.Events))
	}
	release()
	resp = syncOnce(t, c, resp.NextBatch, 1)
	if len(resp.ToDevice.Events) != 1 || resp.ToDevice.Events[0].Type.Type != "m.room.encrypted" {
		t.Fatalf("released: %d events", len(resp.ToDevice.Events))
	}
	wellUsed(t, s)
}

func TestScriptedSyncKeepsItsOrder(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot := s.Account("bot", "secret")
	c := login(t, s, bot)
	ended := s.Script(bot, "start",
		matrixtest.Answer{Status: 502, Body: `<html>`},
		matrixtest.Answer{Body: `{"next_batch":"a","rooms":{}}`},
		matrixtest.Answer{Body: `{"next_batch":"b","rooms":{}}`, CutAfter: 10},
		matrixtest.Answer{Body: `{"next_batch":"b","rooms":{}}`},
	)
	step := func(since string) (string, error) {
		r, err := c.FullSyncRequest(t.Context(), mautrix.ReqSync{Since: since})
		if err != nil {
			return "", err
		}
		return r.NextBatch, nil
	}
	if _, err := step("start"); err == nil {
		t.Error("scripted 502 was not given")
	}
	for range 2 { // the second time is a repetition after a crash
		if next, err := step("start"); next != "a" || err != nil {
			t.Errorf("next %q, %v", next, err)
		}
	}
	if _, err := step("a"); err == nil {
		t.Error("scripted cut was not given")
	}
	if next, err := step("a"); next != "b" || err != nil {
		t.Errorf("next %q, %v", next, err)
	}
	wellUsed(t, s)
	if _, err := step("start"); err == nil {
		t.Error("an outdated token was accepted")
	}
	if v := s.Violations(); len(v) != 1 {
		t.Errorf("violations %q, want one for the outdated token", v)
	}
	if next, err := step("b"); next != "b" || err != nil {
		t.Errorf("next %q, %v", next, err)
	}
	<-ended
}

func TestFaultsAreMet(t *testing.T) {
	s := start(t, matrixtest.Options{})
	c := login(t, s, s.Account("bot", "secret"))
	s.Inject(matrixtest.Fault{On: matrixtest.Whoami, After: 1, Times: 1, Status: 429, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 250})
	s.Inject(matrixtest.Fault{On: matrixtest.Whoami, Times: 1, CutAfter: -1, After: 1})
	if _, err := c.Whoami(t.Context()); err != nil {
		t.Fatalf("the first request should pass: %v", err)
	}
	_, err := c.Whoami(t.Context())
	if he, ok := errors.AsType[mautrix.HTTPError](err); !ok || !he.IsStatus(429) || he.RespError.ExtraData["retry_after_ms"] != 250.0 {
		t.Errorf("second request: %v, want 429 with retry_after_ms", err)
	}
	s.Heal()
	if _, err := c.Whoami(t.Context()); err != nil {
		t.Errorf("healed server fails: %v", err)
	}
	s.Revoke(c.UserID, c.DeviceID, true)
	_, err = c.Whoami(t.Context())
	if re, ok := errors.AsType[mautrix.HTTPError](err); !ok || !errors.Is(err, mautrix.MUnknownToken) || re.RespError.ExtraData["soft_logout"] != true {
		t.Errorf("after a soft logout: %v", err)
	}
	wellUsed(t, s)
}

func TestMediaComeFromTheRightPlace(t *testing.T) {
	s := start(t, matrixtest.Options{})
	c := login(t, s, s.Account("bot", "secret"))
	for name, uri := range map[string]id.ContentURI{
		"stored":    s.Upload([]byte("hello"), "text/plain"),
		"elsewhere": s.AddMedia(matrixtest.Media{Open: func() io.Reader { return strings.NewReader("hello") }, Size: 5, Elsewhere: true}),
	} {
		if got, err := c.DownloadBytes(t.Context(), uri); string(got) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	short := s.AddMedia(matrixtest.Media{Open: func() io.Reader { return strings.NewReader("hello") }, Size: 50})
	if _, err := c.DownloadBytes(t.Context(), short); err == nil {
		t.Error("a body shorter than its Content-Length was taken for whole")
	}
	wellUsed(t, s)
}

// BenchmarkSync is one /sync of 20,000 events.
func BenchmarkSync(b *testing.B) {
	s, err := matrixtest.New(matrixtest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	bot, alice := s.Account("bot", "secret"), s.Account("alice", "x")
	room := s.NewRoom(alice, matrixtest.RoomOptions{})
	room.Join(bot)
	for range 20_000 {
		room.Say(alice, strings.Repeat("word ", 40))
	}
	token := s.Token(bot, "DEV")
	for b.Loop() {
		s.ForgetSync(bot, "DEV", "")
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL()+`/_matrix/client/v3/sync?filter={"room":{"timeline":{"limit":30000}}}`, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || n < 20_000*200 {
			b.Fatalf("%d bytes, %v", n, err)
		}
		resp.Body.Close()
	}
}
