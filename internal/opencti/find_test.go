package opencti_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestAFusedChannelIsFoundUnderEachOfItsRooms(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			first, second := stix.ChannelID("!one:example.org"), stix.ChannelID("!two:example.org")
			// As the Python connector does it: the display name as name, the room id as alias.
			for id, alias := range map[stix.ID]string{first: "!one:example.org", second: "!two:example.org"} {
				if err := s.octi.Import("connector", fmt.Sprintf(`{"type":"channel","spec_version":"2.1","id":%q,"name":"Lobby","aliases":[%q],"channel_types":["Matrix"]}`, id, alias)); err != nil {
					t.Fatal(err)
				}
			}
			absent := stix.ChannelID("!absent:example.org")
			found, err := s.platform.Find(t.Context(), []stix.ID{first, second, absent})
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 2 {
				t.Fatalf("%+v", found)
			}
			for _, id := range []stix.ID{first, second} {
				f := found[id]
				if f.ID != id || f.Type != stix.TypeChannel || f.Name != "Lobby" || f.InternalID == "" || f.Confidence != 100 ||
					!slices.Contains(f.Aliases, "!one:example.org") || !slices.Contains(f.Aliases, "!two:example.org") {
					t.Errorf("%+v", f)
				}
			}
			if found[first].InternalID != found[second].InternalID {
				t.Error("not fused")
			}
			// A third room of that name has an id of its own, which leads nowhere.
			if f, err := s.platform.Find(t.Context(), []stix.ID{stix.ChannelID("!three:example.org")}); err != nil || len(f) != 0 {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

func TestFindTellsTypesNamesAndFiles(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			s.attach(m.ID, "Report A.PDF", "hello", sentAt)
			_, rel := says("$one", "")
			found, err := s.platform.Find(t.Context(), []stix.ID{m.ID, rel.ID, alice().ID})
			if err != nil {
				t.Fatal(err)
			}
			if f := found[m.ID]; f.Type != stix.TypeMediaContent || !slices.Equal(f.Files, []string{"report a.pdf"}) || f.Confidence != -1 {
				t.Errorf("%+v", f)
			}
			if f := found[rel.ID]; f.Type != stix.TypeRelationship {
				t.Errorf("%+v", f)
			}
			if f := found[alice().ID]; f.Type != stix.TypeIdentity || f.Name != "@alice:example.org" || f.StandardID != alice().ID {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestNothingIsAskedForNothing(t *testing.T) {
	s := started(t, openctitest.Gen7)
	// An empty list of ids is an error of the platform.
	if f, err := s.platform.Find(t.Context(), nil); err != nil || len(f) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if n := s.octi.Calls("stixObjectOrStixRelationships"); n != 0 {
		t.Errorf("asked %d times", n)
	}
}
