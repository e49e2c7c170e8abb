package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// Every command that has to do with keys, each once as it should be and once with what does
// not fit. At its end, as at that of every story, the scene searches all that was written for
// all secrets that it knows; this one makes sure that it knows those of every sort.
func TestNoSecretIsWrittenAnywhere(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	o := watched(t, s)
	owner := s.Town.OpensElement("octi")
	recovery := owner.SetsUpRecovery()
	s.Secret(recovery, "the recovery key")
	dana := s.Town.MovesWithElement("dana", people.OnlySigned())
	// From files, so that the environment shows none of them.
	s.Env["MATRIX_STORE_KEY"] = "the store is sealed with these words"
	for _, name := range []string{"MATRIX_PASSWORD", "MATRIX_STORE_KEY", "OPENCTI_TOKEN"} {
		path := filepath.Join(s.Dir, strings.ToLower(name))
		if err := os.WriteFile(path, []byte(s.Env[name]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		delete(s.Env, name)
		s.Env[name+"_FILE"] = path
	}
	types := func(code int, words string, args ...string) {
		command := s.Commands(args...)
		command.Types(words)
		command.Ends(code)
		if words != recovery {
			s.Secret(words, "what was typed")
		}
	}

	types(1, "EsTb 1111 2222 3333 4444 5555 6666 7777 8888 9999 aaaa bbbb", "login")
	s.Starts()
	s.Logs("rooms may stay dark")
	room := meets(s, dana)
	dark := dana.Says(room, "What is said before anybody trusts the bot")
	s.NotImported(dark.Event)
	s.Logs("somebody withholds room keys")
	s.Stops()
	types(0, recovery, "login")

	s.Starts()
	dana.SeesSigned(s.Bot)
	dana.Says(room, "What is said once the signature is there")
	file := filepath.Join(s.Dir, "element-keys.txt")
	if err := os.WriteFile(file, dana.ExportsKeys("the passphrase of a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	types(1, "not the passphrase of it", "keys", "import", file)
	s.Imported(dark.Event)
	types(0, "the passphrase of a file", "keys", "import", file)
	types(0, "the passphrase of another", "keys", "export", filepath.Join(s.Dir, "our-keys.txt"))
	command := s.Commands("verify", dana.ID.String())
	asked := dana.IsAskedBy(s.Bot)
	asked.Accepts()
	asked.Starts()
	compares(t, command, asked)
	s.Commands("check").Ends(0)
	s.Commands("health").Ends(0)
	s.Receives()
	o.becomesReady()

	want := []string{
		"a password", "a private key of the identity", "a room key", "an access token", "the broker's password",
		"the key of the crypto tables", "the key of the key backup", "the platform's token", "the recovery key", "the store's key", "what was typed",
	}
	if diff := cmp.Diff(want, s.Kinds()); diff != "" {
		t.Errorf("the scene looks for other secrets (-want +got):\n%s", diff)
	}

	// A second device, which reads its recovery key and exports all that was said.
	s.Stops()
	s.Env["MATRIX_STORE_PATH"] = filepath.Join(s.Dir, "another store")
	s.Env["MATRIX_RECOVERY_KEY_FILE"] = filepath.Join(s.Dir, "recovery-key.txt")
	if err := os.WriteFile(s.Env["MATRIX_RECOVERY_KEY_FILE"], []byte(recovery), 0o600); err != nil {
		t.Fatal(err)
	}
	export := s.Commands("export", "--output", filepath.Join(s.Dir, "exported"))
	export.Ends(0)
	if files, err := filepath.Glob(filepath.Join(s.Dir, "exported", "*")); err != nil || len(files) == 0 {
		t.Errorf("nothing is exported: %v", err)
	}
}

// The search is worth nothing where it does not find what is there.
func TestASecretThatIsWrittenIsFound(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "What nobody but those in the room may read")
	s.Receives()
	for name, text := range map[string]string{
		"store/note":       "What nobody but those in the room may read",
		"store/spool/note": s.Env["MATRIX_PASSWORD"],
		"token.txt":        s.Env["OPENCTI_TOKEN"],
	} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		found := s.Overheard()
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, name) }) {
			t.Errorf("%s is not found: %q", name, found)
		}
		if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
