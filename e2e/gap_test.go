package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestWhatWasSaidWhileTheBotWasAwayIsFilledIn(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	open := joined(s, alice, "Incident 7")
	sealed := joined(s, alice, "War room", people.Encrypted())
	alice.Says(open, "The last one before the pause")
	alice.Says(sealed, "The last one before the pause")
	s.Receives()
	s.Stops()
	for i := range 120 {
		alice.Says(open, fmt.Sprintf("While you were away, part %d", i+1))
		alice.Says(sealed, fmt.Sprintf("While you slept, part %d", i+1))
	}
	started := time.Now()
	run := s.Starts()
	s.Receives()
	peak, err := run.PeakMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("240 messages, half of them encrypted, were on the platform %.1f s after the start; peak memory %d MiB", time.Since(started).Seconds(), peak>>20)
}
