package check_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// A file system that is away answers no read, and no context reaches it: here a
// pipe that nobody writes to.
func TestAVolumeThatHangsHoldsNothingElseUp(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	delete(s.env, "MATRIX_STORE_KEY")
	t.Run("an earlier start", func(t *testing.T) {
		inner := *s
		inner.t = t
		inner.starts()
	})
	key := filepath.Join(s.env["MATRIX_STORE_PATH"], "store.key")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(key, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end, err := os.OpenFile(key, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Error(err)
		}
		_ = end.Close()
	})
	s.patience = 500 * time.Millisecond
	r := s.checks()
	r.is(check.Store, check.Failed, "no answer", "MATRIX_STORE_PATH")
	r.is(check.Homeserver, check.OK)
	r.is(check.Login, check.Skipped, "the store cannot be read") // a device may be in it
	r.is(check.Platform, check.OK)
	if n := len(s.homeserver.DeviceIDs(s.bot)); n != 1 {
		t.Errorf("the bot has %d devices, want the stored one", n)
	}
}
