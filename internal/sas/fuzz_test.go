package sas_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

var (
	states = []sas.State{
		sas.StateAsking, sas.StateAsked, sas.StateReady, sas.StateStarted, sas.StateAccepted, sas.StateKeyed,
		sas.StateComparing, sas.StateConfirmed, sas.StateFinishing, sas.StateDone, sas.StateCancelled,
	}
	kinds = []string{"request", "ready", "start", "accept", "key", "mac", "done", "cancel", "song"}
)

// FuzzReceive hands anything to a verification in any state, as from its partner. TXN in
// the content stands for its transaction.
func FuzzReceive(f *testing.F) {
	for kind, content := range sound("ALICE") {
		for i := range states {
			for _, room := range []bool{false, true} {
				if room {
					content["m.relates_to"] = map[string]any{"rel_type": "m.reference", "event_id": "TXN"}
				}
				content["transaction_id"] = "TXN"
				raw, _ := json.Marshal(content)
				f.Add(uint8(i), room, uint8(slices.Index(kinds, kind)), raw, "")
			}
		}
	}
	f.Add(uint8(3), true, uint8(8), []byte(`{"msgtype":"m.key.verification.request","to":"@bob:example.org"}`), "ALICE")
	f.Fuzz(func(t *testing.T, state uint8, inRoom bool, kind uint8, content []byte, device string) {
		room := id.RoomID("")
		if inRoom {
			room = dm
		}
		s, first, second := reach(t, room, states[int(state)%len(states)])
		e := s.says(second, kinds[int(kind)%len(kinds)], nil)
		e.Content = bytes.ReplaceAll(content, []byte("TXN"), []byte(first.v.Transaction()))
		e.Device = id.DeviceID(device)
		if e.Type == "m.key.verification.song" {
			e.Type = "m.room.message"
		}
		before := first.v.State()
		out, err := first.v.Receive(e)
		look(t, first.v, out, err)
		if err != nil && first.v.State() != before {
			t.Errorf("ignored an event (%v) and went from %s to %s", err, before, first.v.State())
		}
		if them, ok := first.v.Outcome(); ok && them.Keys != alice.Keys {
			t.Errorf("verified %+v", them)
		}
		again, err := first.v.Receive(e)
		look(t, first.v, again, err)
		if len(again) > 0 && !slices.Contains([]string{"m.key.verification.cancel"}, again[0].Type) {
			t.Errorf("answers twice: %v", again)
		}
		// A book takes it too, known or not.
		b, err := sas.NewBook(sas.Config{Own: bob, Rand: seed(1)})
		if err != nil {
			t.Fatal(err)
		}
		v, out, err := b.Receive(e, noon)
		look(t, v, out, err)
	})
}

// look wants what is said to be what can be sent, and errors to say nothing of the content.
func look(t *testing.T, v *sas.Verification, out []sas.Message, err error) {
	t.Helper()
	if err != nil {
		if len(out) > 0 {
			t.Errorf("ignored (%v), and says %v", err, out)
		}
		if len(err.Error()) > 100 {
			t.Errorf("a long error: %v", err)
		}
	}
	for _, m := range out {
		if canonical, err := sas.Canonicalize(m.Content); err != nil || !bytes.Equal(canonical, m.Content) {
			t.Errorf("says %s", m.Content)
		}
		if !strings.HasPrefix(m.Type, "m.key.verification.") || (m.Room == "") != (m.User != "") {
			t.Errorf("says %+v", m)
		}
	}
	if v == nil {
		return
	}
	if c, is := v.Cancellation(); is && len(c.Code) > 64 {
		t.Errorf("cancelled with %q", c.Code)
	}
}

// FuzzCanonicalJSON wants a canonical form to be its own, and to say the same.
func FuzzCanonicalJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"b":[1,-2,true,null],"a":{"\u00e9":"\n\u0001"}}`, `1.5`, `"\ud800"`, `[9007199254740993]`, `{"a":1,"a":2}`, "\"\x80\"", `{} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		once, err := sas.Canonicalize(raw)
		if err != nil {
			return
		}
		twice, err := sas.Canonicalize(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s becomes %s and then %s (%v)", raw, once, twice, err)
		}
		var a, b any
		if json.Unmarshal(raw, &a) != nil || json.Unmarshal(once, &b) != nil {
			t.Fatalf("%s is no JSON any more, or was none", once)
		}
		left, _ := json.Marshal(a)
		right, _ := json.Marshal(b)
		if !bytes.Equal(left, right) {
			t.Fatalf("%s says something else than %s", once, raw)
		}
	})
}
