package mapping_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// pythonCase is what the Python connector makes of events.
type pythonCase struct {
	Name string `json:"name"`
	TLP  string `json:"tlp"`
	Room struct {
		ID   id.RoomID `json:"room_id"`
		Name string    `json:"display_name"`
	} `json:"room"`
	Events  []json.RawMessage `json:"events"`
	Objects []map[string]any  `json:"objects"`
}

// The differences that are meant. Everything else must be equal: the ids of Channel,
// Individual and Media-Content, the author, the marking, the time, and a thread's
// relation. Never equal are: the Channel's name (a display name alone fuses rooms),
// the descriptions, and the relation between message and room (ours is publishes,
// from the room to the message, dated).
var (
	// We say something where Python says nothing.
	onlyOurs = map[string]string{
		"emote":                    "Python has no emotes",
		"sticker: nothing is made": "Python has no stickers",
		"file that the server no longer has: nothing at all is made": "the text lands without its file",
	}
	// Python says something that we do not, or not as an object of its own.
	onlyPython = map[string]string{
		"edit": "an edit is the message itself, not another object",
	}
	// We relate messages that Python does not.
	moreRelations = map[string]string{
		"reply (rich reply fall-back in the body)": "Python does not link replies",
		"thread reply that is a real reply":        "Python does not link replies",
	}
	// Another field that differs: the room id is the alias whatever the name.
	otherField = map[string]string{"room whose name is its id": "aliases"}
	// Contents that differ.
	otherContent = map[string]string{
		"text with HTML, non-ASCII and JSON-special characters": "Markdown would act on it; U+2028 is a line break",
		"reply (rich reply fall-back in the body)":              "the quote is not what the sender said",
		"image":                            "a file name is no caption",
		"file without info":                "a file name is no caption",
		"encrypted file (decrypted event)": "a file name is no caption",
		"empty body":                       "an empty value shows nothing",
	}
)

func TestTheSameEventsBecomeTheObjectsOfThePythonConnector(t *testing.T) {
	data, err := os.ReadFile("testdata/python-connector.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []pythonCase `json:"cases"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) != 34 {
		t.Fatalf("%d cases, want 34", len(vectors.Cases))
	}
	unused := make(map[string]bool)
	for _, table := range []map[string]string{onlyOurs, onlyPython, moreRelations, otherContent, otherField} {
		for name := range table {
			unused[name] = true
		}
	}
	for _, c := range vectors.Cases {
		delete(unused, c.Name)
		t.Run(c.Name, func(t *testing.T) { comparePython(t, c) })
	}
	for name := range unused {
		t.Errorf("a difference is named for %q, which is no case", name)
	}
}

func comparePython(t *testing.T, c pythonCase) {
	t.Helper()
	s := scene{TLP: c.TLP, ReplyKnown: true, ThreadKnown: true, SenderName: "Alice"}
	s.Room = timeline.Room{ID: c.Room.ID, Name: c.Room.Name, Server: "example.org"}
	ours := make(map[stix.ID]stix.Object)
	for _, event := range c.Events { // each case has messages of their own
		post, ok := s.post(t, []json.RawMessage{event})
		if !ok {
			continue
		}
		for _, object := range s.objects(t, s.draft(post)) {
			ours[object.ObjectID()] = object
		}
	}
	switch {
	case onlyOurs[c.Name] != "":
		if len(ours) == 0 || len(c.Objects) > 0 {
			t.Errorf("%d objects of ours, %d of Python's; want ours alone", len(ours), len(c.Objects))
		}
		return
	case onlyPython[c.Name] != "":
		if len(ours) > 0 || len(c.Objects) == 0 {
			t.Errorf("%d objects of ours, %d of Python's; want Python's alone", len(ours), len(c.Objects))
		}
		return
	}
	theirs := make(map[stix.ID]bool)
	for _, object := range c.Objects {
		id := stix.ID(object["id"].(string))
		if target, _ := object["target_ref"].(string); strings.HasPrefix(target, "channel--") {
			continue // related-to the room; ours publishes
		}
		theirs[id] = true
		mine, ok := ours[id]
		if !ok {
			t.Errorf("Python's %s is not among ours", id)
			continue
		}
		compareObject(t, c, object, mine)
	}
	more := 0
	for id, object := range ours {
		if theirs[id] {
			continue
		}
		relation, ok := object.(*stix.Relationship)
		switch {
		case ok && relation.Kind == stix.Publishes && !relation.Start.IsZero():
		case ok && moreRelations[c.Name] != "":
			more++
		default:
			t.Errorf("our %s is not among Python's", id)
		}
	}
	if (more > 0) != (moreRelations[c.Name] != "") {
		t.Errorf("%d relations that Python lacks", more)
	}
}

func compareObject(t *testing.T, c pythonCase, theirs map[string]any, ours stix.Object) {
	t.Helper()
	data, err := stix.Marshal(ours)
	if err != nil {
		t.Fatal(err)
	}
	var mine map[string]any
	if err := json.Unmarshal(data, &mine); err != nil {
		t.Fatal(err)
	}
	equal := map[string][]string{
		stix.TypeChannel:      {"aliases", "channel_types", "object_marking_refs"},
		stix.TypeIdentity:     {"name", "identity_class", "object_marking_refs"},
		stix.TypeMediaContent: {"url", "media_category", "publication_date", "x_opencti_created_by_ref", "object_marking_refs"},
		stix.TypeRelationship: {"relationship_type", "source_ref", "target_ref", "object_marking_refs"},
	}[ours.ObjectType()]
	if ours.ObjectType() == stix.TypeMediaContent && otherContent[c.Name] == "" {
		equal = append(slices.Clone(equal), "content")
	}
	for _, key := range equal {
		if otherField[c.Name] == key {
			continue
		}
		if date, ok := theirs[key].(string); ok && key == "publication_date" {
			// The same time: Python leaves a fraction of zero out.
			at, err := time.Parse(time.RFC3339, date)
			if err != nil {
				t.Fatal(err)
			}
			theirs[key] = stix.Timestamp(at)
		}
		a, _ := json.Marshal(theirs[key])
		b, _ := json.Marshal(mine[key])
		if string(a) != string(b) {
			t.Errorf("%s of %s = %s, Python has %s", key, ours.ObjectID(), b, a)
		}
	}
	if otherContent[c.Name] != "" && ours.ObjectType() == stix.TypeMediaContent && mine["content"] == theirs["content"] {
		t.Errorf("content is equal, though a difference is named: %s", otherContent[c.Name])
	}
	if ours.ObjectType() == stix.TypeChannel && !strings.Contains(mine["name"].(string), string(c.Room.ID)) {
		t.Errorf("channel name %q does not hold the room id", mine["name"])
	}
}
