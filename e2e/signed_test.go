package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// A room of people whose Element gives keys to signed devices alone is dark until the bot's
// device is signed, by login with the recovery key. From then on it is read; and another session
// of the bot's account, which was signed all the time, gives the keys of what was said before.
func TestARoomIsDarkUntilTheDeviceIsSigned(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	owner := s.Town.OpensElement("octi")
	recovery := owner.SetsUpRecovery()
	s.Secret(recovery, "the recovery key")
	dana := s.Town.MovesWithElement("dana", people.OnlySigned())
	s.Starts()
	s.Logs("rooms may stay dark", "MATRIX_RECOVERY_KEY")
	room := meets(s, dana)
	dark := dana.Says(room, "What is said before anybody trusts the bot")
	s.NotImported(dark.Event)
	s.Logs("somebody withholds room keys", "m.unverified")
	check := s.Commands("check").Ends(0)
	for _, want := range []string{"is not cross-signed", "set MATRIX_RECOVERY_KEY to the recovery key of", "withheld from the bot by " + dana.ID.String() + " (m.unverified"} {
		if !strings.Contains(check, want) {
			t.Errorf("check does not say %q:\n%s", want, check)
		}
	}
	status := s.Commands("status").Ends(0)
	for _, want := range []string{
		"the bot's device is not signed", "NOT SIGNED: ", "Who withholds room keys\n  " + dana.ID.String() + ": m.unverified",
		"the sender's client gives keys to verified devices only (withheld, m.unverified)", "cure: get the device signed: set MATRIX_RECOVERY_KEY", room.String(),
	} {
		if !strings.Contains(status, want) {
			t.Errorf("status does not say %q:\n%s", want, status)
		}
	}
	missing := s.Commands("missing", "--room", room.String(), "--reason", "m.unverified").Ends(0)
	if !strings.Contains(missing, dark.Event.String()+"  "+dana.ID.String()) || !strings.Contains(missing, "cure: get the device signed") {
		t.Errorf("missing says:\n%s", missing)
	}

	s.Stops()
	s.Imported(dark.Event)
	login := s.Commands("login")
	login.Types(recovery)
	if out := login.Ends(0); !strings.Contains(out, "has signed the device") || !strings.Contains(out, "key backup is open") {
		t.Errorf("login says:\n%s", out)
	}
	s.Starts()
	dana.SeesSigned(s.Bot)
	dana.Says(room, "What is said once the signature is there")
	s.Receives()
}

// meets has somebody invite the bot into an encrypted room, in which nothing was said.
func meets(s *scene.Scene, dana *people.Element) id.RoomID {
	room := dana.Creates("War room", people.Encrypted())
	dana.InvitesWithoutHistory(room, s.Bot)
	dana.Sees(room, s.Bot)
	return room
}

// A connector whose account has no identity makes one where its recovery key has a place to
// go. What was said before is read with the key file that somebody exports.
func TestAKeyFileMakesTheDarkReadable(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	dana := s.Town.MovesWithElement("dana", people.OnlySigned())
	s.Starts()
	s.Logs("rooms may stay dark", "MATRIX_RECOVERY_KEY_OUT")
	room := meets(s, dana)
	dark := dana.Says(room, "What is said before anybody trusts the bot")
	s.NotImported(dark.Event)
	s.Logs("somebody withholds room keys", "m.unverified")

	s.Stops()
	s.Env["MATRIX_RECOVERY_KEY_OUT"] = filepath.Join(s.Dir, "recovery-key.txt")
	s.Starts()
	s.Logs("the device is signed")
	recovery, err := os.ReadFile(s.Env["MATRIX_RECOVERY_KEY_OUT"])
	if err != nil {
		t.Fatal(err)
	}
	s.Secret(strings.TrimSpace(string(recovery)), "the recovery key")
	dana.SeesSigned(s.Bot)
	dana.Says(room, "What is said once the signature is there")
	s.Receives()

	file := filepath.Join(s.Dir, "element-keys.txt")
	if err := os.WriteFile(file, dana.ExportsKeys("a passphrase for keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Secret("a passphrase for keys", "a passphrase")
	s.Imported(dark.Event)
	keys := s.Commands("keys", "import", file)
	keys.Types("a passphrase for keys")
	keys.Ends(0)
	s.Receives()
}

// emoji are the names that the command shows.
func emoji(out string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^    \S+  (.+)$`).FindAllStringSubmatch(out, -1) {
		names = append(names, m[1])
	}
	return names
}

// compares has both persons compare, and say that they see the same.
func compares(t *testing.T, command *scene.Command, theirs *people.Verification) {
	t.Helper()
	want := theirs.Emoji()
	command.Shows("just the same, in this order?")
	if diff := cmp.Diff(want, emoji(command.Stdout.String())); diff != "" {
		t.Fatalf("the emoji differ (-Element +ours):\n%s", diff)
	}
	command.Types("yes")
	theirs.Confirms()
	theirs.Succeeds()
	if out := command.Ends(0); !strings.Contains(out, "Verified") {
		t.Errorf("the command ends with:\n%s", out)
	}
}

// begin is how a verification comes about, up to where the emoji are shown by themselves.
type begin func(s *scene.Scene, dana *people.Element, room id.RoomID) (*scene.Command, *people.Verification)

// Whoever begins, and whichever way it goes.
var beginnings = map[string]begin{
	"from their client in the room": func(s *scene.Scene, dana *people.Element, room id.RoomID) (*scene.Command, *people.Verification) {
		asked := dana.Verifies(s.Bot, room)
		s.Logs("somebody asks to verify the bot", dana.ID.String())
		command := s.Commands("verify")
		asked.Starts()
		return command, asked
	},
	"from here by their devices": func(s *scene.Scene, dana *people.Element, _ id.RoomID) (*scene.Command, *people.Verification) {
		command := s.Commands("verify", dana.ID.String())
		asked := dana.IsAskedBy(s.Bot)
		asked.Accepts()
		return command, asked // we begin with the emoji
	},
	"from here in the room": func(s *scene.Scene, dana *people.Element, room id.RoomID) (*scene.Command, *people.Verification) {
		command := s.Commands("verify", dana.ID.String(), "--room", room.String())
		asked := dana.IsAskedBy(s.Bot)
		asked.Accepts()
		asked.Starts()
		return command, asked
	},
}

// Element can be told to give keys to verified people alone. Their rooms are dark until both
// have compared emoji.
//
// Dialogues that depend on each answer play on Synapse: several at once, Dendrite without
// cgo stops to answer now and then.
func TestARoomIsDarkUntilThePersonHasVerifiedTheBot(t *testing.T) {
	t.Parallel()
	for name, begins := range beginnings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, scene.Config{Synapse: true})
			dana := s.Town.MovesWithElement("dana", people.OnlyTrusted())
			s.Env["MATRIX_RECOVERY_KEY_OUT"] = filepath.Join(s.Dir, "recovery-key.txt")
			s.Starts()
			s.Logs("the device is signed")
			room := meets(s, dana)
			dana.SeesSigned(s.Bot)
			dark := dana.Says(room, "What is said before they have met")
			s.NotImported(dark.Event)
			s.Logs("somebody withholds room keys", "m.unverified", "verify")
			command, theirs := begins(s, dana, room)
			compares(t, command, theirs)
			dana.SeesVerified(s.Bot)
			dana.Says(room, "What is said after they have compared")
			s.Receives()
		})
	}
}

// Some clients encrypt what they say of a verification in an encrypted room. It is read if
// everything else of theirs is; and the bot, who is asked, begins if they do not.
func TestASealedVerification(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	dana := s.Town.MovesWithElement("dana", people.OnlySigned(), people.SealedVerifications())
	s.Env["MATRIX_RECOVERY_KEY_OUT"] = filepath.Join(s.Dir, "recovery-key.txt")
	s.Starts()
	s.Logs("the device is signed")
	room := meets(s, dana)
	dana.SeesSigned(s.Bot)
	dana.Says(room, "What is said before they have met")
	s.Receives()
	command := s.Commands("verify")
	command.Shows("Waiting for somebody")
	compares(t, command, dana.Verifies(s.Bot, room))
	dana.SeesVerified(s.Bot)
	dana.Isolates(people.OnlyTrustedDevices)
	dana.Discards(room)
	dana.Says(room, "What only those may hear whom dana has verified")
	s.Receives()
}

// Whoever sees other emoji is not verified, and gets no keys.
func TestEmojiThatDifferOpenNothing(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	dana := s.Town.MovesWithElement("dana", people.OnlyTrusted())
	s.Env["MATRIX_RECOVERY_KEY_OUT"] = filepath.Join(s.Dir, "recovery-key.txt")
	s.Starts()
	s.Logs("the device is signed")
	room := meets(s, dana)
	dana.SeesSigned(s.Bot)
	command := s.Commands("verify", dana.ID.String())
	asked := dana.IsAskedBy(s.Bot)
	asked.Accepts()
	asked.Starts()
	command.Shows("just the same, in this order?")
	command.Types("no")
	if code, by := asked.Fails(); code != "m.mismatched_sas" || by != s.Bot {
		t.Errorf("dana hears %s from %s", code, by)
	}
	command.Ends(1)
	if dana.Trusts(s.Bot).Verified {
		t.Error("dana holds the bot for verified")
	}
	dark := dana.Says(room, "What an unverified bot does not get")
	s.NotImported(dark.Event)
	s.Logs("somebody withholds room keys", "m.unverified")
}

// Without the recovery key it is another session of the bot's account, verified by emoji,
// that signs the device.
func TestAnotherSessionOfTheBotSignsTheDevice(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	owner := s.Town.OpensElement("octi")
	dana := s.Town.MovesWithElement("dana", people.OnlySigned())
	s.Starts()
	s.Logs("rooms may stay dark")
	command := s.Commands("verify", s.Bot.String())
	asked := owner.IsAskedBy(s.Bot)
	asked.Accepts()
	compares(t, command, asked)
	s.Logs("the device is signed")
	room := meets(s, dana)
	dana.SeesSigned(s.Bot)
	dana.Says(room, "What is said once the signature is there")
	s.Receives()
}

// Whoever invites the bot into a room shares what was said there (MSC4268).
func TestTheHistoryComesWithTheInvite(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	dana := s.Town.MovesWithElement("dana", people.OnlySigned())
	s.Env["MATRIX_RECOVERY_KEY_OUT"] = filepath.Join(s.Dir, "recovery-key.txt")
	s.Starts()
	s.Logs("the device is signed")
	meets(s, dana)
	dana.SeesSigned(s.Bot)
	room := dana.Creates("Back room", people.Encrypted())
	dana.Says(room, "What was said before the bot came")
	dana.Says(room, "And some more of it")
	dana.Invites(room, s.Bot)
	dana.Sees(room, s.Bot)
	dana.Says(room, "What is said since")
	s.Receives()
}
