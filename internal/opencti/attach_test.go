package opencti_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func file(name, text string, version time.Time) stix.File {
	sum := sha256.Sum256([]byte(text))
	return stix.File{
		Name: name, MediaType: "text/plain", Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:]),
		Marking: stix.TLPAmber.MarkingID(), Version: version,
	}
}

func (s *scene) attach(to stix.ID, name, text string, version time.Time) {
	s.t.Helper()
	if err := s.platform.Attach(s.t.Context(), to, file(name, text, version), strings.NewReader(text)); err != nil {
		s.t.Fatal(err)
	}
}

func TestAFileIsStoredWithItsMarkingAndVersionAndStartsNoImporter(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			for _, name := range []string{"Report A.txt", `quo"te\.txt`, "été — 世界.txt", "canary\r\nX-Header: 1.txt"} {
				t.Run(name, func(t *testing.T) {
					s.attach(m.ID, name, "hello "+name, sentAt)
					files := s.octi.Files(string(m.ID))
					f := files[len(files)-1]
					for _, other := range files {
						if string(other.Data) == "hello "+name {
							f = other
						}
					}
					got := map[string]any{"data": string(f.Data), "markings": f.Markings, "version": f.Version.UTC(), "import": f.AutoImport, "type": f.MediaType}
					want := map[string]any{"data": "hello " + name, "markings": []string{"TLP:AMBER"}, "version": sentAt, "import": false, "type": "text/plain"}
					if d := cmp.Diff(want, got); d != "" {
						t.Error(d)
					}
					if !strings.ContainsAny(name, "\r\\\"") && f.Name != name {
						t.Errorf("name %q", f.Name)
					}
				})
			}
		})
	}
}

func TestTheSameFileIsNotUploadedAgain(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			s.attach(m.ID, "a.txt", "hello", sentAt)
			s.attach(m.ID, "A.TXT", "hello", sentAt)
			if n := s.octi.Calls("stixCyberObservableEdit.importPush"); n != 1 {
				t.Errorf("%d uploads", n)
			}
		})
	}
}

func TestALostAnswerToAnUploadIsHarmless(t *testing.T) {
	s, m := spoken(t, openctitest.Gen7)
	s.octi.Faults().LoseAnswers("stixCyberObservableEdit.importPush", 1, openctitest.Disconnect)
	err := s.platform.Attach(t.Context(), m.ID, file("a.txt", "hello", sentAt), strings.NewReader("hello"))
	if opencti.ClassOf(err) != opencti.Temporary || err == nil {
		t.Fatal(err)
	}
	s.attach(m.ID, "a.txt", "hello", sentAt)
	if f := s.octi.Files(string(m.ID)); len(f) != 1 {
		t.Errorf("%d files", len(f))
	}
}

func TestAFileOfAnAbsentObjectIsGone(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			err := s.platform.Attach(t.Context(), stix.MediaContentID("$absent"), file("a.txt", "hello", sentAt), strings.NewReader("hello"))
			if !errors.Is(err, stix.ErrGone) || opencti.ClassOf(err) != opencti.Gone {
				t.Errorf("class %s: %v", opencti.ClassOf(err), err)
			}
		})
	}
}

func TestAFileWithoutAKnownMarkingIsNotUploaded(t *testing.T) {
	s, m := spoken(t, openctitest.Gen7)
	f := file("a.txt", "hello", sentAt)
	f.Marking = stix.TLPRed.MarkingID() // not looked up at the start
	if err := s.platform.Attach(t.Context(), m.ID, f, strings.NewReader("hello")); opencti.ClassOf(err) != opencti.Permanent {
		t.Error(err)
	}
	if n := s.octi.Calls("stixCyberObservableEdit.importPush"); n != 0 {
		t.Errorf("%d uploads", n)
	}
}

func TestAnOlderVersionThanTheStoredOneIsNotTakenForAttached(t *testing.T) {
	s, m := spoken(t, openctitest.Gen7)
	s.attach(m.ID, "a.txt", "newer", sentAt.Add(time.Hour))
	err := s.platform.Attach(t.Context(), m.ID, file("a.txt", "older", sentAt), strings.NewReader("older"))
	if opencti.ClassOf(err) != opencti.Permanent {
		t.Errorf("%v", err)
	}
}

func TestAReaderThatDoesNotGiveWhatWasAnnouncedFailsTheUpload(t *testing.T) {
	for name, r := range map[string]io.Reader{
		"it ends early":       strings.NewReader("hell"),
		"it goes on":          strings.NewReader("hello, world"),
		"it gives other":      strings.NewReader("HELLO"),
		"it fails at the end": io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(errors.New("wrong hash"))),
	} {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, openctitest.Gen7)
			err := s.platform.Attach(t.Context(), m.ID, file("a.txt", "hello", sentAt), r)
			if err == nil || opencti.ClassOf(err) != opencti.Temporary {
				t.Errorf("%v", err)
			}
			if got := s.octi.Files(string(m.ID)); len(got) != 0 {
				t.Errorf("files %+v", got)
			}
		})
	}
}

func TestAUserWithoutTheRightToUploadIsTold(t *testing.T) {
	s := newScene(t, openctitest.Gen7, func(c *opencti.Config) { c.Token = "blind-token" })
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := stix.NewBundle(room(), alice())
	s.deliver(b)
	err := s.platform.Attach(t.Context(), room().ID, file("a.txt", "hello", sentAt), strings.NewReader("hello"))
	if opencti.ClassOf(err) != opencti.Unauthorized {
		t.Errorf("class %s: %v", opencti.ClassOf(err), err)
	}
}

// zeros is an endless file that watches how much memory is in use while it is
// read.
type zeros struct {
	read int
	peak uint64
}

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	if z.read/(8<<20) != (z.read+len(p))/(8<<20) {
		z.peak = max(z.peak, inUse())
	}
	z.read += len(p)
	return len(p), nil
}

func inUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestALargeFileCostsNoMemory(t *testing.T) {
	s, m := spoken(t, openctitest.Gen7)
	const size = 256 << 20
	f := file("big.bin", "", sentAt)
	f.Bytes, f.SHA256, f.MediaType = size, "", "application/octet-stream"
	before, z := inUse(), &zeros{}
	if err := s.platform.Attach(t.Context(), m.ID, f, io.LimitReader(z, size)); err != nil {
		t.Fatal(err)
	}
	// What the stand-in holds counts as well: it keeps up to 16 MiB of a file.
	if z.peak > before+32<<20 {
		t.Errorf("%d MiB more were in use for a file of %d MiB", (z.peak-before)>>20, size>>20)
	}
	if got := s.octi.Files(string(m.ID)); len(got) != 1 || got[0].Size != size {
		t.Errorf("files %+v", got)
	}
}
