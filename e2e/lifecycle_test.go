package e2e_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestTheDeviceSurvivesRestarts(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	for start := range 3 {
		if start > 0 {
			s.Starts()
		}
		alice.Says(room, fmt.Sprintf("Something to read after start %d", start+1))
		s.Receives()
		if devices := alice.Devices(s.Bot); len(devices) != 1 {
			t.Fatalf("after start %d the bot has the devices %v, want one", start+1, devices)
		}
		s.Stops()
	}
}

func TestSIGTERMDrainsAndTheRestIsNotLost(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	for i := range 30 {
		alice.Says(room, fmt.Sprintf("Message number %d of thirty", i+1))
	}
	s.Stops() // within its bound, with exit code 0
	s.Starts()
	s.Receives()
}

func TestASecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	run := s.Starts()
	room := joined(s, alice, "Incident 7")
	// The platform opens no more works: draining waits for its answer.
	silence := s.Platform.Faults().FailCalls("workAdd", 0, openctitest.Silence)
	alice.Says(room, "This has to wait for another day")
	s.Until("a batch is on its way", func() bool { return silence.Hits() > 0 })
	if err := run.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.Logs("stopping")
	signalled := time.Now()
	if err := run.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := run.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(signalled); took > 3*time.Second {
		t.Errorf("after the second signal it took %s to stop", took)
	}
	silence.Lift()
	s.Starts()
	s.Receives()
}

func TestASecondConnectorOfTheSameDeviceWaitsUntilTheFirstHasEnded(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	first := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "One of us is enough for this")
	s.Receives()
	second := s.Starts()
	s.Logs("another process acts as this device")
	alice.Says(room, "The first one goes on undisturbed")
	s.Receives()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	alice.Says(room, "The second one takes over from here")
	s.Receives()
	select {
	case <-second.Done():
		t.Error("the second connector ended")
	default:
	}
}
