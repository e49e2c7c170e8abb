package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/exported"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// schemaOf names the schema of each type. OpenCTI's own types have none beyond the
// common part of all domain objects or observables.
var schemaOf = map[string]string{
	"identity":           "sdos/identity.json",
	"relationship":       "sros/relationship.json",
	"marking-definition": "common/marking-definition.json",
	"channel":            "common/core.json",
	"media-content":      "common/cyber-observable-core.json",
}

func TestExportWritesStandaloneBundles(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	s.Offline()
	alice, bob := s.Town.Moves("alice", "Alice Liddell"), s.Town.Moves("bob")
	for _, name := range []string{"OPENCTI_URL", "OPENCTI_TOKEN", "CONNECTOR_ID", "MQ_HOST", "MQ_PORT"} {
		delete(s.Env, name) // an export needs no platform
	}
	open := alice.Creates("Incident 7")
	sealed := alice.Creates("War room", people.Encrypted())
	out := filepath.Join(s.Dir, "out")
	// The first run joins the rooms, and goes on until it is told to stop.
	s.Starts("export", "--output", out, "--follow")
	alice.Invites(open, s.Bot)
	alice.Sees(open, s.Bot)
	alice.Invites(sealed, s.Bot)
	alice.Sees(sealed, s.Bot)
	alice.Invites(open, bob.ID)
	bob.Joins(open)
	alice.Invites(sealed, bob.ID)
	bob.Joins(sealed)
	chat(alice, bob, open)
	s.Stops()
	// The second run ends by itself once it has caught up.
	chat(alice, bob, sealed)
	alice.Sends(sealed, people.File{Name: "large-enough-to-stand-beside.txt", MediaType: "text/plain", Size: 3 << 20}, "Too large to be inside")
	s.Starts("export", "--output", out)
	s.Ends()

	bundles, err := exported.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bundles {
		if b.Type != "bundle" || !strings.HasPrefix(b.ID, "bundle--") || len(b.Objects) == 0 {
			t.Errorf("%s: type %q, id %q, %d objects: no STIX bundle", b.Path, b.Type, b.ID, len(b.Objects))
		}
		for _, o := range b.Objects {
			validate(t, b.Path, o)
		}
	}
	messages, err := exported.Messages(bundles)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range s.Town.Said() {
		m, ok := messages[one.Event]
		if !ok {
			t.Errorf("%s (%s) was not exported", one.Event, one.MsgType)
			continue
		}
		for _, problem := range differs(out, one, m, messages) {
			t.Errorf("%s (%s): %s", one.Event, one.MsgType, problem)
		}
	}
	if len(messages) != len(s.Town.Said()) {
		t.Errorf("%d messages were exported, %d were said", len(messages), len(s.Town.Said()))
	}
}

// differs compares one message with what was exported of it.
func differs(out string, one people.Said, m exported.Message, all map[id.EventID]exported.Message) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !strings.Contains(m.Text("content"), one.Text) {
		say("content %q lacks %q", m.Text("content"), one.Text)
	}
	if got := m.Author().Text("name"); got != one.Sender.String() {
		say("the author in its bundle is %q, want %s", got, one.Sender)
	}
	if aliases, _ := m.Channel()["aliases"].([]any); len(aliases) != 1 || aliases[0] != one.Room.String() {
		say("the channel in its bundle is that of %v, want %s", aliases, one.Room)
	}
	var want []string
	for _, target := range []id.EventID{one.ReplyTo, one.Thread} {
		if target != "" {
			want = append(want, all[target].Text("id"))
		}
	}
	if got := m.Targets(); !slices.Equal(got, want) {
		say("related to %v, want %v", got, want)
	}
	files, err := m.Files(out)
	switch {
	case err != nil:
		say("%v", err)
	case one.File == nil && len(files) > 0:
		say("%d files, want none", len(files))
	case one.File != nil && (len(files) != 1 || files[0].SHA256 != one.File.SHA256):
		say("files %+v, want one with sha256 %s", files, one.File.SHA256)
	}
	return problems
}

// schemaBase is what the schemas call the place where they live.
const schemaBase = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"

// compile makes a validator of one of the schemas in testdata/stix.
func compile(name string) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	root := filepath.Join("testdata", "stix")
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read
		schema, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return c.AddResource(schemaBase+filepath.ToSlash(below), schema)
	})
	if err != nil {
		return nil, err
	}
	return c.Compile(schemaBase + name)
}

// validate checks an object against the STIX 2.1 schema of its type.
func validate(t *testing.T, path string, object exported.Object) {
	t.Helper()
	kind := object.Text("type")
	name, ok := schemaOf[kind]
	if !ok {
		t.Errorf("%s: an object of type %q", path, kind)
		return
	}
	schema, err := compile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(map[string]any(object)); err != nil {
		t.Errorf("%s: %s %s: %v", path, kind, object.Text("id"), err)
	}
}

func TestTheSchemasRefuseWhatIsNoSTIX(t *testing.T) {
	t.Parallel()
	for kind, name := range schemaOf {
		schema, err := compile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(map[string]any{"type": kind, "id": "no id at all", "spec_version": "2.1"}); err == nil {
			t.Errorf("%s: an object with a broken id passed", kind)
		}
	}
}
