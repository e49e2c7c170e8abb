package matrix_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// den is a scene with an encrypted room in which alice speaks and mallory listens.
type den struct {
	*scene
	account        *matrix.Account
	alice, mallory *matrixtest.Peer
	room           id.RoomID
}

func newDen(t *testing.T) *den {
	t.Helper()
	s := newScene(t, matrixtest.Options{})
	d := &den{scene: s, alice: s.peer("alice"), mallory: s.peer("mallory")}
	r := s.server.NewRoom(d.alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(s.bot)
	r.Join(d.mallory.User)
	d.room = r.ID
	d.account = s.open()
	s.catchUp(d.account)
	return d
}

func (d *den) botDevice(p *matrixtest.Peer) *id.Device {
	d.t.Helper()
	keys, err := p.Machine.FetchKeys(d.t.Context(), []id.UserID{d.bot}, true)
	if err != nil {
		d.t.Fatal(err)
	}
	device := keys[d.bot][d.account.DeviceID()]
	if device == nil {
		d.t.Fatal("the bot's device has no keys")
	}
	return device
}

// sends gives an Olm-encrypted to-device message to the bot's device.
func (d *den) sends(p *matrixtest.Peer, kind event.Type, content any) {
	d.t.Helper()
	if err := p.Machine.SendEncryptedToDevice(d.t.Context(), d.botDevice(p), kind, event.Content{Parsed: content}); err != nil {
		d.t.Fatal(err)
	}
}

// session is alice's outbound session, and her inbound copy of it.
func (d *den) session() (*crypto.OutboundGroupSession, *crypto.InboundGroupSession) {
	d.t.Helper()
	out, err := d.alice.Store.GetOutboundGroupSession(d.t.Context(), d.room)
	if err != nil || out == nil {
		d.t.Fatalf("alice has no session: %v", err)
	}
	in, err := d.alice.Store.GetGroupSession(d.t.Context(), d.room, out.ID())
	if err != nil || in == nil {
		d.t.Fatalf("alice has no copy of her session: %v", err)
	}
	return out, in
}

// forward is a forwarded room key as anybody can make one who knows the session.
func (d *den) forward(in *crypto.InboundGroupSession, room id.RoomID, key string) *event.ForwardedRoomKeyEventContent {
	return &event.ForwardedRoomKeyEventContent{
		RoomKeyEventContent: event.RoomKeyEventContent{
			Algorithm: id.AlgorithmMegolmV1, RoomID: room, SessionID: in.ID(), SessionKey: key,
		},
		SenderKey: in.SenderKey, SenderClaimedKey: in.SigningKey, ForwardingKeyChain: []string{},
	}
}

func (d *den) export(in *crypto.InboundGroupSession) string {
	d.t.Helper()
	key, err := in.Internal.Export(0)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(key)
}

func TestAForwardedKeyThatNobodyAskedForIsRefused(t *testing.T) {
	d := newDen(t)
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	e := d.say(d.alice, d.room, "not for forwarding")
	end()
	_, in := d.session()
	d.sends(d.mallory, event.ToDeviceForwardedRoomKey, d.forward(in, d.room, d.export(in)))
	d.catchUp(d.account)
	if n := d.count("SELECT count(*) FROM crypto_megolm_inbound_session"); n != 0 {
		t.Errorf("%d sessions stored, want none", n)
	}
	if u, ok := d.undecrypted(e); !ok || u.Reason != timeline.ReasonNoSession {
		t.Errorf("undecrypted = %+v, %v", u, ok)
	}
	if !strings.Contains(d.log.String(), "forwarded without being asked for") {
		t.Error("the refusal is not in the log")
	}
}

func TestAForwardedKeyDoesNotMoveASessionToAnotherRoom(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	_, in := d.session()
	d.sends(d.mallory, event.ToDeviceForwardedRoomKey, d.forward(in, "!elsewhere:test.example", d.export(in)))
	d.say(d.alice, d.room, "two")
	d.catchUp(d.account)
	if diff := cmp.Diff([]string{"one", "two"}, d.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// Whoever is in the room may be faster than the owner of a session, and say that
// it is another room's.
func TestAKeySentOnUnderAnotherRoomDoesNotKeepTheOwnersOut(t *testing.T) {
	d := newDen(t)
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	d.say(d.alice, d.room, "before the bot has the key")
	end()
	out, _ := d.session()
	key := &event.RoomKeyEventContent{
		Algorithm: id.AlgorithmMegolmV1, RoomID: "!elsewhere:test.example", SessionID: out.ID(), SessionKey: out.Internal.Key(),
	}
	d.sends(d.mallory, event.ToDeviceRoomKey, key)
	d.catchUp(d.account)
	key.RoomID = d.room
	d.sends(d.alice, event.ToDeviceRoomKey, key)
	e := d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || body(got) != "one" || got.Trust != timeline.TrustDevice {
		u, _ := d.undecrypted(e)
		t.Errorf("event %+v, found %v, undecrypted %s", got, ok, u.Reason)
	}
}

// lateKey gives the bot alice's session from its current index on, as when the bot
// joins while it is in use.
func (d *den) lateKey() (first id.EventID, in *crypto.InboundGroupSession) {
	d.t.Helper()
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	first = d.say(d.alice, d.room, "before the key")
	end()
	out, in := d.session()
	d.sends(d.alice, event.ToDeviceRoomKey, &event.RoomKeyEventContent{
		Algorithm: id.AlgorithmMegolmV1, RoomID: d.room, SessionID: out.ID(), SessionKey: out.Internal.Key(),
	})
	return first, in
}

// bogusRatchet is a session under its own id with another ratchet. The export format is
// version, index, ratchet, and the Ed25519 key of which the session's id is made: everybody
// in the room knows that. The ratchet's first bytes up to from stay the owner's.
func bogusRatchet(t *testing.T, export string, from ...int) string {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(export)
	if err != nil {
		t.Fatal(err)
	}
	first := 5
	if len(from) > 0 {
		first += from[0]
	}
	for i := first; i < 5+128; i++ {
		raw[i] ^= 0x5a
	}
	return base64.RawStdEncoding.EncodeToString(raw)
}

func TestABogusRatchetDoesNotReplaceAGoodOne(t *testing.T) {
	d := newDen(t)
	first, in := d.lateKey()
	d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	if u, ok := d.undecrypted(first); !ok || u.Reason != timeline.ReasonUnknownIndex {
		t.Fatalf("first message: %+v, %v", u, ok)
	}
	d.sends(d.mallory, event.ToDeviceForwardedRoomKey, d.forward(in, d.room, bogusRatchet(t, d.export(in))))
	d.say(d.alice, d.room, "two")
	d.catchUp(d.account)
	if diff := cmp.Diff([]string{"one", "two"}, d.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if !strings.Contains(d.log.String(), "another ratchet") {
		t.Error("the refusal is not in the log")
	}
}

func TestAGenuineCopyWithAnEarlierIndexIsAccepted(t *testing.T) {
	d := newDen(t)
	first, in := d.lateKey()
	d.catchUp(d.account)
	if u, ok := d.undecrypted(first); !ok || u.Reason != timeline.ReasonUnknownIndex {
		t.Fatalf("first message: %+v, %v", u, ok)
	}
	d.sends(d.alice, event.ToDeviceForwardedRoomKey, d.forward(in, d.room, d.export(in)))
	d.catchUp(d.account)
	if _, err := d.account.RetryPage(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if got, ok := d.event(first); !ok || body(got) != "before the key" {
		t.Errorf("event %+v, found %v", got, ok)
	}
}

func TestAPlantedRefusalDoesNotKeepTheKeyOut(t *testing.T) {
	d := newDen(t)
	end := d.server.HoldToDevice(d.bot, "m.room.encrypted")
	d.say(d.alice, d.room, "one")
	_, in := d.session()
	d.server.SendToDevice(d.mallory.User, d.bot, d.account.DeviceID(), "m.room_key.withheld", matrixtest.Content{
		"algorithm": id.AlgorithmMegolmV1, "room_id": "!elsewhere:test.example", "session_id": in.ID(), "sender_key": in.SenderKey,
		"code": "m.unverified",
	})
	d.catchUp(d.account)
	end()
	d.catchUp(d.account)
	if _, err := d.account.RetryPage(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one"}, d.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestARefusedKeyIsToldByItsCode(t *testing.T) {
	d := newDen(t)
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	e := d.say(d.alice, d.room, "not for you")
	end()
	_, in := d.session()
	d.server.SendToDevice(d.alice.User, d.bot, d.account.DeviceID(), "m.room_key.withheld", matrixtest.Content{
		"algorithm": id.AlgorithmMegolmV1, "room_id": d.room, "session_id": in.ID(), "sender_key": in.SenderKey, "code": "m.unverified",
	})
	d.catchUp(d.account)
	u, ok := d.undecrypted(e)
	if !ok || u.Reason != timeline.ReasonWithheld || u.Cause != "m.unverified" {
		t.Errorf("undecrypted = %+v, %v", u, ok)
	}
	var keys []timeline.KeyRef
	for _, b := range d.diary.batches(t) {
		keys = append(keys, b.Keys...)
	}
	want := []timeline.KeyRef{{Room: d.room, Session: in.ID(), Withheld: "m.unverified", WithheldBy: d.alice.User}}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestAnyErrorOfTheCryptoStoreFailsTheSync(t *testing.T) {
	hide := func(table string) (string, string) {
		return "ALTER TABLE " + table + " RENAME TO hidden", "ALTER TABLE hidden RENAME TO " + table
	}
	refuse := func(event string) (string, string) {
		return "CREATE TRIGGER refuse BEFORE " + event + " BEGIN SELECT RAISE(ABORT, 'disk full'); END", "DROP TRIGGER refuse"
	}
	for _, test := range []struct {
		name   string
		breaks func() (breaks, mends string)
	}{
		{"reading the hashes of Olm messages", func() (string, string) { return hide("crypto_olm_message_hash") }},
		{"reading the Olm sessions", func() (string, string) { return hide("crypto_olm_session") }},
		{"reading the sender's device", func() (string, string) { return hide("crypto_device") }},
		{"reading the room's encryption", func() (string, string) { return hide("matrix_state") }},
		{"writing the hash", func() (string, string) { return refuse("INSERT ON crypto_olm_message_hash") }},
		{"writing the Olm session", func() (string, string) { return refuse("INSERT ON crypto_olm_session") }},
		{"writing the account", func() (string, string) { return refuse("UPDATE ON crypto_account") }},
		{"writing the room key", func() (string, string) { return refuse("INSERT ON crypto_megolm_inbound_session") }},
		{"writing the message index", func() (string, string) { return refuse("INSERT ON crypto_message_index") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDen(t)
			e := d.say(d.alice, d.room, "precious")
			breaks, mends := test.breaks()
			d.exec(breaks)
			if _, err := d.account.Poll(t.Context()); err == nil {
				t.Error("the sync succeeded")
			}
			if n := len(d.diary.batches(t)); d.server.Pending(d.bot, d.account.DeviceID()) == 0 {
				t.Errorf("the room key was acknowledged after %d batches", n)
			}
			d.exec(mends)
			d.catchUp(d.account)
			if got, ok := d.event(e); !ok || body(got) != "precious" {
				u, _ := d.undecrypted(e)
				t.Errorf("event %+v, found %v, undecrypted %s", got, ok, u.Reason)
			}
		})
	}
}
