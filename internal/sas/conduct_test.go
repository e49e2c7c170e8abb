package sas_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// reach brings the first of two to a state.
func reach(t *testing.T, room id.RoomID, state sas.State) (s *stage, first, second *peer) {
	t.Helper()
	s, first, second = newStage(t, room, bob, alice) // so that the other's start wins
	if state == sas.StateAsked || state == sas.StateAccepted {
		s.asks(second, first)
	} else {
		s.asks(first, second)
	}
	for _, step := range []struct {
		last sas.State
		do   func()
	}{
		{sas.StateAsking, s.run},
		{sas.StateAsked, func() {
			if state == sas.StateAccepted {
				s.accepts(first)
			} else {
				s.accepts(second)
			}
			s.run()
		}},
		{sas.StateReady, func() {
			if state == sas.StateAccepted {
				s.starts(second)
				s.post(first, first.receive(pop(first, "start")))
			} else {
				s.starts(first)
			}
		}},
		{sas.StateStarted, func() {}},
		{sas.StateAccepted, func() {
			s.post(second, second.receive(pop(second, "start")))
			s.post(first, first.receive(pop(first, "accept")))
		}},
		{sas.StateKeyed, s.run},
		{sas.StateComparing, func() {
			if state == sas.StateCancelled {
				first.v.Cancel(sas.CodeUser)
			} else {
				s.confirms(first)
			}
		}},
		{sas.StateConfirmed, func() {
			s.post(second, second.receive(pop(second, "mac")))
			s.confirms(second)
			s.post(first, first.receive(pop(first, "mac")))
		}},
		{sas.StateFinishing, s.run},
	} {
		if first.v != nil && first.v.State() == state {
			return s, first, second
		}
		step.do()
	}
	s.in(first, state)
	return s, first, second
}

// pop takes the oldest event of a type from an inbox, where nothing else is to wait but echoes.
func pop(p *peer, kind string) sas.Event {
	for i, e := range p.inbox {
		if e.Type == "m.key.verification."+kind && e.Sender != p.User {
			p.inbox = append(p.inbox[:i:i], p.inbox[i+1:]...)
			return e
		}
	}
	panic("nothing of type " + kind + " for " + string(p.Device))
}

// says makes an event of a peer, of the verification that both are in.
func (s *stage) says(p *peer, kind string, content map[string]any) sas.Event {
	other := s.peers[0]
	if other == p {
		other = s.peers[1]
	}
	v := other.v
	if v == nil {
		v = p.v
	}
	e := sas.Event{Type: "m.key.verification." + kind, Sender: p.User, Room: s.room, ID: "$said", Sent: noon}
	all := map[string]any{}
	maps.Copy(all, content)
	if s.room == "" {
		all["transaction_id"] = v.Transaction()
	} else {
		all["m.relates_to"] = map[string]any{"rel_type": "m.reference", "event_id": v.Transaction()}
	}
	e.Content, _ = json.Marshal(all)
	return e
}

// sound is contents that are as specified, and have nothing to do with the verification.
func sound(device id.DeviceID) map[string]map[string]any {
	return map[string]map[string]any{
		"request": {"from_device": device, "methods": []string{"m.sas.v1"}, "timestamp": noon.UnixMilli() + 1},
		"ready":   {"from_device": device, "methods": []string{"m.sas.v1", "m.reciprocate.v1"}},
		"start": {
			"from_device": device, "method": "m.sas.v1",
			"key_agreement_protocols":      []string{"curve25519", "curve25519-hkdf-sha256"},
			"hashes":                       []string{"sha512", "sha256"},
			"message_authentication_codes": []string{"hkdf-hmac-sha256", "hkdf-hmac-sha256.v2"},
			"short_authentication_string":  []string{"emoji", "decimal", "song"},
		},
		"accept": {
			"method": "m.sas.v1", "key_agreement_protocol": "curve25519-hkdf-sha256", "hash": "sha256",
			"message_authentication_code": "hkdf-hmac-sha256", "short_authentication_string": []string{"decimal"},
			"commitment": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
		},
		"key":    {"key": string(key(77))},
		"mac":    {"mac": map[string]string{"ed25519:X": "bm9uc2Vuc2U"}, "keys": "bm9uc2Vuc2U"},
		"done":   {},
		"cancel": {"code": "m.user", "reason": "no"},
	}
}

// moves is the drawing of the package comment: what each state makes of a sound message.
// What is not in it is unexpected.
var moves = map[sas.State]map[string]string{
	sas.StateAsking:    {"ready": "ready"},
	sas.StateAsked:     {},
	sas.StateReady:     {"start": "accepted"},
	sas.StateStarted:   {"accept": "keyed", "start": "accepted"},
	sas.StateAccepted:  {"key": "comparing"},
	sas.StateKeyed:     {"key": "m.mismatched_commitment"},
	sas.StateComparing: {"mac": "m.key_mismatch"},
	sas.StateConfirmed: {"mac": "m.key_mismatch"},
	sas.StateFinishing: {"done": "done"},
	sas.StateDone:      nil,
	sas.StateCancelled: nil,
}

func TestEachStateKnowsWhatToExpect(t *testing.T) {
	for state, expected := range moves {
		for kind := range sound("") {
			for _, room := range []id.RoomID{"", dm} {
				t.Run(fmt.Sprintf("%s %s %s", state, kind, room), func(t *testing.T) {
					s, first, second := reach(t, room, state)
					before := first.v.State()
					out, err := first.v.Receive(s.says(second, kind, sound(second.Device)[kind]))
					if expected == nil {
						if mustIgnore(t, err, sas.ErrEnded); len(out) > 0 || first.v.State() != before {
							t.Errorf("says %v, and is %s", out, first.v.State())
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					want, is := expected[kind]
					c, cancelled := first.v.Cancellation()
					switch {
					case kind == "cancel":
						if !cancelled || c != (sas.Cancellation{Code: sas.CodeUser}) {
							t.Errorf("took a cancellation as %+v, and is %s", c, first.v.State())
						}
					case !is:
						want = "m.unexpected_message"
						fallthrough
					case strings.HasPrefix(want, "m."):
						if !cancelled || !c.Ours || string(c.Code) != want || len(out) != 1 || !strings.Contains(string(out[0].Content), `"code":"`+want+`"`) {
							t.Errorf("is %s with %+v and says %s, not %s", first.v.State(), c, out, want)
						}
					case string(first.v.State()) != want:
						t.Errorf("is %s with %+v, not %s", first.v.State(), c, want)
					}
				})
			}
		}
	}
}

func TestCallsThatDoNotFitAreRefused(t *testing.T) {
	calls := map[string]func(*sas.Verification) ([]sas.Message, error){
		"accept":  (*sas.Verification).Accept,
		"start":   (*sas.Verification).Start,
		"confirm": (*sas.Verification).Confirm,
	}
	fits := map[string]sas.State{"accept": sas.StateAsked, "start": sas.StateReady, "confirm": sas.StateComparing}
	for state := range moves {
		for name, call := range calls {
			if fits[name] == state {
				continue
			}
			_, first, _ := reach(t, "", state)
			out, err := call(first.v)
			if mustIgnore(t, err, sas.ErrState); len(out) > 0 || first.v.State() != state {
				t.Errorf("%s when %s: says %v and is %s", name, state, out, first.v.State())
			}
			if !strings.Contains(err.Error(), string(state)) {
				t.Errorf("%v does not name the state %s", err, state)
			}
		}
	}
}

func TestAnEventThatIsReadTwiceChangesNothing(t *testing.T) {
	for _, room := range []id.RoomID{"", dm} {
		s, first, second := newStage(t, room, alice, bob)
		s.tamper = func(_ *peer, e sas.Event) []sas.Event { return []sas.Event{e, e} }
		s.compared(first, second)
		s.confirms(first)
		s.run()
		s.confirms(second)
		s.run()
		s.in(first, sas.StateDone)
		s.in(second, sas.StateDone)
	}
}

func TestOthersAreIgnored(t *testing.T) {
	content := sound("BOB")
	for name, change := range map[string]func(*sas.Event){
		"another account":           func(e *sas.Event) { e.Sender = "@mallory:example.org" },
		"another transaction":       func(e *sas.Event) { e.Content = json.RawMessage(`{"transaction_id":"x","from_device":"BOB"}`) },
		"another device, says it":   func(e *sas.Event) { e.Content = json.RawMessage(strings.Replace(string(e.Content), "BOB", "BOB2", 1)) },
		"another device, is proved": func(e *sas.Event) { e.Device = "BOB2" },
		"in a room":                 func(e *sas.Event) { e.Room = dm },
		"no object":                 func(e *sas.Event) { e.Content = json.RawMessage(`[]`) },
		"no JSON":                   func(e *sas.Event) { e.Content = json.RawMessage(`{"transaction_id"`) },
		"nothing":                   func(e *sas.Event) { e.Content = nil },
		"a type of the future":      func(e *sas.Event) { e.Type = "m.key.verification.smell" },
		"transaction is no string":  func(e *sas.Event) { e.Content = json.RawMessage(`{"transaction_id":5}`) },
		"transaction written loudly": func(e *sas.Event) {
			e.Content = json.RawMessage(strings.Replace(string(e.Content), "transaction_id", "Transaction_ID", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, first, second := newStage(t, "", alice, bob)
			s.asks(first, second)
			s.run()
			s.accepts(second)
			s.run()
			e := s.says(second, "start", content["start"])
			change(&e)
			out, err := first.v.Receive(e)
			if mustIgnore(t, err, sas.ErrForeign); len(out) > 0 {
				t.Errorf("says %v", out)
			}
			s.in(first, sas.StateReady)
		})
	}
}

func TestTypesOfTheFutureAreNotRemembered(t *testing.T) {
	s, first, second := reach(t, "", sas.StateReady)
	before := first.v.Heard()
	for i := range 100 {
		_, err := first.v.Receive(s.says(second, fmt.Sprint("smell", i), nil))
		mustIgnore(t, err, sas.ErrForeign)
	}
	if first.v.Heard() != before {
		t.Errorf("remembers %d messages", first.v.Heard())
	}
}

func TestARoomIsNoOther(t *testing.T) {
	s, first, second := newStage(t, dm, alice, bob)
	s.asks(first, second)
	s.run()
	e := s.says(second, "ready", sound("BOB")["ready"])
	elsewhere, direct := e, e
	elsewhere.Room = "!elsewhere:example.org"
	direct.Room = ""
	direct.Content = json.RawMessage(strings.Replace(string(e.Content), "{", `{"transaction_id":"`+first.v.Transaction()+`",`, 1))
	related := e // in another way
	related.Content = json.RawMessage(strings.Replace(string(e.Content), "m.reference", "m.thread", 1))
	for _, e := range []sas.Event{elsewhere, direct, related} {
		_, err := first.v.Receive(e)
		mustIgnore(t, err, sas.ErrForeign)
	}
	if _, err := first.v.Receive(e); err != nil || first.v.State() != sas.StateReady {
		t.Errorf("%v, %v", first.v, err)
	}
}

func TestMalformedMessagesCancel(t *testing.T) {
	type change map[string]any
	for _, tc := range []struct {
		state  sas.State
		kind   string
		change change
		code   sas.Code
	}{
		{sas.StateAsking, "ready", change{"methods": nil}, sas.CodeInvalidMessage},
		{sas.StateAsking, "ready", change{"methods": "m.sas.v1"}, sas.CodeInvalidMessage},
		{sas.StateAsking, "ready", change{"from_device": 7}, sas.CodeInvalidMessage},
		{sas.StateAsking, "ready", change{"methods": []string{"m.qr_code.scan.v1"}}, sas.CodeUnknownMethod},
		{sas.StateReady, "start", change{"from_device": nil}, sas.CodeInvalidMessage},
		{sas.StateReady, "start", change{"from_device": []string{"BOB"}}, sas.CodeInvalidMessage},
		{sas.StateReady, "start", change{"method": nil}, sas.CodeInvalidMessage},
		{sas.StateReady, "start", change{"method": "m.reciprocate.v1"}, sas.CodeUnknownMethod},
		{sas.StateStarted, "start", change{"method": "m.reciprocate.v1"}, sas.CodeUnexpectedMessage},
		{sas.StateReady, "start", change{"hashes": map[string]any{}}, sas.CodeInvalidMessage},
		{sas.StateReady, "start", change{"hashes": []string{"md5"}}, sas.CodeUnknownMethod},
		{sas.StateReady, "start", change{"hashes": []string{}}, sas.CodeUnknownMethod},
		{sas.StateReady, "start", change{"key_agreement_protocols": nil}, sas.CodeInvalidMessage},
		{sas.StateReady, "start", change{"key_agreement_protocols": []string{"curve25519"}}, sas.CodeUnknownMethod},
		{sas.StateReady, "start", change{"message_authentication_codes": []any{"hkdf-hmac-sha256.v2", 5}}, sas.CodeInvalidMessage},
		{sas.StateReady, "start", change{"message_authentication_codes": []string{"hmac-sha256"}}, sas.CodeUnknownMethod},
		{sas.StateReady, "start", change{"short_authentication_string": []string{"song"}}, sas.CodeUnknownMethod},
		{sas.StateReady, "start", change{"extra": 1.5}, sas.CodeInvalidMessage}, // has no canonical form, so no commitment
		{sas.StateStarted, "accept", change{"method": "m.reciprocate.v1"}, sas.CodeUnknownMethod},
		{sas.StateStarted, "accept", change{"method": 5}, sas.CodeUnknownMethod},
		{sas.StateStarted, "accept", change{"key_agreement_protocol": "curve25519"}, sas.CodeUnknownMethod},
		{sas.StateStarted, "accept", change{"key_agreement_protocol": nil}, sas.CodeInvalidMessage},
		{sas.StateStarted, "accept", change{"hash": "sha512"}, sas.CodeUnknownMethod},
		{sas.StateStarted, "accept", change{"message_authentication_code": "hmac-sha256"}, sas.CodeUnknownMethod},
		{sas.StateStarted, "accept", change{"short_authentication_string": []string{"song"}}, sas.CodeUnknownMethod},
		{sas.StateStarted, "accept", change{"short_authentication_string": "emoji"}, sas.CodeInvalidMessage},
		{sas.StateStarted, "accept", change{"commitment": "?"}, sas.CodeInvalidMessage},
		{sas.StateStarted, "accept", change{"commitment": nil}, sas.CodeInvalidMessage},
		{sas.StateAccepted, "key", change{"key": nil}, sas.CodeInvalidMessage},
		{sas.StateAccepted, "key", change{"key": 5}, sas.CodeInvalidMessage},
		{sas.StateAccepted, "key", change{"key": "short"}, sas.CodeInvalidMessage},
		{sas.StateAccepted, "key", change{"key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, sas.CodeInvalidMessage}, // of low order
		{sas.StateComparing, "mac", change{"mac": nil}, sas.CodeInvalidMessage},
		{sas.StateComparing, "mac", change{"mac": []string{}}, sas.CodeInvalidMessage},
		{sas.StateComparing, "mac", change{"mac": map[string]any{"ed25519:X": 5}}, sas.CodeInvalidMessage},
		{sas.StateComparing, "mac", change{"keys": nil}, sas.CodeInvalidMessage},
		{sas.StateComparing, "mac", change{"keys": "?"}, sas.CodeKeyMismatch},
	} {
		t.Run(fmt.Sprintf("%s %v", tc.kind, tc.change), func(t *testing.T) {
			s, first, second := reach(t, "", tc.state)
			content := sound(second.Device)[tc.kind]
			maps.Copy(content, tc.change)
			out, err := first.v.Receive(s.says(second, tc.kind, content))
			c, _ := first.v.Cancellation()
			if err != nil || c != (sas.Cancellation{Code: tc.code, Ours: true}) {
				t.Fatalf("is %s with %+v and error %v, not %s", first.v.State(), c, err, tc.code)
			}
			if second.v == nil {
				return // it was asked, and has not heard of it
			}
			second.inbox = nil
			s.post(first, out)
			s.run()
			s.cancelled(first, second, tc.code)
		})
	}
}

func TestWhatIsSentIsAsSpecified(t *testing.T) {
	required := map[string][]string{ // data/event-schemas of the specification
		"request": {"from_device", "methods", "timestamp"},
		"message": {"body", "from_device", "methods", "msgtype", "to"},
		"ready":   {"from_device", "methods"},
		"start":   {"from_device", "hashes", "key_agreement_protocols", "message_authentication_codes", "method", "short_authentication_string"},
		"accept":  {"commitment", "hash", "key_agreement_protocol", "message_authentication_code", "method", "short_authentication_string"},
		"key":     {"key"},
		"mac":     {"keys", "mac"},
		"done":    nil,
		"cancel":  {"code", "reason"},
	}
	for _, room := range []id.RoomID{"", dm} {
		s, first, second := newStage(t, room, alice, bob)
		sent := map[string]bool{}
		s.tamper = func(p *peer, e sas.Event) []sas.Event {
			kind := e.Type[strings.LastIndex(e.Type, ".")+1:]
			sent[kind] = true
			var content map[string]json.RawMessage
			if err := json.Unmarshal(e.Content, &content); err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for name := range content {
				got[name] = true
			}
			want := map[string]bool{}
			for _, name := range required[kind] {
				want[name] = true
			}
			switch {
			case room == "":
				want["transaction_id"] = true
			case kind != "message":
				want["m.relates_to"] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s has other fields: %s", kind, diff)
			}
			if canonical, err := sas.Canonicalize(e.Content); err != nil || string(canonical) != string(e.Content) {
				t.Errorf("%s is not canonical: %s", kind, e.Content)
			}
			return []sas.Event{e}
		}
		s.compared(first, second)
		s.confirms(first)
		s.confirms(second)
		s.run()
		look := s.tamper
		s, first, second = newStage(t, room, alice, bob)
		s.tamper = look
		s.compared(first, second)
		s.post(first, first.v.Mismatch())
		s.run()
		s.cancelled(first, second, sas.CodeMismatchedSAS)
		if len(sent) != 8 {
			t.Errorf("sent only %v", sent)
		}
	}
}

func TestItEndsAfterTenMinutes(t *testing.T) {
	for state, expected := range moves {
		if expected == nil {
			continue
		}
		s, first, second := reach(t, "", state)
		if got, want := first.v.Expires(), noon.Add(10*time.Minute); !got.Equal(want) {
			t.Errorf("%s: expires at %v, not %v", state, got, want)
		}
		if out := first.v.Expire(noon.Add(10*time.Minute - time.Second)); len(out) > 0 {
			t.Errorf("%s: ended too early", state)
		}
		s.in(first, state)
		out := first.v.Expire(noon.Add(10 * time.Minute))
		if c, _ := first.v.Cancellation(); c != (sas.Cancellation{Code: sas.CodeTimeout, Ours: true}) || len(out) != 1 {
			t.Errorf("%s: ended with %+v and said %v", state, c, out)
		}
		second.inbox = nil
		if second.v == nil {
			continue // asked, and has not heard of it
		}
		s.post(first, out)
		s.run()
		s.cancelled(first, second, sas.CodeTimeout)
		if out := first.v.Expire(noon.Add(time.Hour)); len(out) > 0 {
			t.Errorf("%s: says it twice", state)
		}
	}
	_, first, _ := reach(t, "", sas.StateDone)
	first.v.Expire(noon.Add(time.Hour))
	if first.v.State() != sas.StateDone {
		t.Error("what is done is undone by time")
	}
}
