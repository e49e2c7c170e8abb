package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/exported"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// A connector that starts unattended makes its identity and leaves the recovery key where
// the operator wants it. With that key a new device is signed, and reads all that the lost
// one had keys of.
func TestALostStoreCostsNoKeys(t *testing.T) {
	for name, config := range map[string]scene.Config{"on Dendrite": {}, "on Synapse": {Synapse: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, config)
			s.Offline()
			alice := s.Town.Moves("alice")
			keyFile := filepath.Join(s.Dir, "recovery-key.txt")
			s.Env["MATRIX_RECOVERY_KEY_OUT"] = keyFile
			s.Starts("export", "--output", filepath.Join(s.Dir, "first"), "--follow")
			room := joined(s, alice, "War room", people.Encrypted())
			s.Logs("the device is signed")
			alice.SharesWithSignedDevices()
			var said []people.Said
			for _, text := range []string{"What is said while the store is there", "And some more of it"} {
				said = append(said, alice.Says(room, text))
				alice.RenewsRoomKey(room)
			}
			s.Logs(`"/_matrix/client/v3/room_keys/keys"`, `"status":200`)
			s.Stops()

			text, err := os.ReadFile(keyFile)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the recovery key can be read by others: %v, %v", info.Mode(), err)
			}
			s.Secret(strings.TrimSpace(string(text)), "the recovery key")
			delete(s.Env, "MATRIX_RECOVERY_KEY_OUT")
			s.Env["MATRIX_RECOVERY_KEY_FILE"] = keyFile
			s.Env["MATRIX_STORE_PATH"] = filepath.Join(s.Dir, "another store")
			out := filepath.Join(s.Dir, "second")
			second := s.Starts("export", "--output", out)
			s.Ends()
			if !strings.Contains(second.Stderr.String(), "the device is signed") {
				t.Error("the second device is not signed")
			}
			bundles, err := exported.Read(out)
			if err != nil {
				t.Fatal(err)
			}
			messages, err := exported.Messages(bundles)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range said {
				if m, ok := messages[one.Event]; !ok || m.Text("content") != one.Text {
					t.Errorf("%s was not read with a key from the backup", one.Event)
				}
			}
		})
	}
}
