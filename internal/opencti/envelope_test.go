package opencti_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// vectors is testdata/envelopes.json: what the official client makes of bundles.
type vectors struct {
	Send struct {
		Bundle   vectorBundle `json:"bundle"`
		Messages []struct {
			Envelope json.RawMessage `json:"envelope"`
			Content  json.RawMessage `json:"content"`
		} `json:"messages"`
	} `json:"send"`
	Split []struct {
		Name    string            `json:"name"`
		Bundle  vectorBundle      `json:"bundle"`
		Bundles []json.RawMessage `json:"bundles"`
	} `json:"split"`
}

type vectorBundle struct {
	ID      string            `json:"id"`
	Objects []json.RawMessage `json:"objects"`
}

func (b vectorBundle) stix(t *testing.T) stix.Bundle {
	t.Helper()
	var objects []stix.Object
	for _, text := range b.Objects {
		objects = append(objects, rawObject(text))
	}
	return stix.NewBundle(objects...)
}

// rawObject is an object as its JSON.
type rawObject json.RawMessage

func (o rawObject) field(name string) string {
	var fields map[string]any
	if err := json.Unmarshal(o, &fields); err != nil {
		panic(err)
	}
	s, _ := fields[name].(string)
	return s
}
func (o rawObject) ObjectID() stix.ID            { return stix.ID(o.field("id")) }
func (o rawObject) ObjectType() string           { return o.field("type") }
func (o rawObject) MarshalJSON() ([]byte, error) { return bytes.Clone(o), nil }

// Refs walks the keys in their order, as the splitter does.
func (o rawObject) Refs() []stix.ID {
	var refs []stix.ID
	d := json.NewDecoder(bytes.NewReader(o))
	_, _ = d.Token()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			panic(err)
		}
		var value any
		if err := d.Decode(&value); err != nil {
			panic(err)
		}
		name, _ := key.(string)
		switch v := value.(type) {
		case string:
			if strings.HasSuffix(name, "_ref") {
				refs = append(refs, stix.ID(v))
			}
		case []any:
			if strings.HasSuffix(name, "_refs") {
				for _, ref := range v {
					if s, ok := ref.(string); ok && !slices.Contains(refs, stix.ID(s)) {
						refs = append(refs, stix.ID(s))
					}
				}
			}
		}
	}
	return refs
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/envelopes.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// keys are the keys of a JSON object in their order.
func keys(t *testing.T, text []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var list []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, key.(string))
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	return list
}

func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// content is the decoded bundle of a message, with its id taken out.
func content(t *testing.T, envelope []byte) (part map[string]any, id string) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(decoded(t, envelope)["content"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if got := keys(t, text); !slices.Equal(got, []string{"type", "id", "spec_version", "x_opencti_seq", "objects"}) {
		t.Errorf("keys of the content: %v", got)
	}
	part = decoded(t, text)
	id = part["id"].(string)
	delete(part, "id")
	return part, id
}

func TestEnvelopesAreThoseOfTheOfficialClient(t *testing.T) {
	v := readVectors(t).Send
	if len(v.Messages) != 4 {
		t.Fatalf("%d messages in the vectors", len(v.Messages))
	}
	first := decoded(t, v.Messages[0].Envelope)
	applicant, work := first["applicant_id"].(string), first["work_id"].(string)
	got, err := opencti.Envelopes(v.Bundle.stix(t), applicant, work)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(v.Messages) {
		t.Fatalf("%d messages, want %d", len(got), len(v.Messages))
	}
	ids := map[string]bool{}
	for i, want := range v.Messages {
		wantKeys := slices.DeleteFunc(keys(t, want.Envelope), func(k string) bool { return k == "no_split" })
		if d := cmp.Diff(wantKeys, keys(t, got[i].Body)); d != "" {
			t.Errorf("message %d: %s", i+1, d)
		}
		wantEnvelope, gotEnvelope := decoded(t, want.Envelope), decoded(t, got[i].Body)
		delete(wantEnvelope, "no_split")
		delete(wantEnvelope, "content")
		delete(gotEnvelope, "content")
		if d := cmp.Diff(wantEnvelope, gotEnvelope); d != "" {
			t.Errorf("message %d: %s", i+1, d)
		}
		wantPart := decoded(t, want.Content)
		delete(wantPart, "id")
		gotPart, id := content(t, got[i].Body)
		ids[id] = true
		if d := cmp.Diff(wantPart, gotPart); d != "" {
			t.Errorf("message %d: %s", i+1, d)
		}
	}
	for id := range ids {
		if len(ids) != 1 || !regexp.MustCompile(`^bundle--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
			t.Errorf("ids of the bundle: %v", ids)
		}
	}
}

func TestObjectsAreSplitInTheOrderOfTheOfficialSplitter(t *testing.T) {
	for _, c := range readVectors(t).Split {
		t.Run(c.Name, func(t *testing.T) {
			got, err := opencti.Envelopes(c.Bundle.stix(t), "user", "work")
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.Bundles) {
				t.Fatalf("%d messages, want %d", len(got), len(c.Bundles))
			}
			for i, want := range c.Bundles {
				wantPart := decoded(t, want)
				delete(wantPart, "id")
				gotPart, _ := content(t, got[i].Body)
				if d := cmp.Diff(wantPart, gotPart); d != "" {
					t.Errorf("message %d: %s", i+1, d)
				}
			}
		})
	}
}
