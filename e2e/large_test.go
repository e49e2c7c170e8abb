package e2e_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

func TestAGibibyteOfAttachmentCostsNoMemory(t *testing.T) {
	t.Parallel()
	const gibibyte = 1 << 30
	s := scene.New(t, scene.Config{MaxUpload: 2 * gibibyte})
	alice := s.Town.Moves("alice")
	s.Env["MATRIX_ATTACHMENT_MAX_SIZE"] = "2GiB"
	run := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "A large file is on its way to you")
	s.Receives()
	before, err := run.PeakMemory()
	if err != nil {
		t.Fatal(err)
	}
	alice.Sends(room, people.File{Name: "disk-image-of-the-server.txt", MediaType: "text/plain", Size: gibibyte}, "")
	s.Receives()
	after, err := run.PeakMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak memory: %d MiB before, %d MiB after an attachment of 1024 MiB", before>>20, after>>20)
	if limit := int64(200 << 20); after > limit {
		t.Errorf("peak memory of %d MiB, want less than %d MiB", after>>20, limit>>20)
	}
}

func TestATooLargeFileIsDescribedOnly(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	s.Env["MATRIX_ATTACHMENT_MAX_SIZE"] = "1MiB"
	s.Starts()
	room := joined(s, alice, "Incident 7")
	big := alice.Sends(room, people.File{Name: "far-too-large-a-file.txt", MediaType: "text/plain", Size: 2 << 20}, "See the attachment for all of it")
	s.Unfetched(big.Event)
	alice.Sends(room, people.Document("small-enough.pdf", "small"), "")
	s.Receives()
}
