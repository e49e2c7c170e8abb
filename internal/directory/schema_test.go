package directory_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// schemaBase is what the $id of OASIS's schemas begins with.
const schemaBase = "http://raw.githubusercontent.com/oasis-open/cti-stix2-json-schemas/stix2.1/schemas/"

// folderLoader finds OASIS's schemas in a folder.
type folderLoader string

func (l folderLoader) Load(url string) (any, error) {
	below, ok := strings.CutPrefix(url, schemaBase)
	if !ok {
		return nil, fmt.Errorf("a schema of somebody else: %s", url)
	}
	data, err := os.ReadFile(filepath.Join(string(l), filepath.FromSlash(below)))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(data))
}

func TestBundlesAreValidSTIX(t *testing.T) {
	folder := os.Getenv("STIX_SCHEMAS") //nolint:forbidigo // a test has no settings
	if folder == "" {
		const missing = "STIX_SCHEMAS names no folder with OASIS's schemas"
		if os.Getenv("CI") != "" { //nolint:forbidigo // a test has no settings
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	if _, err := os.Stat(filepath.Join(folder, "common")); err != nil {
		folder = filepath.Join(folder, "schemas")
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(folderLoader(folder))
	compile := func(path string) *jsonschema.Schema {
		s, err := compiler.Compile(schemaBase + path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	of := map[string]*jsonschema.Schema{
		"bundle": compile("common/bundle.json"), "identity": compile("sdos/identity.json"), "relationship": compile("sros/relationship.json"),
		"marking-definition": compile("common/marking-definition.json"), "channel": compile("common/core.json"),
		"media-content": compile("common/cyber-observable-core.json"),
	}
	root := t.TempDir()
	d := open(t, root)
	for i, level := range []stix.TLP{stix.TLPClear, stix.TLPGreen, stix.TLPAmber, stix.TLPAmberStrict, stix.TLPRed} {
		marked := message(fmt.Sprintf("$%d", i), "Hello", noon)
		marked.Markings = []stix.ID{level.MarkingID()}
		export(t, d, room, alice, marked, publishes(marked))
		content := []byte("content")
		if err := d.Attach(t.Context(), marked.ID, file("a.txt", content), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for path, text := range tree(t, root) {
		whole, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		// The bundle's schema wants a custom object to be either a domain object or an
		// observable, and takes every domain object for both. Those are checked below.
		head, _ := whole.(map[string]any)
		objects, _ := head["objects"].([]any)
		head["objects"] = slices.DeleteFunc(objects, func(o any) bool {
			kind := o.(map[string]any)["type"]
			return kind == "channel" || kind == "media-content"
		})
		if err := of["bundle"].Validate(head); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, o := range readBundle(t, text).Objects {
			kind, _ := o["type"].(string)
			if of[kind] == nil {
				t.Fatalf("%s holds a %q", path, kind)
			}
			data, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if err := of[kind].Validate(value); err != nil {
				t.Errorf("%s: %s: %v", path, o["id"], err)
			}
			seen[kind]++
		}
	}
	if seen["marking-definition"] < 5 || seen["media-content"] != 5 {
		t.Errorf("validated %v", seen)
	}
}
