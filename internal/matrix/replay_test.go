package matrix_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

var textMessage = event.EventMessage

// encrypts is a message of alice's that has not been sent.
func (d *den) encrypts(text string) *event.EncryptedEventContent {
	d.t.Helper()
	cipher, err := d.alice.Encrypt(d.t.Context(), d.room, textMessage, map[string]any{"msgtype": "m.text", "body": text})
	if err != nil {
		d.t.Fatal(err)
	}
	return cipher
}

// Whoever is in the room can send somebody's ciphertext as his own, and be met first: pages of
// the past are read backwards. The genuine message is read all the same, and only one copy of
// its thief, which is marked.
func TestAStolenCiphertextDoesNotKeepTheGenuineMessageOut(t *testing.T) {
	d := newDen(t)
	cipher := d.encrypts("mine")
	room := d.server.Room(d.room)
	stolen := room.Send(d.mallory.User, "m.room.encrypted", cipher)
	again := room.Send(d.mallory.User, "m.room.encrypted", cipher)
	genuine := room.Send(d.alice.User, "m.room.encrypted", cipher)
	late := room.Send(d.mallory.User, "m.room.encrypted", cipher)
	twice := room.Send(d.alice.User, "m.room.encrypted", cipher)
	d.catchUp(d.account)
	if got, ok := d.event(genuine); !ok || body(got) != "mine" || got.Trust != timeline.TrustDevice {
		u, _ := d.undecrypted(genuine)
		t.Errorf("the genuine message: trust %d, %v, %q", got.Trust, ok, u.Reason)
	}
	if got, ok := d.event(stolen); !ok || got.Trust != timeline.TrustMismatch {
		t.Errorf("the stolen one: trust %d, %v", got.Trust, ok)
	}
	for name, e := range map[string]id.EventID{"stolen again": again, "stolen later": late, "by the owner": twice} {
		u, ok := d.undecrypted(e)
		if !ok || u.Reason != timeline.ReasonReplay || !strings.Contains(u.Cause, "$") {
			t.Errorf("%s: %q because of %q, %v", name, u.Reason, u.Cause, ok)
		}
	}
}

// Whoever is in two rooms with the bot can send somebody's key on under the other one's name,
// and show a message there. It is not meant for it, and counts in the room that it is meant for.
func TestAMessageShownInAnotherRoomIsReadInItsOwn(t *testing.T) {
	for name, first := range map[string]bool{"his key comes first": true, "hers comes first": false} {
		t.Run(name, func(t *testing.T) {
			d := newDen(t)
			elsewhere := d.server.NewRoom(d.mallory.User, matrixtest.RoomOptions{Encrypted: true})
			elsewhere.Join(d.bot)
			end := func() {}
			if first {
				end = d.server.LoseToDevice(d.bot, "m.room.encrypted")
			}
			d.say(d.alice, d.room, "before it")
			end()
			out, _ := d.session()
			key := &event.RoomKeyEventContent{
				Algorithm: id.AlgorithmMegolmV1, RoomID: elsewhere.ID, SessionID: out.ID(), SessionKey: out.Internal.Key(),
			}
			d.sends(d.mallory, event.ToDeviceRoomKey, key)
			d.catchUp(d.account)
			cipher := d.encrypts("mine")
			shown := elsewhere.Send(d.mallory.User, "m.room.encrypted", cipher)
			d.catchUp(d.account)
			if u, ok := d.undecrypted(shown); !ok || u.Reason != timeline.ReasonWrongRoom {
				t.Errorf("in another room: %q, %v", u.Reason, ok)
			}
			key.RoomID = d.room
			d.sends(d.alice, event.ToDeviceRoomKey, key)
			genuine := d.server.Room(d.room).Send(d.alice.User, "m.room.encrypted", cipher)
			d.catchUp(d.account)
			if got, ok := d.event(genuine); !ok || body(got) != "mine" || got.Trust != timeline.TrustDevice {
				u, _ := d.undecrypted(genuine)
				t.Errorf("trust %d, read %v, %q", got.Trust, ok, u.Reason)
			}
		})
	}
}

// What a transaction took back is not taken.
func TestAnIndexIsFreeAfterARollback(t *testing.T) {
	d := newDen(t)
	cipher := d.encrypts("mine")
	room := d.server.Room(d.room)
	room.Send(d.alice.User, "m.room.encrypted", cipher)
	d.diary.failNext()
	if _, err := d.account.Poll(t.Context()); err == nil {
		t.Fatal("the batch was recorded")
	}
	d.catchUp(d.account)
	if diff := cmp.Diff([]string{"mine"}, d.said()); diff != "" {
		t.Error(diff)
	}
}
