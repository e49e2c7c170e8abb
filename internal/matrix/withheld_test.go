package matrix_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// refuses sends the bot a notice of m.room_key.withheld.
func (d *den) refuses(from id.UserID, code string, session id.SessionID, key id.SenderKey) {
	d.t.Helper()
	content := map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "code": code, "reason": "canary words of a stranger", "sender_key": key}
	if session != "" {
		content["room_id"], content["session_id"] = d.room, session
	}
	d.server.SendToDevice(from, d.bot, d.account.DeviceID(), "m.room_key.withheld", content)
}

func TestARefusalNamesItsCure(t *testing.T) {
	d := newDen(t)
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	e := d.say(d.alice, d.room, "dark")
	end()
	d.catchUp(d.account)
	d.secured(d.account)
	out, in := d.session()
	d.refuses(d.alice.User, "m.unverified", out.ID(), in.SenderKey)
	d.refuses("@stranger:elsewhere.example", "m.blacklisted", "", "")
	d.refuses(d.mallory.User, "com.example.made_up <script>", "", "")
	d.catchUp(d.account)
	list, err := d.account.Refusals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[id.UserID]string{}
	for _, r := range list {
		got[r.Sender] = r.Code
		if r.Last.IsZero() || r.First.After(r.Last) || r.Count != 1 {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff(map[id.UserID]string{d.alice.User: "m.unverified", d.mallory.User: "other"}, got); diff != "" {
		t.Error(diff)
	}
	log := d.log.String()
	for _, want := range []string{"withholds room keys", "m.unverified", "get the device signed: run matrix-connector login"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Contains(log, "canary words") || strings.Contains(log, "script") {
		t.Error("the log holds a stranger's words")
	}
	var refused timeline.KeyRef
	for _, b := range d.diary.batches(t) {
		for _, k := range b.Keys {
			if k.Withheld != "" {
				refused = k
			}
		}
	}
	if diff := cmp.Diff(timeline.KeyRef{Room: d.room, Session: out.ID(), Withheld: "m.unverified", WithheldBy: d.alice.User}, refused); diff != "" {
		t.Error(diff)
	}
	if u, ok := d.undecrypted(e); !ok || u.Session != out.ID() {
		t.Errorf("%+v", u)
	}
	// Said once, and not at each /sync.
	d.refuses(d.alice.User, "m.unverified", out.ID(), in.SenderKey)
	d.catchUp(d.account)
	if n := strings.Count(d.log.String(), "m.unverified"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}

func TestEachRefusalHasACureThatFitsHowTheDeviceStands(t *testing.T) {
	signed, dark := matrix.Standing{Identity: true, Signed: true}, matrix.Standing{Problem: matrix.ProblemUnsigned}
	for _, one := range []struct {
		code     string
		standing matrix.Standing
		want     string
	}{
		{"m.unverified", dark, "MATRIX_RECOVERY_KEY"},
		{"m.unverified", signed, "matrix-connector verify"},
		{"m.blacklisted", signed, "has blocked"},
		{"m.unauthorised", signed, "keys import"},
		{"m.unavailable", signed, "keys import"},
		{"m.no_olm", signed, "by itself"},
		{"other", signed, "keys import"},
	} {
		if got := matrix.WithheldHint(one.code, "@alice:example.org", one.standing); !strings.Contains(got, one.want) {
			t.Errorf("%s: %s", one.code, got)
		}
	}
}

// m.no_olm says that the sender could not reach the device at all: the bot reaches out.
func TestASenderWithoutAConnectionIsGivenOne(t *testing.T) {
	d := newDen(t)
	e := d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	if _, ok := d.event(e); !ok {
		t.Fatal("the first message is not read")
	}
	dummies := func() (n int) {
		for _, r := range d.server.Requests("send_to_device") {
			if r.User == d.bot && strings.Contains(r.Path, event.ToDeviceEncrypted.Type) {
				n++
			}
		}
		return n
	}
	before := dummies()
	d.refuses(d.alice.User, "m.no_olm", "", d.alice.Machine.OwnIdentity().IdentityKey)
	d.catchUp(d.account)
	if n := dummies() - before; n != 1 {
		t.Errorf("%d messages were sent to set up a session, want 1", n)
	}
}

func TestRefusalsOfManyDoNotFillTheStore(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	for range 30 {
		d.refuses(d.alice.User, "m.unverified", "", "")
	}
	d.catchUp(d.account)
	list, err := d.account.Refusals(t.Context())
	if err != nil || len(list) != 1 || list[0].Count != 30 || time.Since(list[0].Last) > time.Hour {
		t.Errorf("%+v, %v", list, err)
	}
}

// The notice is not authenticated: whoever knows of a session can say that its key is withheld.
// It explains nothing of what somebody else has sent, and keeps their own word from nobody.
func TestARefusalOfSomebodyElseExplainsNothing(t *testing.T) {
	for name, own := range map[string]bool{"in the owner's name": false, "in his own": true} {
		t.Run(name, func(t *testing.T) {
			d := newDen(t)
			d.say(d.alice, d.room, "so that her devices are known")
			d.say(d.mallory, d.room, "and his")
			d.catchUp(d.account)
			if err := d.alice.Rotate(t.Context(), d.room); err != nil {
				t.Fatal(err)
			}
			end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
			defer end()
			d.encrypts("the first of its key")
			_, in := d.session()
			key := in.SenderKey
			if own {
				key = d.mallory.Machine.OwnIdentity().IdentityKey
			}
			d.refuses(d.mallory.User, "m.blacklisted", in.ID(), key)
			d.catchUp(d.account)
			e := d.say(d.alice, d.room, "dark")
			d.catchUp(d.account)
			if u, ok := d.undecrypted(e); !ok || u.Reason != timeline.ReasonNoSession {
				t.Errorf("%q because of %q, %v", u.Reason, u.Cause, ok)
			}
		})
	}
}
