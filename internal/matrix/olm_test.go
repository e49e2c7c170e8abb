package matrix_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// garbage is an Olm message that nobody can decrypt. kind 0 starts a session.
func (d *den) garbage(from *matrixtest.Peer, kind int, fill byte) matrixtest.Content {
	d.t.Helper()
	return matrixtest.Content{
		"algorithm":  id.AlgorithmOlmV1,
		"sender_key": from.Machine.OwnIdentity().IdentityKey,
		"ciphertext": map[string]any{
			d.botDevice(d.alice).IdentityKey.String(): map[string]any{
				"type": kind, "body": base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(fill)), 120))),
			},
		},
	}
}

// Garbage comes before, between and after the messages that carry room keys, from
// a device that is known, so that the library would like to answer it.
func TestGarbageOlmMessagesDoNotDisturbASync(t *testing.T) {
	d := newDen(t)
	// Mallory is known, and has an Olm session with the bot.
	d.say(d.mallory, d.room, "hello")
	d.catchUp(d.account)
	bot := d.account.DeviceID()
	throw := func(kind int, fill byte) {
		d.server.SendToDevice(d.mallory.User, d.bot, bot, "m.room.encrypted", d.garbage(d.mallory, kind, fill))
	}
	throw(0, 'a')
	throw(1, 'b')
	one := d.say(d.alice, d.room, "one")
	throw(1, 'c')
	if err := d.alice.Rotate(t.Context(), d.room); err != nil {
		t.Fatal(err)
	}
	two := d.say(d.alice, d.room, "two")
	throw(0, 'd')

	before := d.botRequests()
	watched := 0
	d.diary.watch(func(b timeline.Batch) error {
		if len(b.Keys) == 0 {
			return nil
		}
		watched++
		// Inside the transaction: nothing may have been sent since the answer came.
		if diff := cmp.Diff(before, d.botRequests()); diff != "" {
			t.Errorf("requests inside the transaction (-before +then):\n%s", diff)
		}
		return nil
	})
	d.catchUp(d.account)
	d.diary.watch(nil)
	if watched != 1 {
		t.Errorf("room keys came in %d transactions, want 1", watched)
	}

	batches := d.diary.batches(t)
	var order []id.EventID
	var keys []id.SessionID
	for _, b := range batches {
		for _, e := range b.Events {
			if e.ID == one || e.ID == two {
				order = append(order, e.ID)
			}
		}
		for _, k := range b.Keys {
			keys = append(keys, k.Session)
		}
	}
	if diff := cmp.Diff([]id.EventID{one, two}, order); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(keys) != 3 {
		t.Errorf("%d room keys, want mallory's and alice's two", len(keys))
	}
	var reasons []string
	rows, err := d.store.DB().Query(t.Context(), "SELECT sender || ' ' || reason FROM matrix_failed_olm ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r string
		if err := rows.Scan(&r); err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Repeat([]string{"@mallory:test.example not_decrypted"}, 4), reasons); diff != "" {
		t.Errorf("failed Olm messages (-want +got):\n%s", diff)
	}

	// One dummy for mallory's device, after the commit, and no more within the hour.
	if n := len(d.dummies()); n != 1 {
		t.Fatalf("%d dummies sent, want 1", n)
	}
	throw(1, 'e')
	d.catchUp(d.account)
	if n := len(d.dummies()); n != 1 {
		t.Errorf("%d dummies sent within the hour, want 1", n)
	}
	d.readsDummy(d.mallory, d.dummies()[0])
}

// botRequests counts what the bot has sent to other devices, and asked about them.
func (d *den) botRequests() map[matrixtest.Endpoint]int {
	out := map[matrixtest.Endpoint]int{}
	for _, r := range d.server.Requests("") {
		sends := r.Endpoint == matrixtest.ToDevice || r.Endpoint == matrixtest.KeysClaim || r.Endpoint == matrixtest.KeysUpload
		if sends && r.User == d.bot {
			out[r.Endpoint]++
		}
	}
	return out
}

// dummies are the bodies of what the bot has sent to other devices.
func (d *den) dummies() [][]byte {
	var out [][]byte
	for _, r := range d.server.Requests(matrixtest.ToDevice) {
		if r.User == d.bot {
			out = append(out, r.Body)
		}
	}
	return out
}

// readsDummy lets a peer decrypt what the bot has sent it.
func (d *den) readsDummy(p *matrixtest.Peer, sent []byte) {
	d.t.Helper()
	var req struct {
		Messages map[id.UserID]map[id.DeviceID]json.RawMessage `json:"messages"`
	}
	unmarshal(d.t, sent, &req)
	raw := req.Messages[p.User][p.Client.DeviceID]
	evt := &event.Event{Sender: d.bot, Type: event.ToDeviceEncrypted, Content: event.Content{VeryRaw: raw}}
	if err := evt.Content.ParseRaw(event.ToDeviceEncrypted); err != nil {
		d.t.Fatalf("%s: %v", sent, err)
	}
	before, err := p.Store.GetSessions(d.t.Context(), d.botDevice(p).IdentityKey)
	if err != nil {
		d.t.Fatal(err)
	}
	had := len(before)
	p.Machine.HandleToDeviceEvent(d.t.Context(), evt)
	after, err := p.Store.GetSessions(d.t.Context(), d.botDevice(p).IdentityKey)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(after) != had+1 {
		d.t.Errorf("the peer has %d sessions with the bot after %d: the dummy did not decrypt", len(after), had)
	}
}

func TestFailedOlmMessagesAreTheProbableCause(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "hello")
	d.catchUp(d.account)
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	if err := d.alice.Rotate(t.Context(), d.room); err != nil {
		t.Fatal(err)
	}
	lost := d.say(d.alice, d.room, "lost")
	end()
	d.server.SendToDevice(d.alice.User, d.bot, d.account.DeviceID(), "m.room.encrypted", d.garbage(d.alice, 1, 'x'))
	d.catchUp(d.account)
	u, ok := d.undecrypted(lost)
	if !ok || u.Reason != timeline.ReasonNoSession || !strings.HasPrefix(u.Cause, "failed olm message") {
		t.Errorf("undecrypted = %s %q, %v", u.Reason, u.Cause, ok)
	}
	// The dummy gives alice a session that works.
	if n := len(d.dummies()); n != 1 {
		t.Fatalf("%d dummies sent, want 1", n)
	}
	d.readsDummy(d.alice, d.dummies()[0])
	if err := d.alice.Rotate(t.Context(), d.room); err != nil {
		t.Fatal(err)
	}
	d.say(d.alice, d.room, "found")
	d.catchUp(d.account)
	if diff := cmp.Diff([]string{"hello", "found"}, d.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestAFailedKeyQueryIsAskedAgain(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	r := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(s.bot)
	now := time.Now()
	a := s.open(func(c *matrix.Config) { c.Now = func() time.Time { return now } })
	s.catchUp(a)
	one := s.say(alice, r.ID, "one")
	s.server.Inject(matrixtest.Fault{On: matrixtest.KeysQuery, Status: 502, Times: 1})
	s.catchUp(a)
	if got, ok := s.event(one); !ok || got.Trust != timeline.TrustUnknown {
		t.Fatalf("event %+v, found %v, want trust %d", got, ok, timeline.TrustUnknown)
	}
	if n := s.count("SELECT count(*) FROM matrix_stale_user WHERE user_id=$1", alice.User); n != 1 {
		t.Fatalf("alice stands %d times among the stale users", n)
	}
	// Not before its time.
	two := s.say(alice, r.ID, "two")
	s.catchUp(a)
	if got, ok := s.event(two); !ok || got.Trust != timeline.TrustUnknown {
		t.Errorf("event %+v, found %v, want trust %d", got, ok, timeline.TrustUnknown)
	}
	now = now.Add(2 * time.Minute)
	three := s.say(alice, r.ID, "three")
	s.catchUp(a)
	if got, ok := s.event(three); !ok || got.Trust != timeline.TrustDevice {
		t.Errorf("event %+v, found %v, want trust %d", got, ok, timeline.TrustDevice)
	}
	if n := s.count("SELECT count(*) FROM matrix_stale_user"); n != 0 {
		t.Errorf("%d stale users left", n)
	}
}

func TestOneMalformedDeviceHidesNoOther(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "hello")
	// Another device of alice's with keys that are no keys.
	d.server.Token(d.alice.User, "ODD")
	d.server.SetDeviceKeys(d.alice.User, "ODD", json.RawMessage(`{"device_id":"ODD","user_id":"`+d.alice.User.String()+`","keys":5,"algorithms":{}}`))
	e := d.say(d.alice, d.room, "still known")
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || got.Trust != timeline.TrustDevice {
		t.Errorf("event trust %d, found %v, want %d", got.Trust, ok, timeline.TrustDevice)
	}
}

func TestOneTimeKeysAreToppedUp(t *testing.T) {
	for _, dendrite := range []bool{false, true} {
		t.Run(map[bool]string{false: "", true: "where the first sync counts none"}[dendrite], func(t *testing.T) {
			now := time.Now()
			s := newScene(t, matrixtest.Options{Dendrite: dendrite})
			alice := s.peer("alice")
			r := s.server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
			r.Join(s.bot)
			a := s.open(func(c *matrix.Config) { c.Now = func() time.Time { return now } })
			s.catchUp(a)
			if n, f := s.server.OneTimeKeys(s.bot, a.DeviceID()), s.server.FallbackKeys(s.bot, a.DeviceID()); n != 50 || f != 1 {
				t.Fatalf("%d one-time keys, %d fallback keys after the start, want 50 and 1", n, f)
			}
			now = now.Add(time.Hour)
			s.server.DrainOneTimeKeys(s.bot, a.DeviceID())
			// With no one-time key left a new device reaches the bot by the fallback key.
			bob := s.peer("bob")
			r.Join(bob.User)
			s.say(bob, r.ID, "by the fallback key")
			s.catchUp(a)
			if diff := cmp.Diff([]string{"by the fallback key"}, s.said()); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if n, f := s.server.OneTimeKeys(s.bot, a.DeviceID()), s.server.FallbackKeys(s.bot, a.DeviceID()); n != 50 || f < 1 {
				t.Errorf("%d one-time keys, %d fallback keys, want 50 and a new one", n, f)
			}
			fallback := uploadedFallback(t, s)
			if len(fallback) != 2 || fallback[0] == fallback[1] {
				t.Errorf("fallback keys uploaded: %v, want two different ones", fallback)
			}
		})
	}
}

func uploadedFallback(t *testing.T, s *scene) []string {
	t.Helper()
	var out []string
	for _, r := range s.server.Requests(matrixtest.KeysUpload) {
		if r.User != s.bot {
			continue
		}
		var req struct {
			Fallback map[string]mautrix.OneTimeKey `json:"fallback_keys"`
		}
		unmarshal(t, r.Body, &req)
		for name, key := range req.Fallback {
			if !key.Fallback || key.Signatures[s.bot] == nil {
				t.Errorf("fallback key %s is not marked or not signed", name)
			}
			out = append(out, name)
		}
	}
	return out
}

func TestWhoGetsANewOlmSession(t *testing.T) {
	for _, test := range []struct {
		name   string
		member bool
		want   int
	}{
		{"a member who has not spoken yet gets one", true, 1},
		{"a stranger's garbage is not answered", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDen(t)
			carol := d.peer("carol")
			if test.member {
				d.server.Room(d.room).Join(carol.User)
				d.catchUp(d.account)
			}
			queries := d.keyQueries()
			d.server.SendToDevice(carol.User, d.bot, d.account.DeviceID(), "m.room.encrypted", d.garbage(carol, 1, 'x'))
			d.catchUp(d.account)
			// The next news, with which carol's devices are asked for.
			d.server.Room(d.room).Say(d.alice.User, "news")
			d.catchUp(d.account)
			if n := len(d.dummies()); n != test.want {
				t.Errorf("%d dummies sent, want %d", n, test.want)
			}
			if n := d.keyQueries() - queries; n != test.want {
				t.Errorf("%d queries for devices, want %d", n, test.want)
			}
			if n := d.count("SELECT count(*) FROM matrix_failed_olm WHERE sender=$1", carol.User); n != 1 {
				t.Errorf("%d rows of failed Olm messages, want 1", n)
			}
		})
	}
}

func (d *den) keyQueries() int {
	n := 0
	for _, r := range d.server.Requests(matrixtest.KeysQuery) {
		if r.User == d.bot {
			n++
		}
	}
	return n
}

func TestMalformedOlmMessagesCostOnlyThemselves(t *testing.T) {
	d := newDen(t)
	bot, own := d.account.DeviceID(), d.botDevice(d.alice).IdentityKey.String()
	long := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x03", 200)))
	olm := func(key, ciphertext string) string {
		return `{"type":"m.room.encrypted","sender":"@mallory:test.example","content":{"algorithm":"m.olm.v1.curve25519-aes-sha2","sender_key":` + key + `,"ciphertext":` + ciphertext + `}}`
	}
	for _, raw := range []string{
		olm(`"AA"`, `{"`+own+`":{"type":0,"body":"`+long+`"}}`),
		olm(`""`, `{"`+own+`":{"type":1,"body":"`+long+`"}}`),
		olm(`5`, `{"`+own+`":{"type":0,"body":"`+long+`"}}`),
		olm(`"`+strings.Repeat("k", 5000)+`"`, `{"`+own+`":{"type":0,"body":"`+long+`"}}`),
		olm(`"`+own+`"`, `{"`+own+`":{"type":7,"body":"`+long+`"}}`),
		olm(`"`+own+`"`, `{"`+own+`":{"type":0,"body":""}}`),
		olm(`"`+own+`"`, `{"`+own+`":{"type":0,"body":"not base64!"}}`),
		olm(`"`+own+`"`, `{"`+own+`":{"type":0,"body":"AwoA"}}`),
		olm(`"`+own+`"`, `{"`+own+`":5}`),
		olm(`"`+own+`"`, `{"elsewhere":{"type":0,"body":"`+long+`"}}`),
		olm(`"`+own+`"`, `[]`),
		`{"type":"m.room_key","sender":"@mallory:test.example","content":{"algorithm":"m.megolm.v1.aes-sha2","room_id":"` + d.room.String() + `","session_id":"x","session_key":"y"}}`,
		`{"type":"m.room_key.withheld","sender":"@mallory:test.example","content":{"session_id":5}}`,
		`{"type":"m.secret.request","sender":"@mallory:test.example","content":{"action":"request","name":"m.cross_signing.master","requesting_device_id":"X","request_id":"1"}}`,
		`{"type":"m.room_key_request","sender":"@mallory:test.example","content":{"action":"request","requesting_device_id":"X","request_id":"1","body":{}}}`,
	} {
		d.server.PutToDevice(d.bot, bot, json.RawMessage(raw))
	}
	e := d.say(d.alice, d.room, "between")
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || body(got) != "between" {
		t.Errorf("event %+v, found %v", got, ok)
	}
	if n := d.count("SELECT count(*) FROM crypto_megolm_inbound_session"); n != 1 {
		t.Errorf("%d sessions stored, want alice's only", n)
	}
	if n := len(d.dummies()); n != 0 {
		t.Errorf("%d messages sent to devices, want none", n)
	}
	if strings.Contains(d.log.String(), "broke its reader") {
		t.Error("a message made the reader panic")
	}
}
