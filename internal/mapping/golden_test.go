package mapping_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

var update = flag.Bool("update", false, "rewrite the expected bundles in testdata/golden")

// TestGolden maps the events of each file in testdata/golden. Besides the bundle a
// file shows its attachments as a sink gets them.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(paths) < 16 {
		t.Fatalf("%d golden files, %v", len(paths), err)
	}
	schemas := loadSchemas(t)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(data)
			parts := make(map[string][]byte)
			for _, file := range archive.Files {
				parts[file.Name] = file.Data
			}
			var s scene
			decodeStrictly(t, parts["scene.json"], &s)
			var events []json.RawMessage
			decodeStrictly(t, parts["events.json"], &events)

			got := map[string][]byte{"bundle.json": []byte("nothing\n")}
			if post, ok := s.post(t, events); ok {
				draft := s.draft(post)
				bundle, err := stix.NewBundle(s.objects(t, draft)...).MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				schemas.validate(t, bundle)
				got["bundle.json"] = indent(t, bundle)
				var files []stix.File
				for _, a := range draft.Attachments {
					files = append(files, s.mapper(t).File(draft, a))
				}
				if files != nil {
					data, err := json.Marshal(files)
					if err != nil {
						t.Fatal(err)
					}
					got["files.json"] = indent(t, data)
				}
			}
			if *update {
				archive.Files = archive.Files[:2]
				for _, name := range []string{"bundle.json", "files.json"} {
					if got[name] != nil {
						archive.Files = append(archive.Files, txtar.File{Name: name, Data: got[name]})
					}
				}
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, name := range []string{"bundle.json", "files.json"} {
				if diff := cmp.Diff(string(parts[name]), string(got[name])); diff != "" {
					t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", name, diff)
				}
			}
		})
	}
}

func decodeStrictly(t *testing.T, data []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// schemas are those of STIX 2.1 for the types that it knows.
type schemas map[string]*jsonschema.Schema

// loadSchemas reads the OASIS schemas from the folder that STIX_SCHEMAS names; nil
// where it names none, which fails under CI.
func loadSchemas(t *testing.T) schemas {
	t.Helper()
	folder := os.Getenv("STIX_SCHEMAS") //nolint:forbidigo // a test has no settings
	if folder == "" {
		const missing = "bundles are not validated: STIX_SCHEMAS names no folder with OASIS's schemas"
		if os.Getenv("CI") != "" { //nolint:forbidigo // a test has no settings
			t.Fatal(missing)
		}
		t.Log(missing)
		return nil
	}
	compiler := jsonschema.NewCompiler()
	all := make(schemas)
	// Their ids are web addresses; every file is handed over, nothing is loaded.
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // only read
		document, err := jsonschema.UnmarshalJSON(file)
		if err != nil {
			return err
		}
		return compiler.AddResource(document.(map[string]any)["$id"].(string), document)
	})
	if err != nil {
		t.Fatal(err)
	}
	const base = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"
	for name, path := range map[string]string{
		"bundle": "common/bundle.json", "identity": "sdos/identity.json", "relationship": "sros/relationship.json",
		// OpenCTI's own types have the common properties of their kind.
		"channel": "common/core.json", "media-content": "common/cyber-observable-core.json",
	} {
		schema, err := compiler.Compile(base + path)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = schema
	}
	return all
}

func (s schemas) validate(t *testing.T, data []byte) {
	t.Helper()
	if s == nil {
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	bundle := value.(map[string]any)
	var standard []any
	for _, object := range bundle["objects"].([]any) {
		kind := object.(map[string]any)["type"].(string)
		if s[kind] == nil {
			t.Errorf("no schema for %s", kind)
		} else if err := s[kind].Validate(object); err != nil {
			t.Errorf("%s is not valid: %v", kind, err)
		}
		if kind != "channel" && kind != "media-content" {
			standard = append(standard, object)
		}
	}
	bundle["objects"] = standard // the bundle's schema knows no types but its own
	if err := s["bundle"].Validate(bundle); err != nil {
		t.Errorf("bundle is not valid: %v", err)
	}
}

func TestSchemasRefuseWhatIsWrong(t *testing.T) {
	all := loadSchemas(t)
	if all == nil {
		t.Skip("STIX_SCHEMAS names no folder with OASIS's schemas")
	}
	for kind, text := range map[string]string{
		"identity":      `{"type":"identity","spec_version":"2.1","id":"identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac","name":"x"}`,
		"relationship":  `{"type":"relationship","id":"relationship--x"}`,
		"channel":       `{"type":"channel","id":"channel--bd8fb8c6-5018-5038-82ea-d44abb1380ac","created":"yesterday"}`,
		"media-content": `{"type":"media-content","object_marking_refs":[]}`,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if all[kind].Validate(value) == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
}
