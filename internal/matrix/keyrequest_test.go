package matrix_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// sibling is another session of the bot's account, as its owner has one in Element.
type sibling struct {
	*vault
	element *matrixtest.Peer
}

func newSibling(t *testing.T) *sibling {
	t.Helper()
	s := newScene(t, matrixtest.Options{})
	b := &sibling{vault: &vault{den: &den{scene: s, alice: s.peer("alice"), mallory: s.peer("mallory")}, now: time.Now()}}
	b.key, b.element = s.hasIdentity()
	r := s.server.NewRoom(b.alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(s.bot)
	r.Join(b.mallory.User)
	b.room = r.ID
	b.account = s.open(withRecoveryKey(b.key), b.clock)
	s.catchUp(b.account)
	s.secured(b.account)
	return b
}

// requested are the key requests that the bot has made, by action.
func (b *sibling) requested() map[string]int {
	b.t.Helper()
	got := map[string]int{}
	for _, r := range b.server.Requests(matrixtest.ToDevice) {
		var body struct {
			Messages map[id.UserID]map[id.DeviceID]struct {
				Action string `json:"action"`
				Body   struct {
					Session id.SessionID `json:"session_id"`
				} `json:"body"`
			} `json:"messages"`
		}
		if r.User != b.bot || r.Device != b.account.DeviceID() || json.Unmarshal(r.Body, &body) != nil {
			continue
		}
		for user, devices := range body.Messages {
			for device, m := range devices {
				if m.Action == "" {
					continue
				}
				if user != b.bot || m.Action == "request" && device != b.element.Client.DeviceID {
					b.t.Errorf("%s %s is asked", user, device)
				}
				got[m.Action]++
			}
		}
	}
	return got
}

func TestKeysComeFromOwnVerifiedDevicesAlone(t *testing.T) {
	b := newSibling(t)
	end := b.server.LoseToDevice(b.bot, "m.room.encrypted")
	e := b.say(b.alice, b.room, "dark")
	end()
	b.catchUp(b.account)
	_, in := b.session()
	forward := b.forward(in, b.room, b.export(in))

	// Before it is asked for it is refused, also from the account's own device.
	b.sends(b.element, event.ToDeviceForwardedRoomKey, forward)
	b.catchUp(b.account)
	b.retry(b.account)
	if _, ok := b.event(e); ok {
		t.Fatal("a key that nobody has asked for was taken")
	}
	b.now = b.now.Add(time.Minute)
	b.searches()
	if diff := cmp.Diff(map[string]int{"request": 1}, b.requested()); diff != "" {
		t.Fatal(diff)
	}
	// Somebody else's answer does not count, nor does that of a device which nobody has signed.
	b.sends(b.mallory, event.ToDeviceForwardedRoomKey, forward)
	stranger := b.peer("bot")
	b.server.Account("bot", botPassword)
	b.catchUp(b.account)
	b.sends(stranger, event.ToDeviceForwardedRoomKey, forward)
	b.catchUp(b.account)
	b.retry(b.account)
	if _, ok := b.event(e); ok {
		t.Fatal("a key from somebody else was taken")
	}
	b.sends(b.element, event.ToDeviceForwardedRoomKey, forward)
	b.catchUp(b.account)
	b.retry(b.account)
	if got, ok := b.event(e); !ok || body(got) != "dark" {
		u, _ := b.undecrypted(e)
		t.Fatalf("the key from the verified device was not taken: %s\n%s", u.Reason, b.log)
	}
	b.now = b.now.Add(time.Hour)
	b.searches()
	if diff := cmp.Diff(map[string]int{"request": 1, "request_cancellation": 1}, b.requested()); diff != "" {
		t.Error(diff)
	}
}

func TestAKeyIsAskedForOnceADay(t *testing.T) {
	b := newSibling(t)
	end := b.server.LoseToDevice(b.bot, "m.room.encrypted")
	b.say(b.alice, b.room, "dark")
	end()
	b.catchUp(b.account)
	for range 12 {
		b.now = b.now.Add(4 * time.Hour)
		b.searches()
	}
	if diff := cmp.Diff(map[string]int{"request": 2, "request_cancellation": 1}, b.requested()); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutAnotherDeviceNobodyIsAsked(t *testing.T) {
	v := newVault(t)
	b := &sibling{vault: v, element: v.mallory}
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	v.say(v.alice, v.room, "dark")
	end()
	v.catchUp(v.account)
	v.now = v.now.Add(time.Hour)
	v.searches()
	if got := b.requested(); len(got) != 0 {
		t.Errorf("asked: %v", got)
	}
}
