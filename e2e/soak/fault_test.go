package soak_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// roads are the ways of a scene's connector to its three parts.
type roads map[string]*parts.Road

var peers = []string{"homeserver", "broker", "platform"}

// pave leads the connector of a scene that has not started over roads.
func pave(t *testing.T, s *scene.Scene) roads {
	t.Helper()
	r := roads{}
	for peer, gate := range map[string]*parts.Gate{"homeserver": s.ToHomeserver, "broker": s.ToBroker, "platform": s.ToPlatform} {
		road, err := parts.OpenRoad(gate.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(road.Close)
		r[peer] = road
	}
	host, port, err := net.SplitHostPort(r["broker"].Address())
	if err != nil {
		t.Fatal(err)
	}
	s.Env["MATRIX_SERVER"], s.Env["OPENCTI_URL"] = "http://"+r["homeserver"].Address(), "http://"+r["platform"].Address()
	s.Env["MQ_HOST"], s.Env["MQ_PORT"] = host, port
	return r
}

// weather is faults that happen at once, by peer.
type weather map[string]parts.Fault

func (w weather) String() string {
	var all []string
	for _, peer := range peers {
		if f, ok := w[peer]; ok {
			all = append(all, peer+" "+string(f))
		}
	}
	return strings.Join(all, " and ") // a comma would be one in the paths of the test
}

// alone are all weathers in which one road is bad, together some in which all are.
func alone() []weather {
	var all []weather
	for _, fault := range parts.Faults {
		for _, peer := range peers {
			all = append(all, weather{peer: fault})
		}
	}
	return all
}

func together(chance *rand.Rand, n int) []weather {
	all := make([]weather, n)
	for i := range all {
		all[i] = weather{}
		for _, peer := range peers {
			all[i][peer] = parts.Faults[chance.IntN(len(parts.Faults))]
		}
	}
	return all
}

func TestBadNetworksLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	chance := chance(t)
	all := alone()
	chance.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	lasts, worlds := 2*time.Second, 2
	if *long {
		all = append(all, together(chance, 30)...)
		lasts, worlds = 8*time.Second, 3
	} else {
		all = append(all[:8], together(chance, 2)...)
	}
	for part := range slices.Chunk(all, (len(all)+worlds-1)/worlds) {
		t.Run(part[0].String(), func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, scene.Config{Synapse: true})
			r := pave(t, s)
			alice := s.Town.Moves("alice")
			run := s.Starts()
			rooms := []id.RoomID{joined(s, alice, "Incident 7"), joined(s, alice, "War room", people.Encrypted())}
			talk := func(text string, n int) {
				alice.Says(rooms[n%2], fmt.Sprintf("%s, number %d", text, n))
				alice.Sends(rooms[(n+1)%2], people.Document(fmt.Sprintf("sent-in-bad-weather-%d.pdf", n), text), "")
			}
			var slowest recovery
			for n, w := range part {
				talk("Said just before", n)
				for peer, fault := range w {
					must(t, r[peer].Suffers(fault))
				}
				talk("Said in the middle of it", n)
				wait(t, lasts)
				for peer := range w {
					must(t, r[peer].Clears())
				}
				cleared := time.Now()
				talk("Said when it was over", n)
				s.Receives()
				slowest.took(time.Since(cleared), w.String())
				t.Logf("%-60s all there %.1f s after it ended", w, time.Since(cleared).Seconds())
			}
			lives(t, run)
			t.Log(&slowest)
		})
	}
}

func TestAPlatformThatAnswersNonsenseLosesNothing(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	run := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	times := 2
	if *long {
		times = 5
	}
	names := map[openctitest.Failure]string{
		openctitest.TooManyRequests: "429", openctitest.ServerError: "500", openctitest.BadGateway: "502 and a page",
		openctitest.HTMLPage: "200 and a page", openctitest.Disconnect: "no answer",
	}
	for _, how := range []openctitest.Failure{openctitest.TooManyRequests, openctitest.ServerError, openctitest.BadGateway, openctitest.HTMLPage, openctitest.Disconnect} {
		faults := []*openctitest.Fault{s.Platform.Faults().FailCalls("", times, how), s.Platform.Faults().LoseAnswers("", times, how)}
		alice.Says(room, "Said while the platform answers "+names[how])
		alice.Sends(room, people.Document("sent-while-it-answers-nonsense.pdf", names[how]), "")
		s.Receives()
		s.Until("all faults have happened", func() bool { return faults[0].Hits() >= times && faults[1].Hits() >= times })
	}
	lives(t, run)
}

func TestAHomeserverThatIsKilledAndComesBackLosesNothing(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	run := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Said before the homeserver fell")
	s.Town.Homeserver.Kill()
	must(t, s.Town.Homeserver.Restart(t.Context()))
	alice.Says(room, "Said when it had come back")
	s.Receives()
	lives(t, run)
}

// lives asserts that a connector has not ended by itself.
func lives(t *testing.T, run *parts.Connector) {
	t.Helper()
	select {
	case <-run.Done():
		t.Errorf("the connector did not live through it:\n%s", run.Stderr.Tail(20))
	default:
	}
}

// wait lets bad weather last for a while.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
