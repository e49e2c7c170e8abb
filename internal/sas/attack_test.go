package sas_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// rewrite changes a field of messages of one type on their way from one peer.
func rewrite(from *peer, kind, field string, change func(any) any) func(*peer, sas.Event) []sas.Event {
	return func(p *peer, e sas.Event) []sas.Event {
		if p == from && strings.HasSuffix(e.Type, "."+kind) {
			var content map[string]any
			if err := json.Unmarshal(e.Content, &content); err != nil {
				panic(err)
			}
			content[field] = change(content[field])
			e.Content, _ = json.Marshal(content)
		}
		return []sas.Event{e}
	}
}

func always(x any) func(any) any { return func(any) any { return x } }

func TestAServerThatExchangesKeysIsSeenByThePersons(t *testing.T) {
	// It plays Bob to Alice and Alice to Bob, each with keys of its own.
	toAlice, a, asBob := newStage(t, "", alice, bob)
	toAlice.compared(a, asBob)
	toBob, asAlice, b := newStage(t, "", alice, bob)
	b.config.Rand, asAlice.config.Rand = seed(50), seed(51)
	toBob.compared(asAlice, b)
	left, _ := a.v.Emoji()
	right, _ := b.v.Emoji()
	if left == right {
		t.Fatalf("both see %v", left)
	}
	digits, _ := a.v.Decimals()
	others, _ := b.v.Decimals()
	if digits == others {
		t.Fatalf("both see %v", digits)
	}
	toAlice.post(a, a.v.Mismatch())
	toAlice.run()
	toAlice.cancelled(a, asBob, sas.CodeMismatchedSAS)
}

func TestTheKeyOfWhoStartsCannotBeExchangedUnseen(t *testing.T) {
	s, first, second := newStage(t, "", alice, bob)
	s.tamper = rewrite(first, "key", "key", always(string(key(60))))
	s.compared(first, second)
	left, _ := first.v.Emoji()
	right, _ := second.v.Emoji()
	if left == right || first.v.SameSecret(second.v) {
		t.Fatalf("both see %v", left)
	}
	// Somebody who confirms without looking is told apart all the same.
	s.confirms(first)
	s.confirms(second)
	s.run()
	s.in(first, sas.StateCancelled)
	s.in(second, sas.StateCancelled)
	if c, _ := first.v.Cancellation(); c.Code != sas.CodeKeyMismatch {
		t.Errorf("cancelled with %+v", c)
	}
}

func TestWhatIsChangedOnTheWayIsNoticed(t *testing.T) {
	drop := func(x any) any {
		var kept []any
		for _, one := range x.([]any) {
			if one != "hkdf-hmac-sha256.v2" {
				kept = append(kept, one)
			}
		}
		return kept
	}
	swap := func(x any) any {
		codes := x.(map[string]any)
		for name, code := range codes {
			codes[name] = "AAAA" + code.(string)[4:]
			break
		}
		return codes
	}
	for name, tc := range map[string]struct {
		bySecond    bool // the second accepts and answers
		kind, field string
		change      func(any) any
		code        sas.Code
	}{
		"the key that was promised":  {true, "key", "key", always(string(key(60))), sas.CodeMismatchedCommitment},
		"the promise":                {true, "accept", "commitment", always(string(key(61))), sas.CodeMismatchedCommitment},
		"a promise that is shorter":  {true, "accept", "commitment", always("AAAA"), sas.CodeMismatchedCommitment},
		"the codes that are offered": {false, "start", "message_authentication_codes", drop, sas.CodeMismatchedCommitment},
		"something beside the start": {false, "start", "comment", always("hello"), sas.CodeMismatchedCommitment},
		"a code":                     {true, "mac", "mac", swap, sas.CodeKeyMismatch},
		"the code of the list":       {true, "mac", "keys", always("AAAA"), sas.CodeKeyMismatch},
		"no code":                    {true, "mac", "mac", always(map[string]any{}), sas.CodeKeyMismatch},
		"a code for another key": {true, "mac", "mac", func(x any) any {
			x.(map[string]any)["ed25519:MALLORY"] = "AAAA"
			return x
		}, sas.CodeKeyMismatch},
		"a code less": {true, "mac", "mac", func(x any) any {
			delete(x.(map[string]any), "ed25519:BOB")
			return x
		}, sas.CodeKeyMismatch},
	} {
		for _, room := range []id.RoomID{"", dm} {
			t.Run(fmt.Sprintf("%s %s", name, room), func(t *testing.T) {
				s, first, second := newStage(t, room, alice, bob)
				liar := first
				if tc.bySecond {
					liar = second
				}
				s.tamper = rewrite(liar, tc.kind, tc.field, tc.change)
				s.asks(first, second)
				s.run()
				s.accepts(second)
				s.run()
				s.starts(first)
				s.run()
				if tc.kind == "mac" {
					s.confirms(second)
					s.run()
				}
				s.cancelled(first, second, tc.code)
			})
		}
	}
}

func TestKeysOfTheHomeserverMustBeThoseOfTheOtherSide(t *testing.T) {
	named := bob
	named.Device = id.DeviceID(key(9))
	for name, tc := range map[string]struct {
		them    sas.Party
		believe sas.Keys
	}{
		"another device key":         {bob, sas.Keys{Device: key(8), Master: bob.Keys.Master}},
		"another device key alone":   {bob, sas.Keys{Device: key(8)}},
		"another master key alone":   {bob, sas.Keys{Master: key(8)}}, // vouched for is one that is not known
		"a master named like theirs": {named, sas.Keys{Device: named.Keys.Device, Master: key(9)}},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", name, early), func(t *testing.T) {
				s, first, second := newStage(t, "", alice, tc.them)
				first.believe = nil
				if early {
					first.believe = &tc.believe
				}
				s.compared(first, second)
				s.confirms(second)
				s.run()
				if !early {
					s.in(first, sas.StateComparing)
					first.believe = &tc.believe
					s.post(first, first.supply())
					s.run()
				}
				s.cancelled(first, second, sas.CodeKeyMismatch)
			})
		}
	}
}

func TestOnlyWhatWasVouchedForIsVerified(t *testing.T) {
	device, master := "ed25519:BOB", "ed25519:"+string(bob.Keys.Master)
	for name, tc := range map[string]struct {
		vouch map[string]string
		want  sas.Keys
	}{
		"the device":              {map[string]string{device: string(bob.Keys.Device)}, sas.Keys{Device: bob.Keys.Device}},
		"the identity":            {map[string]string{master: string(bob.Keys.Master)}, sas.Keys{Master: bob.Keys.Master}},
		"both":                    {map[string]string{device: string(bob.Keys.Device), master: string(bob.Keys.Master)}, bob.Keys},
		"and one that is unknown": {map[string]string{device: string(bob.Keys.Device), "ed25519:X": "y", "rsa:BOB": "z", "": ""}, sas.Keys{Device: bob.Keys.Device}},
		"none that is known":      {map[string]string{"ed25519:X": "y"}, sas.Keys{}},
		"none":                    {nil, sas.Keys{}},
		"of another algorithm":    {map[string]string{"curve25519:BOB": string(bob.Keys.Device)}, sas.Keys{}},
		"a value that is none":    {map[string]string{device: "x"}, sas.Keys{}},
		"the one and not another": {map[string]string{device: string(bob.Keys.Device), master: string(key(9))}, sas.Keys{}},
	} {
		t.Run(name, func(t *testing.T) {
			s, first, second := newStage(t, "", alice, bob)
			s.compared(first, second)
			s.confirms(first)
			s.run()
			_, err := first.v.Receive(s.says(second, "mac", second.v.Vouch(tc.vouch)))
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == (sas.Keys{}) {
				if c, _ := first.v.Cancellation(); c.Code != sas.CodeKeyMismatch {
					t.Fatalf("is %s with %+v", first.v.State(), c)
				}
				return
			}
			s.in(first, sas.StateFinishing)
			if _, err := first.v.Receive(s.says(second, "done", nil)); err != nil {
				t.Fatal(err)
			}
			them, _ := first.v.Outcome()
			if diff := cmp.Diff(tc.want, them.Keys); diff != "" {
				t.Errorf("verified other keys: %s", diff)
			}
		})
	}
}

func TestNobodyVouchesTwice(t *testing.T) {
	vouch := func(second *peer) map[string]any {
		return second.v.Vouch(map[string]string{"ed25519:BOB": string(bob.Keys.Device)})
	}
	for _, late := range []bool{false, true} {
		s, first, second := newStage(t, "", alice, bob)
		if late {
			first.believe = nil
		}
		s.compared(first, second)
		for i, more := range []map[string]any{nil, {"comment": "again"}} {
			content := vouch(second)
			maps.Copy(content, more)
			if _, err := first.v.Receive(s.says(second, "mac", content)); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
		}
		if c, _ := first.v.Cancellation(); c.Code != sas.CodeUnexpectedMessage {
			t.Errorf("late %v: is %s with %+v", late, first.v.State(), c)
		}
	}
}

func TestOurOwnWordsSentBackVouchForNothing(t *testing.T) {
	for _, kind := range []string{"key", "mac"} {
		s, first, second := newStage(t, "", alice, bert) // of one account, so that the sender is right
		var echo []byte
		s.tamper = func(p *peer, e sas.Event) []sas.Event {
			if p == first && strings.HasSuffix(e.Type, kind) {
				echo = e.Content
			}
			if p == second && strings.HasSuffix(e.Type, kind) {
				e.Content = echo
			}
			return []sas.Event{e}
		}
		s.asks(first, second)
		s.run()
		s.accepts(second)
		s.run()
		s.starts(first)
		s.run()
		if kind == "mac" {
			s.confirms(first)
			s.confirms(second)
			s.run()
		}
		if first.v.State() != sas.StateCancelled {
			t.Errorf("%s: is %s", kind, first.v.State())
		}
	}
}

func TestPaddingMakesNoDifference(t *testing.T) {
	s, first, second := newStage(t, "", alice, bob)
	s.tamper = func(p *peer, e sas.Event) []sas.Event {
		for kind, field := range map[string]string{"accept": "commitment", "key": "key", "mac": "keys"} {
			e = rewrite(p, kind, field, func(x any) any { return x.(string) + "=" })(p, e)[0]
		}
		return []sas.Event{e}
	}
	for _, p := range s.peers {
		padded := *p.believe
		padded.Device += "="
		p.believe = &padded
	}
	s.compared(first, second)
	s.confirms(first)
	s.confirms(second)
	s.run()
	s.in(first, sas.StateDone)
	if them, _ := second.v.Outcome(); them != alice {
		t.Errorf("verified %+v", them)
	}
}

func TestKeysAreLookedAt(t *testing.T) {
	_, first, _ := reach(t, "", sas.StateReady)
	_, second, _ := reach(t, "", sas.StateAsking)
	for _, p := range []*peer{first, second} { // has them; does not know which device
		_, err := p.v.Supply(sas.Keys{Device: key(1)})
		mustIgnore(t, err, sas.ErrState)
	}
	s, first, second := newStage(t, "", alice, bob)
	first.believe = nil
	s.asks(first, second)
	s.run()
	s.accepts(second)
	s.run()
	for _, none := range []sas.Keys{{}, {Device: "x"}, {Device: "?"}, {Device: key(1), Master: key(2)[1:]}, {Device: key(1) + "AAAA"}} {
		_, err := first.v.Supply(none)
		mustIgnore(t, err, sas.ErrKey)
	}
	if !first.v.NeedsKeys() {
		t.Error("keys that are none were taken")
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	for state := range moves {
		_, first, _ := reach(t, dm, state)
		var written strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&written, verb+"\n"+verb+"\n", first.v, *first.v)
		}
		raw, err := json.Marshal(first.v) //nolint:staticcheck // that nothing is exported is the point
		if err != nil {
			t.Fatal(err)
		}
		written.Write(raw)
		slog.New(slog.NewTextHandler(&written, nil)).Info("look", slog.Any("it", first.v), slog.Any("copy", *first.v))
		slog.New(slog.NewJSONHandler(&written, nil)).Info("look", slog.Any("it", first.v), slog.Any("copy", *first.v))
		if !strings.Contains(written.String(), string(state)) {
			t.Fatalf("printed without its state: %s", written.String())
		}
		for _, secret := range first.v.Secrets() {
			if len(secret) == 0 || bytes.Equal(secret, make([]byte, len(secret))) {
				continue
			}
			for _, form := range []string{
				string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), base64.RawStdEncoding.EncodeToString(secret),
				strings.Trim(fmt.Sprint(secret), "[]"), fmt.Sprintf("%#v", secret)[7:], //nolint:staticcheck // as numbers
			} {
				if strings.Contains(written.String(), form) {
					t.Errorf("%s: printed a secret as %s in %s", state, form, written.String())
				}
			}
		}
		if emoji, shown := first.v.Emoji(); shown && strings.Contains(written.String(), emoji[0].Name) {
			t.Errorf("%s: printed the string", state)
		}
	}
}

func TestWhatHasEndedKeepsNoSecret(t *testing.T) {
	for _, state := range []sas.State{sas.StateDone, sas.StateCancelled} {
		_, first, _ := reach(t, "", state)
		for _, secret := range first.v.Secrets()[:1] {
			if len(secret) > 0 {
				t.Errorf("%s: kept the secret", state)
			}
		}
		if len(first.v.Secrets()) > 2 {
			t.Errorf("%s: kept the private key", state)
		}
	}
}
