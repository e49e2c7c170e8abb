package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestAnAccessTokenOfItsOwnTakesThePlaceOfThePassword(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	delete(s.Env, "MATRIX_PASSWORD")
	s.Env["MATRIX_ACCESS_TOKEN"] = s.Town.LogsIn(s.Bot.Localpart())
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Read with a token instead of a password")
	s.Receives()
	s.Stops()
	s.Starts()
	alice.Says(room, "And read again after a restart with it")
	s.Receives()
	if devices := alice.Devices(s.Bot); len(devices) != 1 {
		t.Errorf("the bot has the devices %v, want the token's alone", devices)
	}
}

func TestATokenOfAnotherClientsDeviceIsRefused(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	carol := s.Town.Moves("carol")
	delete(s.Env, "MATRIX_PASSWORD")
	s.Env["MATRIX_USER_ID"] = carol.ID.String()
	s.Env["MATRIX_ACCESS_TOKEN"] = carol.Token()
	refused(t, s, carol.Token(), "the device already has the keys of another client", "set MATRIX_PASSWORD instead")
}

func TestAWrongPasswordEndsTheStartWithItsCure(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	s.Env["MATRIX_PASSWORD"] = "certainly not the password"
	refused(t, s, s.Env["MATRIX_PASSWORD"], "MATRIX_PASSWORD")
}

// refused starts a connector that has to end by itself, with a log that says why
// and what to do, and never the secret.
func refused(t *testing.T, s *scene.Scene, secret string, says ...string) {
	t.Helper()
	run := s.Starts()
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	code, err := run.Wait(ctx)
	if err != nil || code != 1 {
		t.Errorf("ended with %d, %v; want 1", code, err)
	}
	log := run.Stderr.String()
	for _, what := range says {
		if !strings.Contains(log, what) {
			t.Errorf("the log does not say %q:\n%s", what, log)
		}
	}
	if strings.Contains(log, secret) {
		t.Errorf("the log holds the secret:\n%s", log)
	}
	s.Failed()
}
