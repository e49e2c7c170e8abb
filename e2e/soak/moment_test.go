package soak_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// moment is a passing of a place in the program, such as the second "broker: confirmed".
type moment struct {
	place string
	nth   int
	api   bool // in a life that delivers by the platform's API, without the broker
}

func (m moment) String() string { return fmt.Sprintf("%s#%d", m.place, m.nth) }

// life is a connector from its first start on, and what it lives through.
type life struct {
	s     *scene.Scene
	alice *people.Person
	name  string

	plain, sealed id.RoomID
	said          people.Said // something that can be edited
}

func newLife(s *scene.Scene, alice *people.Person, name string) *life {
	s.Reborn(name)
	return &life{s: s, alice: alice, name: name}
}

// begins starts the connector in a world in which something was said before.
func (l *life) begins() {
	l.plain = l.alice.Creates("Incident of " + l.name)
	before := l.alice.Says(l.plain, "Said before there was a bot, by "+l.name)
	l.alice.Says(l.plain, "An answer from before there was a bot", people.ReplyTo(before.Event))
	l.sealed = l.alice.Creates("War room of "+l.name, people.Encrypted())
	l.s.Starts()
	l.alice.Invites(l.plain, l.s.Bot)
	l.alice.Invites(l.sealed, l.s.Bot)
}

func (l *life) joined() bool {
	return l.alice.Membership(l.plain, l.s.Bot) == event.MembershipJoin && l.alice.Membership(l.sealed, l.s.Bot) == event.MembershipJoin
}

// talks has people say and send something in both rooms.
func (l *life) talks(when string) {
	first := l.alice.Says(l.sealed, fmt.Sprintf("Said to %s %s, in private", l.name, when))
	l.said = first
	l.alice.Says(l.plain, fmt.Sprintf("Said to %s %s, in the open", l.name, when))
	l.alice.Sends(l.sealed, people.Document("the-report-of-"+when+".pdf", l.name), "")
	l.alice.Says(l.sealed, fmt.Sprintf("And an answer %s to %s", when, l.name), people.ReplyTo(first.Event))
}

// passes leads a life to its end, or to the death that it was armed with.
func (l *life) passes() (died bool) {
	l.begins()
	if l.s.Dies(l.joined) {
		return true
	}
	l.talks("while-it-lives")
	if l.s.Dies(l.s.Arrived) {
		return true
	}
	// What has landed is changed by mutations: a message by its edit, a Channel's name.
	l.alice.Rewords(l.said, "Reworded for "+l.name)
	if l.s.Dies(l.s.Arrived) {
		return true
	}
	name := "Another name of " + l.name
	l.alice.Renames(l.plain, name)
	return l.s.Dies(func() bool {
		for _, channel := range l.s.Platform.Objects("Channel") {
			if strings.HasPrefix(channel.Text("name"), name) {
				return true
			}
		}
		return false
	})
}

// mortal has the next start be of the binary that can die; CRASH_AT or CRASH_LOG say how.
func mortal(t *testing.T, s *scene.Scene, setting, value string) {
	t.Helper()
	program, err := parts.BuildMortal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Program, s.Env[setting] = []string{program}, value
}

// immortal has the next starts be of the released binary again.
func immortal(s *scene.Scene) {
	s.Program = nil
	delete(s.Env, "CRASH_AT")
	delete(s.Env, "CRASH_LOG")
}

// delivers has the connector deliver by the broker, or by the platform's API.
func delivers(s *scene.Scene, api bool) {
	delete(s.Env, "CONNECTOR_QUEUE_PROTOCOL")
	if api {
		s.Env["CONNECTOR_QUEUE_PROTOCOL"] = "api"
	}
}

// moments are the places that a whole life passes, with how often it does.
func moments(t *testing.T, api bool, wanted ...string) map[string]int {
	t.Helper()
	passed := map[string]int{}
	t.Run(fmt.Sprintf("a life that is counted, api %t", api), func(t *testing.T) {
		s := scene.New(t, scene.Config{Synapse: true})
		delivers(s, api)
		log := filepath.Join(t.TempDir(), "moments")
		mortal(t, s, "CRASH_LOG", log)
		l := newLife(s, s.Town.Moves("alice"), "octavia")
		if l.passes() {
			t.Fatalf("it died of nothing:\n%s", s.Log())
		}
		s.Stops()
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			passed[strings.TrimSpace(string(line))]++
		}
	})
	for _, want := range append(wanted, "store: before the commit of", "store: after the commit of", "spool: synced", "homeserver: before", "homeserver: after") {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(passed)), func(place string) bool { return strings.HasPrefix(place, want) }) {
			t.Fatalf("nothing passed %q: %v", want, passed)
		}
	}
	return passed
}

// choose picks the moments to die at: in the long form the first passing of each place
// and one of its others, and what only lives pass that use the API; in the short one some
// of them, from all parts.
func choose(t *testing.T, chance *rand.Rand, passed, byAPI map[string]int) []moment {
	t.Helper()
	var all []moment
	for _, place := range slices.Sorted(maps.Keys(passed)) {
		all = append(all, moment{place: place, nth: 1})
		if n := passed[place]; n > 1 && *long {
			all = append(all, moment{place: place, nth: 2 + chance.IntN(n-1)})
		}
	}
	for _, place := range slices.Sorted(maps.Keys(byAPI)) {
		if passed[place] == 0 {
			all = append(all, moment{place: place, nth: 1, api: true})
		}
	}
	chance.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	if *long {
		slices.SortFunc(all, compareMoments)
		return shared(t, all)
	}
	const each = 2
	taken := map[string]int{}
	return slices.DeleteFunc(all, func(m moment) bool {
		part, _, _ := strings.Cut(m.place, ":")
		taken[part]++
		return taken[part] > each
	})
}

// shared is the share of the moments that was asked for: every n-th one.
func shared(t *testing.T, all []moment) []moment {
	t.Helper()
	var which, of int
	if n, err := fmt.Sscanf(*share, "%d/%d", &which, &of); err != nil || n != 2 || which < 1 || which > of {
		t.Fatalf("-share=%s: want such as 2/6", *share)
	}
	var mine []moment
	for i := which - 1; i < len(all); i += of {
		mine = append(mine, all[i])
	}
	return mine
}

func TestADeathAtAnyWriteOrCallLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	chance := chance(t)
	passed := moments(t, false, "platform: before ReadBack", "platform: after ReadBack", "broker: confirmed")
	var byAPI map[string]int
	if *long && !t.Failed() {
		byAPI = moments(t, true, "platform: before BundlePush", "platform: after BundlePush")
	}
	if t.Failed() {
		return
	}
	chosen := choose(t, chance, passed, byAPI)
	t.Logf("a life passes %d places; %d deaths", len(passed), len(chosen))
	report := newReport()
	t.Run("deaths", func(t *testing.T) {
		const lives = 16 // in one world: comparing costs more the more was said there
		for part := range slices.Chunk(chosen, max(1, min(lives, (len(chosen)+1)/2))) {
			t.Run(part[0].String(), func(t *testing.T) {
				t.Parallel()
				s := scene.New(t, scene.Config{Synapse: true})
				alice := s.Town.Moves("alice")
				for i, m := range part {
					report.add(m, dies(t, s, newLife(s, alice, fmt.Sprintf("octavia%d", i)), m))
				}
			})
		}
	})
	t.Logf("\n%s", report)
	if died := report.died(); died*4 < len(chosen)*3 {
		t.Errorf("only %d of %d died: the others show nothing", died, len(chosen))
	}
}

// dies has a life end at a moment, goes on with the released binary, and gives how
// long it then took until all was there; negative where it did not die.
func dies(t *testing.T, s *scene.Scene, l *life, m moment) time.Duration {
	t.Helper()
	delivers(s, m.api)
	mortal(t, s, "CRASH_AT", m.String())
	died := l.passes() || s.Ended() // the last call of a life may be its death
	took := time.Duration(-1)
	if died {
		immortal(s)
		started := time.Now()
		s.Starts()
		s.Until("the bot is in both rooms", l.joined)
		l.talks("after-its-death")
		s.Receives()
		took = time.Since(started)
		s.Stops()
	}
	immortal(s)
	s.Audits()
	if t.Failed() {
		t.Fatalf("after a death at %s", m)
	}
	return took
}

// TestTheReleasedBinaryDiesOfNothing holds what kills in the tests to the build that is made for them.
func TestTheReleasedBinaryDiesOfNothing(t *testing.T) {
	t.Parallel()
	for build, want := range map[string]struct {
		of  func() (string, error)
		has bool
	}{
		"released": {func() (string, error) { return parts.BuildConnector(t.Context()) }, false},
		"mortal":   {func() (string, error) { return parts.BuildMortal(t.Context()) }, true},
	} {
		path, err := want.of()
		if err != nil {
			t.Fatal(err)
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(binary, []byte("CRASH_AT")); got != want.has {
			t.Errorf("the %s binary knows CRASH_AT: %v", build, got)
		}
	}
}

// compareMoments orders moments by place.
func compareMoments(a, b moment) int {
	return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.nth, b.nth))
}
