package bench_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// BenchmarkAway is a chat that goes on, at ten texts a second in four rooms, while
// the platform, the broker or the homeserver refuses connections: three stages side
// by side, one of them for each.
func BenchmarkAway(b *testing.B) {
	for b.Loop() {
		scenes := []*absence{
			{name: "platform", gate: platformGate, lostIs: bench.PlatformLost, backIs: bench.PlatformBack},
			{name: "broker", gate: brokerGate, lostIs: bench.BrokerLost, backIs: bench.BrokerBack},
			{name: "homeserver", gate: homeserverGate, lostIs: bench.HomeserverLost, backIs: bench.HomeserverBack},
		}
		var all sync.WaitGroup
		for _, a := range scenes {
			a.stage = bench.New(b, matrixtest.Options{})
			a.stage.Works()
			gate := a.gate(b, a.stage)
			run := a.stage.Starts()
			all.Go(func() { a.err = a.play(run, gate) })
		}
		all.Wait()
		for _, a := range scenes {
			if a.err != nil {
				b.Errorf("%s away: %v", a.name, a.err)
			}
			a.lostIs.Is(b, a.name, float64(a.lost))
			a.backIs.Is(b, a.name+"-back", a.back.Seconds())
		}
	}
}

// absence is what happens around a part that goes away and comes back.
type absence struct {
	name           string
	gate           func(*testing.B, *bench.Stage) *parts.Gate // made before the connector starts
	lostIs, backIs *bench.Figure
	stage          *bench.Stage

	// What came of it.
	lost int
	back time.Duration // from the return to everything said before it delivered
	err  error
}

// play lets people talk for five seconds, goes on while the part is away, and
// measures how long its return takes to be as if nothing had happened.
func (a *absence) play(run *bench.Run, gate *parts.Gate) error {
	s := a.stage
	alice := s.Homeserver.Account("alice", "secret")
	rooms := s.Rooms(4, alice, matrixtest.RoomOptions{})
	chat := talk{every: time.Second / 10, say: func(i int) id.EventID { return rooms[i%len(rooms)].Say(alice, sentence(i)) }}
	speak := func(d time.Duration) {
		over := make(chan struct{})
		timer := time.AfterFunc(d, func() { close(over) })
		defer timer.Stop()
		for chat.next(over) {
		}
	}
	speak(5 * time.Second)
	gate.Shut()
	speak(*away)
	if err := gate.Open(); err != nil {
		return err
	}
	began := time.Now()
	objects := 2*len(chat.said) + len(rooms) + 1
	err := run.Awaits(3*time.Minute, fmt.Sprintf("%d objects were there", objects), func() bool { n, _ := s.Platform.Imported(); return n >= objects })
	a.back = time.Since(began)
	var doubled, strange int
	if a.lost, doubled, strange = compare(s, chat.said); a.lost == 0 {
		err = nil // objects that came twice do not count
	}
	if err == nil && doubled+strange > 0 {
		err = fmt.Errorf("%d texts are doubled, %d are nobody's", doubled, strange)
	}
	return err
}

func platformGate(b *testing.B, s *bench.Stage) *parts.Gate {
	b.Helper()
	g := open(b, strings.TrimPrefix(s.Platform.URL(), "http://"))
	s.Env["OPENCTI_URL"] = "http://" + g.Address()
	return g
}

func homeserverGate(b *testing.B, s *bench.Stage) *parts.Gate {
	b.Helper()
	g := open(b, strings.TrimPrefix(s.Homeserver.URL(), "http://"))
	s.Env["MATRIX_SERVER"] = "http://" + g.Address()
	return g
}

func brokerGate(b *testing.B, s *bench.Stage) *parts.Gate {
	b.Helper()
	g := open(b, fmt.Sprintf("%s:%d", s.Broker.Host, s.Broker.Port))
	host, port, err := net.SplitHostPort(g.Address())
	if err != nil {
		b.Fatal(err)
	}
	s.Env["MQ_HOST"], s.Env["MQ_PORT"] = host, port
	return g
}

func open(b *testing.B, to string) *parts.Gate {
	b.Helper()
	g, err := parts.OpenGate(to)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(g.Shut)
	return g
}
