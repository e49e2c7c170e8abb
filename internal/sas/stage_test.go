package sas_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const dm = id.RoomID("!dm:example.org")

// seed makes randomness that is the same each time.
func seed(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// key is some public key.
func key(n byte) id.Ed25519 {
	raw := make([]byte, 32)
	_, _ = seed(n).Read(raw)
	return id.Ed25519(base64.RawStdEncoding.EncodeToString(raw))
}

var (
	alice = sas.Party{User: "@alice:example.org", Device: "ALICE", Keys: sas.Keys{Device: key(1), Master: key(2)}}
	bob   = sas.Party{User: "@bob:example.org", Device: "BOB", Keys: sas.Keys{Device: key(3), Master: key(4)}}
	// bert is another device of Alice's account.
	bert = sas.Party{User: "@alice:example.org", Device: "BERT", Keys: sas.Keys{Device: key(5), Master: key(2)}}
)

// peer is one device with one verification.
type peer struct {
	sas.Party
	config  sas.Config
	v       *sas.Verification
	oldMAC  bool      // knows only the code with the broken base64
	believe *sas.Keys // of the other side; nil until the keys are fetched
	inbox   []sas.Event
	codes   []sas.Code // of the cancellations it got
	ignored []error
}

// stage is a homeserver that hands messages over at once or, with tamper, as it likes.
type stage struct {
	t      *testing.T
	room   id.RoomID // empty for to-device messages
	peers  []*peer
	tamper func(from *peer, e sas.Event) []sas.Event
	events int
	log    []string // types in the order in which they were sent
}

func newStage(t *testing.T, room id.RoomID, a, b sas.Party) (s *stage, first, second *peer) {
	t.Helper()
	s = &stage{t: t, room: room}
	for i, p := range []sas.Party{a, b} {
		s.peers = append(s.peers, &peer{Party: p, config: sas.Config{Own: p, Rand: seed(byte(100 + i))}})
	}
	s.peers[0].believe, s.peers[1].believe = &b.Keys, &a.Keys
	return s, s.peers[0], s.peers[1]
}

// asks lets one peer request the verification of the other.
func (s *stage) asks(p, other *peer) {
	s.t.Helper()
	var out []sas.Message
	var err error
	if s.room == "" {
		p.v, out, err = sas.Request(p.config, other.User, []id.DeviceID{other.Device}, noon)
	} else {
		p.v, out, err = sas.RequestInRoom(p.config, other.User, s.room, noon)
	}
	s.sends(p, out, err)
}

// sends takes what a call returned.
func (s *stage) sends(p *peer, out []sas.Message, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", p.Device, err)
	}
	s.post(p, out)
}

func (s *stage) post(p *peer, out []sas.Message) {
	s.t.Helper()
	for _, m := range out {
		s.events++
		s.log = append(s.log, fmt.Sprintf("%s %s", p.Device, m.Type))
		e := sas.Event{Type: m.Type, Sender: p.User, Content: m.Content}
		if s.room != "" {
			e.Room, e.ID, e.Sent = s.room, id.EventID(fmt.Sprintf("$event%d", s.events)), noon
		}
		if m.Room != s.room || s.room == "" && len(m.Devices) == 0 {
			s.t.Fatalf("%s sends %s to %q %v", p.Device, m.Type, m.Room, m.Devices)
		}
		if m.Type == "m.room.message" {
			if err := p.v.Opened(e.ID); err != nil {
				s.t.Fatal(err)
			}
		}
		list := []sas.Event{e}
		if s.tamper != nil {
			list = s.tamper(p, e)
		}
		for _, to := range s.peers {
			if s.room != "" || to.User == m.User && slices.Contains(m.Devices, to.Device) {
				to.inbox = append(to.inbox, list...)
			}
		}
	}
}

// run hands over until nobody has anything to say.
func (s *stage) run() {
	s.t.Helper()
	for {
		quiet := true
		for _, p := range s.peers {
			for len(p.inbox) > 0 {
				quiet = false
				e := p.inbox[0]
				p.inbox = p.inbox[1:]
				s.post(p, p.receive(e))
			}
		}
		if quiet {
			return
		}
	}
}

// receive takes one event, and the keys when they are needed and there.
func (p *peer) receive(e sas.Event) []sas.Message {
	var out []sas.Message
	var err error
	if p.v == nil {
		p.v, out, err = sas.Requested(p.config, e, noon)
	} else {
		out, err = p.v.Receive(e)
	}
	if err != nil {
		p.ignored = append(p.ignored, err)
		return nil
	}
	if p.oldMAC {
		p.v.OnlyOldMAC()
	}
	if c, is := p.v.Cancellation(); is && !c.Ours {
		p.codes = append(p.codes, c.Code)
	}
	return append(out, p.supply()...)
}

func (p *peer) supply() []sas.Message {
	if p.v == nil || !p.v.NeedsKeys() || p.believe == nil {
		return nil
	}
	out, err := p.v.Supply(*p.believe)
	if err != nil {
		p.ignored = append(p.ignored, err)
	}
	return out
}

// accepts, starts and confirms are what persons do.
func (s *stage) accepts(p *peer)  { s.t.Helper(); out, err := p.v.Accept(); s.sends(p, out, err) }
func (s *stage) starts(p *peer)   { s.t.Helper(); out, err := p.v.Start(); s.sends(p, out, err) }
func (s *stage) confirms(p *peer) { s.t.Helper(); out, err := p.v.Confirm(); s.sends(p, out, err) }

// compared brings two to where both have a string to compare: first asks and starts.
func (s *stage) compared(first, second *peer) {
	s.t.Helper()
	s.asks(first, second)
	s.run()
	s.accepts(second)
	s.run()
	s.starts(first)
	s.run()
	for _, p := range []*peer{first, second} {
		s.in(p, sas.StateComparing)
	}
}

func (s *stage) in(p *peer, want sas.State) {
	s.t.Helper()
	if got := p.v.State(); got != want {
		c, _ := p.v.Cancellation()
		s.t.Fatalf("%s is %s (%+v), not %s; sent: %v", p.Device, got, c, want, s.log)
	}
}

// cancelled wants both to have ended, one by itself and the other by being told.
func (s *stage) cancelled(by, told *peer, code sas.Code) {
	s.t.Helper()
	s.in(by, sas.StateCancelled)
	s.in(told, sas.StateCancelled)
	if c, _ := by.v.Cancellation(); c.Code != code || !c.Ours {
		s.t.Errorf("%s cancelled with %+v, not %s", by.Device, c, code)
	}
	if c, _ := told.v.Cancellation(); c.Code != code || c.Ours {
		s.t.Errorf("%s was told %+v, not %s", told.Device, c, code)
	}
}

func mustIgnore(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, not %v", err, want)
	}
}
