package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crypto/sha256"
	"encoding/hex"

	"github.com/santhosh-tekuri/jsonschema/v6"

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

	messages := map[string]message{}
	for path, bundle := range bundles(t, out) {
		for _, o := range bundle {
			validate(t, path, o)
			if o["type"] == "media-content" {
				messages[o["url"].(string)] = message{object: o, bundle: bundle}
			}
		}
	}
	for _, one := range s.Town.Said() {
		m, ok := messages[one.Event.String()]
		if !ok {
			t.Errorf("%s (%s) was not exported", one.Event, one.MsgType)
			continue
		}
		if !strings.Contains(m.text("content"), one.Text) {
			t.Errorf("%s: content %q lacks %q", one.Event, m.text("content"), one.Text)
		}
		if author := m.find(m.text("x_opencti_created_by_ref")); author["name"] != one.Sender.String() {
			t.Errorf("%s: the author in its bundle is %v, want %s", one.Event, author["name"], one.Sender)
		}
		if !m.published(one.Room.String()) {
			t.Errorf("%s: its bundle has no channel of %s that publishes it", one.Event, one.Room)
		}
		if one.File != nil && !m.holds(t, out, one.File.SHA256) {
			t.Errorf("%s: neither its bundle nor the folder holds a file with sha256 %s", one.Event, one.File.SHA256)
		}
	}
	if len(messages) != len(s.Town.Said()) {
		t.Errorf("%d messages were exported, %d were said", len(messages), len(s.Town.Said()))
	}
}

// message is a Media-Content with the bundle that it came in.
type message struct {
	object map[string]any
	bundle []map[string]any
}

func (m message) text(key string) string {
	s, _ := m.object[key].(string)
	return s
}

func (m message) find(id string) map[string]any {
	for _, o := range m.bundle {
		if o["id"] == id {
			return o
		}
	}
	return nil
}

// published reports whether a Channel of the room publishes the message.
func (m message) published(room string) bool {
	for _, o := range m.bundle {
		if o["type"] != "relationship" || o["relationship_type"] != "publishes" || o["target_ref"] != m.object["id"] {
			continue
		}
		source, _ := o["source_ref"].(string)
		aliases, _ := m.find(source)["aliases"].([]any)
		for _, a := range aliases {
			if a == room {
				return true
			}
		}
	}
	return false
}

// holds looks for a file inside the object and beside the bundles.
func (m message) holds(t *testing.T, out, sha string) bool {
	t.Helper()
	files, _ := m.object["x_opencti_files"].([]any)
	for _, f := range files {
		data, err := base64.StdEncoding.DecodeString(f.(map[string]any)["data"].(string))
		if err != nil {
			t.Error(err)
		}
		if hashOf(data) == sha {
			return true
		}
	}
	beside, err := filepath.Glob(filepath.Join(out, "files", sha+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range beside {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if hashOf(data) == sha {
			return true
		}
	}
	return false
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// bundles reads every bundle below a folder, by path.
func bundles(t *testing.T, dir string) map[string][]map[string]any {
	t.Helper()
	found := map[string][]map[string]any{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var bundle struct {
			Type    string           `json:"type"`
			ID      string           `json:"id"`
			Objects []map[string]any `json:"objects"`
		}
		if err := json.Unmarshal(b, &bundle); err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		if bundle.Type != "bundle" || !strings.HasPrefix(bundle.ID, "bundle--") || len(bundle.Objects) == 0 {
			t.Errorf("%s: type %q, id %q, %d objects: no STIX bundle", path, bundle.Type, bundle.ID, len(bundle.Objects))
		}
		found[path] = bundle.Objects
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// validate checks an object against the STIX 2.1 schema of its type.
func validate(t *testing.T, path string, object map[string]any) {
	t.Helper()
	kind, _ := object["type"].(string)
	name, ok := schemaOf[kind]
	if !ok {
		t.Errorf("%s: an object of type %q", path, kind)
		return
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "stix", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(object); err != nil {
		t.Errorf("%s: %s %v: %v", path, kind, object["id"], err)
	}
}
