package matrix_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// archive is a room whose history the bot can see, but not read, and an inviter who shares
// its keys.
type archive struct {
	*den
	now  time.Time
	old  []crypto.ExportedSession
	pals map[id.UserID]bool
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	s := newScene(t, matrixtest.Options{})
	a := &archive{den: &den{scene: s, alice: s.peer("alice"), mallory: s.peer("mallory")}, now: time.Now(), pals: map[id.UserID]bool{}}
	a.pals[a.alice.User] = true
	a.account = s.open(func(c *matrix.Config) { c.Now = func() time.Time { return a.now } })
	s.catchUp(a.account)
	r := s.server.NewRoom(a.alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(a.mallory.User)
	a.room = r.ID
	for _, text := range []string{"one", "two"} {
		s.say(a.alice, a.room, text)
		_, in := a.session()
		a.old = append(a.old, exported(t, in, a.room))
		if err := a.alice.Rotate(t.Context(), a.room); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// shares sends a bundle that says what is given.
func (a *archive) shares(p *matrixtest.Peer, room id.RoomID, content any) {
	a.t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		a.t.Fatal(err)
	}
	info := event.EncryptedFileInfo{EncryptedFile: *attachment.NewEncryptedFile()}
	info.EncryptInPlace(text)
	up, err := p.Client.UploadBytes(a.t.Context(), text, "application/octet-stream")
	if err != nil {
		a.t.Fatal(err)
	}
	info.URL = up.ContentURI.CUString()
	a.sends(p, event.ToDeviceRoomKeyBundle, &event.RoomKeyBundleEventContent{File: info, RoomID: room})
}

// invites has somebody invite the bot, which joins.
func (a *archive) invites(by *matrixtest.Peer, room id.RoomID) {
	a.t.Helper()
	if _, err := by.Client.InviteUser(a.t.Context(), room, &mautrix.ReqInviteUser{UserID: a.bot}); err != nil {
		a.t.Fatal(err)
	}
	a.catchUp(a.account)
	a.joins(room)
}

func (a *archive) joins(room id.RoomID) {
	a.t.Helper()
	a.server.Room(room).Join(a.bot)
	a.catchUp(a.account)
	for n := range a.gaps() {
		a.fill(a.account, n)
	}
}

// fetches takes in all bundles that are due.
func (a *archive) fetches() {
	a.t.Helper()
	for {
		more, err := a.account.FetchBundle(a.t.Context(), func(u id.UserID) bool { return a.pals[u] })
		if err != nil {
			a.t.Fatal(err)
		}
		if !more {
			break
		}
	}
	a.retry(a.account)
}

func TestTheHistoryThatAnInviterSharesIsRead(t *testing.T) {
	for name, early := range map[string]bool{"the bundle comes before the invite": true, "it comes after the join": false} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			if err := a.alice.SignSelf(t.Context()); err != nil {
				t.Fatal(err)
			}
			share := func() {
				a.shares(a.alice, a.room, map[string]any{
					"room_keys": []any{a.old[0], a.old[1], 5, map[string]any{"room_id": "!elsewhere:test.example"}},
					"withheld": []any{map[string]any{
						"algorithm": "m.megolm.v1.aes-sha2", "room_id": a.room, "session_id": "gone", "code": "m.unavailable",
					}},
				})
			}
			if early {
				share()
				a.catchUp(a.account)
				a.fetches()
				a.restart(a.account)
				a.account = a.open(func(c *matrix.Config) { c.Now = func() time.Time { return a.now } })
			}
			a.invites(a.alice, a.room)
			if !early {
				share()
				a.catchUp(a.account)
			}
			if len(a.said()) != 0 {
				t.Fatalf("read without a key: %v", a.said())
			}
			a.now = a.now.Add(2 * time.Minute)
			a.fetches()
			if diff := cmp.Diff([]string{"one", "two"}, a.said()); diff != "" {
				t.Error(diff)
			}
			if n := a.count("SELECT count(*) FROM matrix_bundle"); n != 0 {
				t.Errorf("%d bundles wait on", n)
			}
		})
	}
}

func TestABundleThatDoesNotCountIsNotTaken(t *testing.T) {
	for name, o := range map[string]struct {
		prepare func(*archive)
		why     string
	}{
		"its sender did not invite the bot": {func(a *archive) {
			a.signed(a.mallory)
			a.pals[a.mallory.User] = true
			a.invites(a.alice, a.room)
			a.shares(a.mallory, a.room, map[string]any{"room_keys": a.old})
			a.later(25 * time.Hour)
		}, "did not invite"},
		"the invite was long ago": {func(a *archive) {
			a.signed(a.alice)
			a.invites(a.alice, a.room)
			a.now = a.now.Add(48 * time.Hour)
			a.shares(a.alice, a.room, map[string]any{"room_keys": a.old})
		}, "did not invite"},
		"invites of its sender are not accepted": {func(a *archive) {
			a.signed(a.mallory)
			a.invites(a.mallory, a.room)
			a.shares(a.mallory, a.room, map[string]any{"room_keys": a.old})
		}, "are not accepted"},
		"its sender's device is not signed": {func(a *archive) {
			a.invites(a.alice, a.room)
			a.shares(a.alice, a.room, map[string]any{"room_keys": a.old})
		}, "not signed"},
		"it is about another room": {func(a *archive) {
			a.signed(a.alice)
			other := a.server.NewRoom(a.alice.User, matrixtest.RoomOptions{Encrypted: true})
			a.server.Room(a.room).Join(a.bot)
			a.invites(a.alice, other.ID)
			a.shares(a.alice, other.ID, map[string]any{"room_keys": a.old})
		}, ""},
		"its file is rubbish": {func(a *archive) {
			a.signed(a.alice)
			a.invites(a.alice, a.room)
			a.shares(a.alice, a.room, "no object")
		}, "its file cannot be had"},
		"the room is never joined": {func(a *archive) {
			a.signed(a.alice)
			if _, err := a.alice.Client.InviteUser(a.t.Context(), a.room, &mautrix.ReqInviteUser{UserID: a.bot}); err != nil {
				a.t.Fatal(err)
			}
			a.shares(a.alice, a.room, map[string]any{"room_keys": a.old})
			a.later(8 * 24 * time.Hour)
		}, "has not joined"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			o.prepare(a)
			a.catchUp(a.account)
			a.fetches()
			a.now = a.now.Add(time.Hour)
			a.fetches()
			if len(a.said()) != 0 {
				t.Errorf("read: %v", a.said())
			}
			if n := a.count("SELECT count(*) FROM matrix_bundle"); n != 0 {
				t.Errorf("%d bundles wait on", n)
			}
			if !strings.Contains(a.log.String(), o.why) {
				t.Errorf("the log does not say %q", o.why)
			}
		})
	}
}

func (a *archive) signed(p *matrixtest.Peer) {
	a.t.Helper()
	if err := p.SignSelf(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
}

func (a *archive) later(d time.Duration) {
	a.t.Helper()
	a.catchUp(a.account)
	a.fetches()
	if n := a.count("SELECT count(*) FROM matrix_bundle"); n != 1 {
		a.t.Errorf("%d bundles wait", n)
	}
	a.now = a.now.Add(d)
}

func TestBundlesOfOneSenderAreBounded(t *testing.T) {
	a := newArchive(t)
	for range 30 {
		a.sends(a.mallory, event.ToDeviceRoomKeyBundle, &event.RoomKeyBundleEventContent{RoomID: a.room})
	}
	a.catchUp(a.account)
	if n := a.count("SELECT count(*) FROM matrix_bundle"); n != 20 {
		t.Errorf("%d bundles are kept, want 20", n)
	}
}
