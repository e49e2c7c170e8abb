package sas_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// weather is a network that loses, repeats and reorders; and, if it means ill, rewrites.
type weather struct {
	s      *stage
	ill    bool
	air    []flight // everything ever sent; any of it may arrive at any time
	next   int      // the first that has not arrived in its turn
	secret map[*peer][]byte
	keys   map[*peer]sas.Keys
}

type flight struct {
	to *peer
	e  sas.Event
}

func newWeather(t *testing.T, rt *rapid.T) *weather {
	t.Helper()
	room := rapid.SampledFrom([]id.RoomID{"", dm}).Draw(rt, "room")
	other := bob
	if room == "" && rapid.Bool().Draw(rt, "one account") {
		other = bert
	}
	s, a, b := newStage(t, room, alice, other)
	w := &weather{s: s, ill: rapid.Bool().Draw(rt, "ill"), secret: map[*peer][]byte{}, keys: map[*peer]sas.Keys{a: other.Keys, b: alice.Keys}}
	for i, p := range s.peers {
		if rapid.Bool().Draw(rt, "keys late") {
			p.believe = nil
		}
		p.config.Rand = seed(rapid.Byte().Draw(rt, "seed")&0x7f | byte(i)<<7)
	}
	s.tamper = func(from *peer, e sas.Event) []sas.Event {
		for _, to := range s.peers {
			if room != "" || to != from {
				w.air = append(w.air, flight{to, e})
			}
		}
		return nil
	}
	s.asks(a, b)
	return w
}

// calm is how long all goes well: without it, few dialogues would get far.
func (w *weather) calm(rt *rapid.T) {
	a, b := w.s.peers[0], w.s.peers[1]
	steps := []func(){
		func() { out, _ := b.v.Accept(); w.s.post(b, out) },
		func() { out, _ := a.v.Start(); w.s.post(a, out) },
		func() { out, _ := a.v.Confirm(); w.s.post(a, out) },
		func() { out, _ := b.v.Confirm(); w.s.post(b, out) },
	}
	for _, step := range steps[:len(steps)-rapid.IntRange(0, len(steps)).Draw(rt, "storm")] {
		w.inTurn(100)
		step()
		w.inTurn(100)
	}
}

// inTurn lets arrive what was sent, once and in order.
func (w *weather) inTurn(most int) {
	for ; most > 0 && w.next < len(w.air); most-- {
		f := w.air[w.next]
		w.next++
		w.s.post(f.to, f.to.receive(f.e))
		w.note()
	}
}

// note keeps the secrets, which are forgotten in the end.
func (w *weather) note() {
	for _, p := range w.s.peers {
		if p.v != nil && len(p.v.Secrets()[0]) > 0 {
			w.secret[p] = bytes.Clone(p.v.Secrets()[0])
		}
	}
}

// arrive lets something arrive that was sent, or was made of it.
func (w *weather) arrive(rt *rapid.T) {
	f := w.air[rapid.IntRange(0, len(w.air)-1).Draw(rt, "which")]
	if w.ill && rapid.Bool().Draw(rt, "rewrite") {
		var content map[string]any
		if json.Unmarshal(f.e.Content, &content) == nil {
			field := rapid.SampledFrom([]string{"key", "commitment", "keys", "mac", "from_device", "message_authentication_code"}).Draw(rt, "field")
			switch field {
			case "mac":
				content[field] = map[string]any{"ed25519:" + string(bob.Device): string(key(90)), "ed25519:BERT": string(key(91))}
			case "from_device":
				content[field] = rapid.SampledFrom([]string{"ALICE", "BOB", "BERT", "M"}).Draw(rt, "device")
			case "message_authentication_code":
				content[field] = "hkdf-hmac-sha256"
			default:
				content[field] = string(key(rapid.SampledFrom([]byte{90, 91}).Draw(rt, "key")))
			}
			f.e.Content, _ = json.Marshal(content)
		}
		if rapid.Bool().Draw(rt, "other sender") {
			f.e.Sender = f.to.User
		}
		w.air = append(w.air, f)
	}
	w.s.post(f.to, f.to.receive(f.e))
}

// person lets one of the two do something. A person in ill weather compares.
func (w *weather) person(rt *rapid.T) {
	p := rapid.SampledFrom(w.s.peers).Draw(rt, "who")
	if p.v == nil {
		return
	}
	var out []sas.Message
	switch rapid.SampledFrom([]string{"accept", "start", "confirm", "confirm", "keys", "refuse"}).Draw(rt, "what") {
	case "accept":
		out, _ = p.v.Accept()
	case "start":
		out, _ = p.v.Start()
	case "confirm":
		other := w.s.peers[1-slices.Index(w.s.peers, p)]
		if mine, ok := p.v.Emoji(); w.ill && ok {
			if other.v == nil {
				return
			}
			if theirs, ok := other.v.Emoji(); !ok || theirs != mine {
				return
			}
		}
		out, _ = p.v.Confirm()
	case "keys":
		believe := w.keys[p]
		p.believe = &believe
		out = p.supply()
	case "refuse":
		if rapid.IntRange(0, 20).Draw(rt, "really") == 0 {
			out = p.v.Cancel(sas.CodeUser)
		}
	}
	w.s.post(p, out)
}

func TestNoWeatherVerifiesTwoSecrets(t *testing.T) {
	done := map[bool]int{} // dialogues in which somebody was, by ill weather
	rapid.Check(t, func(rt *rapid.T) {
		w := newWeather(t, rt)
		w.calm(rt)
		before := done[w.ill]
		rt.Repeat(map[string]func(*rapid.T){
			"arrive":      w.arrive,
			"arrive soon": func(rt *rapid.T) { w.inTurn(rapid.IntRange(1, 4).Draw(rt, "many")) },
			"person":      w.person,
			"": func(rt *rapid.T) {
				w.note()
				for i, p := range w.s.peers {
					if p.v == nil {
						continue
					}
					them, ok := p.v.Outcome()
					if !ok {
						continue
					}
					done[w.ill] = before + 1
					other := w.s.peers[1-i]
					if !bytes.Equal(w.secret[p], w.secret[other]) || len(w.secret[p]) == 0 {
						rt.Fatalf("%s verified with another secret than %s", p.Device, other.Device)
					}
					if them != other.Party {
						rt.Fatalf("%s verified %+v", p.Device, them)
					}
					if !other.v.State().Ended() && other.v.State() != sas.StateFinishing {
						rt.Fatalf("%s is done when %s is %s", p.Device, other.Device, other.v.State())
					}
				}
			},
		})
	})
	if done[false]+done[true] == 0 {
		t.Error("nobody was ever verified")
	}
}
