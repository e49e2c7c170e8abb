package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// lacks gives what missing lists of posts, as "event reason".
func lacks(t *testing.T, s *scene.Scene, args ...string) (list []string) {
	t.Helper()
	for line := range strings.Lines(s.Commands(append([]string{"missing", "--json"}, args...)...).Ends(0)) {
		var m struct {
			What   string `json:"what"`
			Event  string `json:"event_id"`
			Reason string `json:"reason"`
			Cure   string `json:"cure"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if m.What == "post" {
			list = append(list, m.Event+" "+m.Reason)
		}
		if m.What == "post" && !strings.Contains(m.Cure, "matrix-connector requeue --reason refused") {
			t.Errorf("the cure is %q", m.Cure)
		}
	}
	slices.Sort(list)
	return list
}

// What the platform refuses is listed by event, by the running connector's store and by that
// of one which has stopped; when the cause is cured it is tried once more, and lands.
func TestWhatIsMissingIsListedAndTriedOnceMore(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Said while the platform takes what comes")
	s.Receives()
	isMessage := func(it openctitest.Item) bool { return it.Type == "media-content" }
	refusal := s.Platform.Faults().Refuse(isMessage, 0, openctitest.ItemError{Name: "UNSUPPORTED_ERROR", Message: "no such type"})
	var want []string
	for _, text := range []string{"Said while it refuses", "Said once more while it refuses"} {
		want = append(want, alice.Says(room, text).Event.String()+" refused: UNSUPPORTED_ERROR")
	}
	slices.Sort(want)
	refuses := func(times int) {
		s.Until("it is refused", func() bool { return strings.Count(s.Run().Stderr.String(), "the platform refused an object") == times })
		s.Until("it is given up", func() bool { return len(lacks(t, s)) == 2 }) // the line comes before the row
	}
	refuses(2)
	if said := s.Commands("status").Ends(0); !strings.Contains(said, " 2 dead\n") || !strings.Contains(said, "2 messages: refused by the platform (UNSUPPORTED_ERROR)") {
		t.Errorf("status says:\n%s", said)
	}
	if got := lacks(t, s, "--room", room.String()); !slices.Equal(got, want) {
		t.Errorf("missing: %q, want %q", got, want)
	}
	if said := s.Commands("requeue", "--reason", "unconfirmed").Ends(0); !strings.Contains(said, "Nothing was found") {
		t.Errorf("another reason: %s", said)
	}
	// Without the cure it is refused again, and nothing is doubled by that.
	if said := s.Commands("requeue", "--reason", "refused").Ends(0); !strings.Contains(said, "Tried once more: 2 messages.") {
		t.Errorf("before the cure: %s", said)
	}
	refuses(4)
	refusal.Lift()
	s.Stops()
	if got := lacks(t, s); !slices.Equal(got, want) {
		t.Errorf("missing, with no connector running: %q, want %q", got, want)
	}
	if said := s.Commands("requeue", "--all").Ends(0); !strings.Contains(said, "Tried once more: 2 messages.") {
		t.Errorf("with no connector running: %s", said)
	}
	s.Starts()
	s.Receives()
	if got := lacks(t, s); len(got) != 0 {
		t.Errorf("afterwards: %q", got)
	}
}
