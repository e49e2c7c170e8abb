package sas_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

func TestTwoSidesVerifyEachOther(t *testing.T) {
	type way struct {
		room                       id.RoomID
		other                      sas.Party
		otherAsks                  bool
		askerStarts                bool
		starterConfirms, oneOldMAC bool
		lateKeys                   bool
		master                     bool
	}
	for n := range 1 << 8 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		w := way{other: bob, otherAsks: bit(0), askerStarts: bit(1), starterConfirms: bit(2), oneOldMAC: bit(3), lateKeys: bit(4), master: bit(5)}
		if bit(6) {
			w.room = dm
		}
		if bit(7) {
			if w.other = bert; w.room != "" {
				continue // one account in a room: see TestRequestsThatMakeNoSense
			}
		}
		t.Run(fmt.Sprintf("%+v", w), func(t *testing.T) {
			a, b := alice, w.other
			if !w.master {
				a.Keys.Master, b.Keys.Master = "", ""
			}
			s, first, second := newStage(t, w.room, a, b)
			second.oldMAC = w.oneOldMAC
			keys := [2]*sas.Keys{first.believe, second.believe}
			if w.lateKeys {
				first.believe, second.believe = nil, nil
			}
			asker, asked := first, second
			if w.otherAsks {
				asker, asked = second, first
			}
			s.asks(asker, asked)
			if second.v != nil && w.oneOldMAC {
				second.v.OnlyOldMAC()
			}
			s.run()
			s.in(asker, sas.StateAsking)
			s.in(asked, sas.StateAsked)
			if !asked.v.ByThem() || asker.v.ByThem() || !asked.v.Supported() {
				t.Error("who asked is forgotten")
			}
			s.accepts(asked)
			s.run()
			starter, other := asked, asker
			if w.askerStarts {
				starter, other = asker, asked
			}
			s.starts(starter)
			s.in(starter, sas.StateStarted)
			s.run()
			emoji := [2][7]sas.Emoji{}
			decimals := [2][3]int{}
			for i, p := range []*peer{first, second} {
				s.in(p, sas.StateComparing)
				var ok, ok2 bool
				emoji[i], ok = p.v.Emoji()
				decimals[i], ok2 = p.v.Decimals()
				if !ok || !ok2 {
					t.Error("there is nothing to compare")
				}
			}
			if emoji[0] != emoji[1] || decimals[0] != decimals[1] || !first.v.SameSecret(second.v) {
				t.Errorf("the strings differ: %v %v, %v %v", emoji[0], decimals[0], emoji[1], decimals[1])
			}
			want := "hkdf-hmac-sha256.v2"
			if w.oneOldMAC {
				want = "hkdf-hmac-sha256"
			}
			if first.v.MAC() != want || second.v.MAC() != want {
				t.Errorf("vouch with %s and %s, not %s", first.v.MAC(), second.v.MAC(), want)
			}
			confirmer, last := other, starter
			if w.starterConfirms {
				confirmer, last = starter, other
			}
			s.confirms(confirmer)
			s.run()
			s.in(confirmer, sas.StateConfirmed)
			s.in(last, sas.StateComparing)
			s.confirms(last)
			s.run()
			if w.lateKeys {
				s.in(confirmer, sas.StateConfirmed)
				s.in(last, sas.StateConfirmed)
				later := map[*peer]*sas.Keys{first: keys[0], second: keys[1]}
				last.believe = later[last]
				s.post(last, last.supply())
				s.run()
				s.in(last, sas.StateFinishing)
				s.in(confirmer, sas.StateConfirmed) // has their done, too
				confirmer.believe = later[confirmer]
				s.post(confirmer, confirmer.supply())
				s.run()
			}
			s.in(first, sas.StateDone)
			s.in(second, sas.StateDone)
			if them, ok := first.v.Outcome(); !ok || them != b {
				t.Errorf("%s verified %+v", first.Device, them)
			}
			if them, ok := second.v.Outcome(); !ok || them != a {
				t.Errorf("%s verified %+v", second.Device, them)
			}
		})
	}
}

func TestNothingIsVerifiedBeforeBothAreDone(t *testing.T) {
	s, first, second := newStage(t, "", alice, bob)
	none := func(when string) {
		t.Helper()
		for _, p := range s.peers {
			if p.v == nil {
				continue
			}
			if them, ok := p.v.Outcome(); ok {
				t.Errorf("%s: verified %v", when, them)
			}
		}
	}
	s.asks(first, second)
	none("asked")
	s.run()
	s.accepts(second)
	none("accepted")
	s.run()
	s.starts(first)
	s.run()
	none("comparing")
	s.confirms(first)
	s.run()
	none("confirmed by one")
	s.confirms(second)
	s.in(second, sas.StateFinishing)
	none("confirmed by both")
	s.run()
	s.in(second, sas.StateDone)
}

func TestOfTwoStartsThatOfTheSmallerCounts(t *testing.T) {
	for name, two := range map[string]struct{ winner, loser sas.Party }{
		"by user":                      {alice, bob},
		"by device, in one account":    {alice, bert},
		"by user, whatever the device": {sas.Party{User: alice.User, Device: "ZZZ", Keys: alice.Keys}, bob},
	} {
		for _, asks := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %v %v", name, asks, late), func(t *testing.T) {
					s, winner, loser := newStage(t, "", two.winner, two.loser)
					asker, asked := winner, loser
					if asks {
						asker, asked = loser, winner
					}
					s.asks(asker, asked)
					s.run()
					s.accepts(asked)
					s.run()
					s.starts(loser)
					s.starts(winner)
					if late { // the winner hears of the other start before anything else happens
						s.post(winner, winner.receive(winner.inbox[0]))
						winner.inbox = winner.inbox[1:]
						s.in(winner, sas.StateStarted)
					}
					s.run()
					s.in(winner, sas.StateComparing)
					s.in(loser, sas.StateComparing)
					if slices.Contains(s.log, string(winner.Device)+" m.key.verification.accept") {
						t.Errorf("the start of %s was accepted", loser.Device)
					}
					if !winner.v.SameSecret(loser.v) {
						t.Error("no common secret")
					}
					s.confirms(winner)
					s.run()
					s.confirms(loser)
					s.run()
					s.in(winner, sas.StateDone)
					s.in(loser, sas.StateDone)
				})
			}
		}
	}
}

func TestABareStartIsAVerificationToo(t *testing.T) {
	// As matrix-nio begins one: no request, no ready, no done.
	s, first, second := newStage(t, "", alice, bob)
	s.asks(first, second)
	s.run()
	s.accepts(second)
	s.run()
	second.v = nil // it has never heard of a request
	s.starts(first)
	s.run()
	s.in(second, sas.StateAsked)
	s.accepts(second)
	s.run()
	s.in(first, sas.StateComparing)
	s.in(second, sas.StateComparing)
	s.confirms(first)
	s.run()
	s.confirms(second)
	s.in(second, sas.StateDone)
	if them, ok := second.v.Outcome(); !ok || them != alice {
		t.Errorf("verified %+v, %v", them, ok)
	}
	s.run()
	s.in(first, sas.StateDone)
}

func TestWhoHasNoEmojiComparesNumbers(t *testing.T) {
	s, first, second := reach(t, "", sas.StateReady)
	start := sound(second.Device)["start"]
	start["short_authentication_string"] = []string{"decimal"}
	out, err := first.v.Receive(s.says(second, "start", start))
	if err != nil || len(out) != 1 || !strings.Contains(string(out[0].Content), `"short_authentication_string":["decimal"]`) {
		t.Fatalf("%s, %v", out, err)
	}
	if _, ok := first.v.Decimals(); ok {
		t.Error("shows numbers before there are keys")
	}
	if _, err := first.v.Receive(s.says(second, "key", sound("")["key"])); err != nil {
		t.Fatal(err)
	}
	_, emoji := first.v.Emoji()
	numbers, ok := first.v.Decimals()
	if emoji || !ok {
		t.Errorf("emoji: %v, numbers: %v", emoji, ok)
	}
	for _, n := range numbers {
		if n < 1000 || n > 9191 {
			t.Errorf("shows %v", numbers)
		}
	}
}
