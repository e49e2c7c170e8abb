package mapping_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestAFileCarriesTheRoomsMarkingAndTheMessagesTime(t *testing.T) {
	sent := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	m := mapping.New(mapping.Config{Marking: stix.TLPAmber.MarkingID(), AutoImport: true, Rule: func(room timeline.Room) mapping.Rule {
		if room.ID == "!secret:example.org" {
			return mapping.Rule{Marking: stix.TLPRed.MarkingID()}
		}
		return mapping.Rule{}
	}})
	a := timeline.Attachment{File: timeline.File{Name: "a.pdf"}, Sent: sent, SHA256: "ab", Bytes: 7, MediaType: "application/pdf"}
	for room, marking := range map[timeline.Room]stix.TLP{{ID: "!secret:example.org"}: stix.TLPRed, {ID: "!open:example.org"}: stix.TLPAmber} {
		got := m.File(timeline.Draft{Room: timeline.RoomState{Room: room}}, a)
		want := stix.File{Name: "a.pdf", MediaType: "application/pdf", Bytes: 7, SHA256: "ab", Marking: marking.MarkingID(), Version: sent, AutoImport: true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("file in %s differs (-want +got):\n%s", room.ID, diff)
		}
	}
}

func TestFileNamesAreUniqueInAMessageWhateverTheCase(t *testing.T) {
	m := mapping.New(mapping.Config{})
	name := func(claim string, index int) string {
		return m.File(timeline.Draft{}, timeline.Attachment{File: timeline.File{Name: claim, Index: index}}).Name
	}
	for claim, want := range map[string][]string{
		"a.txt":                           {"a.txt", "a (2).txt"},
		"a (2).txt":                       {"a (2) (1).txt", "a (2) (2).txt"},
		"README":                          {"README", "README (2)"},
		".bashrc":                         {".bashrc", ".bashrc (2)"},
		"a.tar.gz":                        {"a.tar.gz", "a.tar (2).gz"},
		"x.averylongending":               {"x.averylongending", "x.averylongending (2)"},
		strings.Repeat("a", 250) + ".pdf": {strings.Repeat("a", 190) + ".pdf", strings.Repeat("a", 190) + " (2).pdf"},
		strings.Repeat("世", 80) + ".pdf":  {strings.Repeat("世", 78) + ".pdf", strings.Repeat("世", 78) + " (2).pdf"},
	} {
		if diff := cmp.Diff(want, []string{name(claim, 0), name(claim, 1)}); diff != "" {
			t.Errorf("names of %q differ (-want +got):\n%s", claim, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOfN(rapid.SampledFrom([]string{"a.txt", "A.TXT", "a (2).txt", "a (1).txt", "a (2) (1).txt", "a (3).txt", "a", "", strings.Repeat("a", 240) + ".txt", strings.Repeat("a", 190) + ".txt"}), 1, 6).Draw(t, "claims")
		seen := make(map[string]int)
		for i, claim := range claims {
			got := name(claim, i)
			folded := strings.ToLower(got)
			if other, taken := seen[folded]; taken {
				t.Fatalf("files %d and %d of %q are both %q", other, i, claims, got)
			}
			seen[folded] = i
			if units := len(utf16.Encode([]rune(got))); units > 210 || len(got) > 255 {
				t.Fatalf("name of %d units and %d bytes", units, len(got))
			}
		}
	})
}

func TestTheSameDraftGivesTheSameBytes(t *testing.T) {
	s := scene{TLP: "GREEN", Labels: []string{"b", "a"}, ReplyKnown: true}
	s.Room = timeline.Room{ID: "!a:b", Name: "n"}
	draft := s.draft(timeline.Post{ID: "$x", Sender: "@a:b", Room: "!a:b", Text: "t", Reply: "$y", Sent: time.Unix(1, 0), Files: []timeline.File{{Name: "f", Problem: "no mxc uri"}}})
	first := string(marshal(t, s.objects(t, draft)))
	for range 5 {
		if again := string(marshal(t, s.objects(t, draft))); again != first {
			t.Fatalf("bytes differ:\n%s\n%s", first, again)
		}
	}
}

func marshal(t *testing.T, objects []stix.Object) []byte {
	t.Helper()
	data, err := stix.NewBundle(objects...).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
