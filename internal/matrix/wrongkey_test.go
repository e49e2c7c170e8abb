package matrix_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// darkSession is alice's session, of whose messages the bot has two and no key.
func (v *vault) darkSession() (in *crypto.InboundGroupSession, dark []id.EventID) {
	v.t.Helper()
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	dark = append(dark, v.say(v.alice, v.room, "dark"), v.say(v.alice, v.room, "darker"))
	end()
	v.catchUp(v.account)
	_, in = v.session()
	return in, dark
}

// reason is why an event waits at this moment.
func (v *vault) reason(e id.EventID) timeline.UndecryptedReason {
	v.t.Helper()
	waiting, _, err := v.diary.unread(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	return waiting[e].Reason
}

// takes gives the bot sessions as a key file does, without looking what came of it.
func (v *vault) takes(sessions ...crypto.ExportedSession) {
	v.t.Helper()
	if _, err := v.account.ImportKeys(v.t.Context(), sessions); err != nil {
		v.t.Fatal(err)
	}
	v.retry(v.account)
}

// A key with which a message that its owner has signed does not open is not the owner's key.
// It does not stay in the way of the genuine one, whatever that one's index is.
func TestAKeyThatProvesToBeWrongIsForgotten(t *testing.T) {
	v := newVault(t)
	in, dark := v.darkSession()
	bogus := exported(t, in, v.room)
	bogus.SessionKey = bogusRatchet(t, v.export(in))
	v.plant(bogus)
	v.now = v.now.Add(time.Minute)
	v.searches()
	if got := v.reason(dark[0]); got != timeline.ReasonBadMAC {
		t.Fatalf("with the planted key: %q", got)
	}
	if n := v.saves(); n != 0 {
		t.Errorf("%d keys are saved in the backup, want none", n)
	}
	v.takes(exported(t, in, v.room))
	if diff := cmp.Diff([]string{"dark", "darker"}, v.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// The same where it is the backup that holds the genuine key, later.
func TestAWrongKeyIsLookedForAgain(t *testing.T) {
	v := newVault(t)
	in, _ := v.darkSession()
	genuine, bogus := exported(t, in, v.room), exported(t, in, v.room)
	bogus.SessionKey = bogusRatchet(t, v.export(in))
	v.takes(bogus)
	if got := v.said(); len(got) != 0 {
		t.Fatalf("a bogus key reads %q", got)
	}
	v.plant(genuine)
	v.now = v.now.Add(25 * time.Hour)
	v.searches()
	if diff := cmp.Diff([]string{"dark", "darker"}, v.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// An operator's file counts for more than what anybody may have put into the backup, also
// before a message has told which of them is right.
func TestAFileReplacesAnUntriedKeyOfTheBackup(t *testing.T) {
	v := newVault(t)
	in, _ := v.darkSession()
	bogus := exported(t, in, v.room)
	bogus.SessionKey = bogusRatchet(t, v.export(in))
	v.plant(bogus)
	v.now = v.now.Add(time.Minute)
	if _, err := v.account.SearchKeys(t.Context()); err != nil { // and no message is tried
		t.Fatal(err)
	}
	v.takes(exported(t, in, v.room))
	if diff := cmp.Diff([]string{"dark", "darker"}, v.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// Whoever is in the room can write an event that does not decrypt under the name of any
// session. It says nothing about the key.
func TestAForgedMessageDoesNotBlameTheKey(t *testing.T) {
	v := newVault(t)
	in, _ := v.darkSession()
	v.takes(exported(t, in, v.room))
	cipher, err := v.alice.Encrypt(t.Context(), v.room, textMessage, map[string]any{"msgtype": "m.text", "body": "genuine"})
	if err != nil {
		t.Fatal(err)
	}
	genuine := string(cipher.MegolmCiphertext)
	spoilt := []byte(genuine)
	spoilt[40]++ // in what is signed
	if spoilt[40] > 'Z' {
		spoilt[40] = 'A'
	}
	cipher.MegolmCiphertext = spoilt
	forged := v.server.Room(v.room).Send(v.mallory.User, "m.room.encrypted", cipher)
	v.catchUp(v.account)
	if u, ok := v.undecrypted(forged); !ok || u.Reason.Retryable() {
		t.Errorf("the forged event: %q, %v; no key opens it", u.Reason, ok)
	}
	cipher.MegolmCiphertext = []byte(genuine)
	v.server.Room(v.room).Send(v.alice.User, "m.room.encrypted", cipher)
	v.catchUp(v.account)
	if diff := cmp.Diff([]string{"dark", "darker", "genuine"}, v.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// A key that has opened later messages is right from there on, and stays for those; the
// earlier part that somebody put before it goes.
func TestAKeyThatIsRightForLaterMessagesStaysForThem(t *testing.T) {
	v := newVault(t)
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	first := v.say(v.alice, v.room, "first")
	out, _ := v.session()
	for range 299 { // messages that she never sends
		if _, err := out.Internal.Encrypt([]byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.alice.Store.UpdateOutboundGroupSession(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	v.say(v.alice, v.room, "late")
	end()
	_, in := v.session()
	genuine, forged := exported(t, in, v.room), exported(t, in, v.room)
	// A ratchet's last part is made anew from the one before it every 256 messages: from
	// there on this one is the owner's.
	forged.SessionKey = bogusRatchet(t, v.export(in), 96)
	v.catchUp(v.account)
	if _, err := v.account.ImportKeys(t.Context(), matrix.KeyFile{forged}); err != nil {
		t.Fatal(err)
	}
	v.retry(v.account)
	if diff := cmp.Diff([]string{"late"}, v.said()); diff != "" {
		t.Fatalf("with a key that is wrong in front (-want +got):\n%s", diff)
	}
	if got := v.reason(first); got != timeline.ReasonBadMAC {
		t.Errorf("the first message: %q", got)
	}
	v.takes(genuine)
	if diff := cmp.Diff([]string{"late", "first"}, v.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
