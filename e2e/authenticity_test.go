package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// How sure it is that a message comes from whom it says stands in its description, as far as
// it is less than certain. Nobody's message is lost to who shows it as his own, although that
// copy is met first: what was said while the bot was away is read backwards.
func TestTheDescriptionSaysHowSureTheSenderIs(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	dana := s.Town.MovesWithElement("dana", people.OnlySigned())
	alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
	s.Env["MATRIX_RECOVERY_KEY_OUT"] = filepath.Join(s.Dir, "recovery-key.txt")
	s.Starts()
	s.Logs("the device is signed")
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Invites(room, dana.ID)
	dana.Joins(room)
	alice.Invites(room, mallory.ID)
	mallory.Joins(room)
	dana.SeesSigned(s.Bot)

	want := map[id.EventID]string{}
	want[dana.Says(room, "From a device that its owner has signed").Event] = ""
	want[alice.Says(room, "From a device that nobody has signed").Event] = "sent by a device that its owner has not verified"
	want[alice.SaysInTheClear(room, "Slipped out without any encryption").Event] = "sent without encryption in an encrypted room"
	late := alice.SaysWithoutKey(room, s.Bot, "Read with the key of a file")
	want[late.Event] = "not proven. The key came from a backup, a file or another device"
	file := filepath.Join(s.Dir, "keys.txt")
	if err := os.WriteFile(file, alice.ExportsKeys("a passphrase for keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := s.Commands("keys", "import", file)
	keys.Types("a passphrase for keys")
	keys.Ends(0)
	s.Receives()

	s.Stops()
	victim := alice.Says(room, "Said while the bot is away, and stolen")
	want[victim.Event] = "sent by a device that its owner has not verified"
	for i := range 110 { // more than one answer of /sync holds
		alice.Says(room, fmt.Sprintf("What lies between the two, part %d", i+1))
	}
	want[mallory.ShowsAsOwn(victim).Event] = "in doubt. The encryption key belongs to another user than the sender"
	s.Starts()
	s.Receives()

	for e, doubt := range want {
		described := s.Message(e).Text("x_opencti_description")
		if doubt == "" && strings.Contains(described, "Authenticity") || !strings.Contains(described, doubt) {
			t.Errorf("%s is described as %q, want %q", e, described, doubt)
		}
	}
}
