package soak_test

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/exported"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// folderMoments are where an export may die that ends by itself.
func folderMoments() []moment {
	var all []moment
	for _, place := range []string{
		"directory: written", "directory: synced", "directory: renamed", "directory: folders synced",
		"store: after the commit of ledger.(*Ledger).Send", "store: before the commit of connector.(*deliverer).conclude",
	} {
		for nth := 1; nth <= 3; nth++ {
			all = append(all, moment{place: place, nth: nth})
		}
	}
	return all
}

func TestADeathAtAnyStepOfAnExportLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	all := folderMoments()
	if !*long {
		chance := chance(t)
		chance.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		all = all[:5]
	}
	s := scene.New(t, scene.Config{Synapse: true})
	s.Offline()
	for _, name := range []string{"OPENCTI_URL", "OPENCTI_TOKEN", "CONNECTOR_ID", "MQ_HOST", "MQ_PORT"} {
		delete(s.Env, name) // an export needs no platform
	}
	alice := s.Town.Moves("alice")
	out := filepath.Join(s.Dir, "out")
	s.Starts("export", "--output", out, "--follow")
	rooms := []id.RoomID{joined(s, alice, "Incident 7"), joined(s, alice, "War room", people.Encrypted())}
	s.Stops()
	died := 0
	for n, m := range all {
		said := alice.Says(rooms[n%2], fmt.Sprintf("Said before death number %d of the export", n))
		alice.Says(rooms[1], fmt.Sprintf("And something else before death number %d", n))
		alice.Sends(rooms[(n+1)%2], people.Document(fmt.Sprintf("sent-before-death-number-%d.pdf", n), "dead"), "", people.ReplyTo(said.Event))
		mortal(t, s, "CRASH_AT", m.String())
		run := s.Starts("export", "--output", out)
		ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
		code, err := run.Wait(ctx)
		cancel()
		must(t, err)
		if code < 0 {
			died++
		}
		s.Failed() // as it was to
		immortal(s)
		s.Starts("export", "--output", out)
		s.Ends()
		whole(t, s, out, m)
	}
	t.Logf("%d of %d died", died, len(all))
	if died*4 < len(all)*3 {
		t.Errorf("only %d of %d died: the others show nothing", died, len(all))
	}
}

// whole compares an exported folder with what was said.
func whole(t *testing.T, s *scene.Scene, out string, m moment) {
	t.Helper()
	bundles, err := exported.Read(out) // fails over a file that is not whole
	must(t, err)
	messages, err := exported.Messages(bundles) // fails over a message that stands there twice
	must(t, err)
	for _, one := range s.Town.Said() {
		message, ok := messages[one.Event]
		if !ok {
			t.Fatalf("after a death at %s: %s was not exported", m, one.Event)
		}
		if !strings.Contains(message.Text("content"), one.Text) {
			t.Errorf("after a death at %s: content %q, want %q", m, message.Text("content"), one.Text)
		}
		files, err := message.Files(out)
		must(t, err)
		if one.File != nil && (len(files) != 1 || files[0].SHA256 != one.File.SHA256) {
			t.Errorf("after a death at %s: files %+v, want one with sha256 %s", m, files, one.File.SHA256)
		}
	}
	if got, want := len(messages), len(s.Town.Said()); got != want {
		t.Errorf("after a death at %s: %d messages, want %d", m, got, want)
	}
	must(t, filepath.WalkDir(out, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasPrefix(entry.Name(), ".writing-") {
			t.Errorf("after a death at %s: %s is left behind", m, path)
		}
		return err
	}))
}
