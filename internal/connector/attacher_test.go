package connector_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto/attachment"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// pictures records messages with a picture each, lets them land, and fetches the
// pictures.
func (s *scene) pictures(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.hears(den, alice, map[string]any{"msgtype": "m.image", "body": name + ".png", "url": "mxc://example.org/" + name})
		s.waits(time.Second)
	}
	s.delivers()
	wanted, err := s.ledger.Wanted(s.ctx, len(names))
	if err != nil || len(wanted) != len(names) {
		s.t.Fatalf("wanted %v, %v", wanted, err)
	}
	for _, a := range wanted {
		key := attachment.NewEncryptedFile()
		cipher := []byte(a.File.Name)
		key.EncryptInPlace(cipher)
		entry, err := s.store.Spool().Create()
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := entry.Write(cipher); err != nil {
			s.t.Fatal(err)
		}
		if a.Spool, err = entry.Commit(); err != nil {
			s.t.Fatal(err)
		}
		a.SpoolKey, a.Bytes, a.MediaType = marshal(s.t, key), int64(len(a.File.Name)), "image/png"
		if err := s.ledger.Fetched(s.ctx, a); err != nil {
			s.t.Fatal(err)
		}
	}
}

// attaches runs turns until there is nothing to do.
func (s *scene) attaches() {
	s.t.Helper()
	attacher := connector.NewAttacher(s.ledger, s.store, s.sink, s.mapper)
	for range 20 {
		more, err := attacher.Turn(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		if !more {
			return
		}
	}
	s.t.Fatal("attaching does not come to rest")
}

func (s *scene) attachments() map[string]int {
	s.t.Helper()
	counts, err := s.ledger.Counts(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return counts.Attachments
}

func (s *scene) spooled() int {
	s.t.Helper()
	files, err := os.ReadDir(filepath.Join(s.store.Path(), "spool"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(files)
}

func (s *scene) attached() string {
	var all []string
	for _, files := range s.sink.files {
		all = append(all, files...)
	}
	return strings.Join(all, ", ")
}

func TestAFileWhosePostIsDamagedOnDiskHoldsUpNoOther(t *testing.T) {
	s := newScene(t)
	s.pictures("one", "two")
	s.exec("UPDATE ledger_event SET body_sealed = zeroblob(40) WHERE event = '$event1'")
	s.attaches()
	if diff := cmp.Diff(map[string]int{"lost": 1, "attached": 1}, s.attachments()); diff != "" {
		t.Error(diff)
	}
	if got := s.attached(); got != "two.png image/png 7" {
		t.Errorf("attached: %s", got)
	}
	if n := s.spooled(); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
}

func TestAFileThatThePlatformRefusesLeavesTheSpool(t *testing.T) {
	s := newScene(t)
	s.pictures("one")
	s.sink.attachErr = &opencti.Error{Class: opencti.Permanent, Op: "ImportPush", Status: 413, Code: "too_large"}
	s.attaches()
	if diff := cmp.Diff(map[string]int{"refused": 1}, s.attachments()); diff != "" {
		t.Error(diff)
	}
	if n := s.spooled(); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
}
