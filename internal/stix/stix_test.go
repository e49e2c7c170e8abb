package stix_test

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

const amber = stix.ID("marking-definition--f88d31f6-486f-44da-b317-01333bde0b82")

var sent = time.Date(2024, 1, 2, 3, 4, 5, 123_456_789, time.UTC)

func TestObjectsAreEncodedInAFixedOrderWithoutEmptyFields(t *testing.T) {
	confidence := 75
	for _, test := range []struct {
		name   string
		object stix.Object
		want   string
	}{
		{
			"a channel with everything",
			&stix.Channel{
				ID: "channel--9f5b19df-af7f-5515-9e26-796b4403eda9", Created: sent, Modified: sent,
				Name: "General (!AbC:example.org)", Description: "<Topic> & \u2028", Aliases: []string{"!AbC:example.org"},
				Types: []string{"Matrix"}, Labels: []string{"matrix"}, Confidence: &confidence, Markings: []stix.ID{amber},
			},
			`{"type":"channel","spec_version":"2.1","id":"channel--9f5b19df-af7f-5515-9e26-796b4403eda9",` +
				`"created":"2024-01-02T03:04:05.123Z","modified":"2024-01-02T03:04:05.123Z","name":"General (!AbC:example.org)",` +
				`"description":"<Topic> & ` + "\u2028" + `","aliases":["!AbC:example.org"],"channel_types":["Matrix"],"confidence":75,` +
				`"labels":["matrix"],"object_marking_refs":["` + string(amber) + `"]}`,
		},
		{
			"an identity with the least",
			&stix.Identity{ID: "identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac", Name: "@alice:example.org", Class: stix.ClassIndividual},
			`{"type":"identity","spec_version":"2.1","id":"identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac","name":"@alice:example.org","identity_class":"individual"}`,
		},
		{
			"a message with an empty file inside",
			&stix.MediaContent{
				ID: stix.MediaContentID("$one"), URL: "$one", Title: "t", Content: "c", Category: "matrix", Published: sent,
				Author: "identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac", Description: "d", Markings: []stix.ID{amber}, Labels: []string{"matrix"},
				Files: []stix.InlineFile{{Name: "a.txt", MediaType: "text/plain", Version: sent, Markings: []stix.ID{amber}}},
			},
			`{"type":"media-content","spec_version":"2.1","id":"media-content--334d3f22-61a0-5780-9f35-4823ddd3edb6","url":"$one","title":"t",` +
				`"content":"c","media_category":"matrix","publication_date":"2024-01-02T03:04:05.123Z","object_marking_refs":["` + string(amber) + `"],` +
				`"x_opencti_created_by_ref":"identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac","x_opencti_description":"d","labels":["matrix"],` +
				`"x_opencti_files":[{"name":"a.txt","data":"","mime_type":"text/plain","version":"2024-01-02T03:04:05.123Z","object_marking_refs":["` + string(amber) + `"],"no_trigger_import":true}]}`,
		},
		{
			"a relationship whose start is part of its id",
			stix.NewRelationship(stix.Publishes, "channel--9f5b19df-af7f-5515-9e26-796b4403eda9", "media-content--334d3f22-61a0-5780-9f35-4823ddd3edb6", sent, sent, amber),
			`{"type":"relationship","spec_version":"2.1","id":"` + string(stix.RelationshipID("publishes", "channel--9f5b19df-af7f-5515-9e26-796b4403eda9",
				"media-content--334d3f22-61a0-5780-9f35-4823ddd3edb6", "2024-01-02T03:04:05.123Z")) + `","created":"2024-01-02T03:04:05.123Z","modified":"2024-01-02T03:04:05.123Z",` +
				`"relationship_type":"publishes","source_ref":"channel--9f5b19df-af7f-5515-9e26-796b4403eda9","target_ref":"media-content--334d3f22-61a0-5780-9f35-4823ddd3edb6",` +
				`"object_marking_refs":["` + string(amber) + `"],"start_time":"2024-01-02T03:04:05.123Z"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := stix.Marshal(test.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("encoding differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestObjectsUseTheKeysOfTheOfficialExample holds our keys against a bundle that
// the official libraries and importer were run on.
func TestObjectsUseTheKeysOfTheOfficialExample(t *testing.T) {
	var valid struct {
		Objects []map[string]any `json:"objects"`
	}
	readJSON(t, "testdata/valid.json", &valid)
	known := make(map[string]map[string]bool)
	for _, object := range valid.Objects {
		kind := object["type"].(string)
		if known[kind] == nil {
			known[kind] = map[string]bool{"labels": true, "confidence": true} // allowed on each (opencti.md §6)
		}
		for key := range object {
			known[kind][key] = true
		}
	}
	confidence := 1
	for _, object := range []stix.Object{
		&stix.Channel{ID: "channel--x", Created: sent, Modified: sent, Name: "n", Description: "d", Aliases: []string{"a"}, Types: []string{"t"}, Labels: []string{"l"}, Confidence: &confidence, Markings: []stix.ID{amber}},
		&stix.Identity{ID: "identity--x", Created: sent, Modified: sent, Name: "n", Description: "d", Class: "individual", Labels: []string{"l"}, Confidence: &confidence, Markings: []stix.ID{amber}},
		&stix.MediaContent{ID: "media-content--x", URL: "u", Title: "t", Content: "c", Category: "m", Published: sent, Author: "identity--x", Description: "d", Markings: []stix.ID{amber}, Labels: []string{"l"}, Files: []stix.InlineFile{{Name: "n"}}},
		&stix.Relationship{ID: "relationship--x", Created: sent, Modified: sent, Kind: "publishes", Source: "a--x", Target: "b--x", Start: sent, Confidence: &confidence, Markings: []stix.ID{amber}},
	} {
		data, err := stix.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		if err := json.Unmarshal(data, &keys); err != nil {
			t.Fatal(err)
		}
		for key := range keys {
			if !known[object.ObjectType()][key] {
				t.Errorf("%s has the key %q, which the example lacks", object.ObjectType(), key)
			}
		}
	}
}

func TestParseTLP(t *testing.T) {
	for spelling, want := range map[string]stix.TLP{
		"CLEAR": stix.TLPClear, "white": stix.TLPClear, "TLP:WHITE": stix.TLPClear, " green ": stix.TLPGreen,
		"AMBER": stix.TLPAmber, "tlp:amber": stix.TLPAmber, "AMBER+STRICT": stix.TLPAmberStrict,
		"amber_strict": stix.TLPAmberStrict, "Amber-Strict": stix.TLPAmberStrict, "amber strict": stix.TLPAmberStrict,
		"RED": stix.TLPRed, "TLP: red": stix.TLPRed,
	} {
		got, err := stix.ParseTLP(spelling)
		if err != nil || got != want {
			t.Errorf("ParseTLP(%q) = %q, %v; want %q", spelling, got, err, want)
		}
		if got.MarkingID().Type() != stix.TypeMarking {
			t.Errorf("ParseTLP(%q) has the marking %q", spelling, got.MarkingID())
		}
	}
	for _, spelling := range []string{"", "TLP", "TLP:", "AMBER+", "AMBER+STRIKT", "ORANGE", "PAP:RED", "AMBER STRICT RED", "RED\x00"} {
		if got, err := stix.ParseTLP(spelling); err == nil {
			t.Errorf("ParseTLP(%q) = %q, want an error", spelling, got)
		}
	}
}

// splitObject is any STIX object of a vector, its references in the order of its
// keys.
type splitObject struct {
	id, kind string
	refs     []stix.ID
}

func (o *splitObject) ObjectID() stix.ID  { return stix.ID(o.id) }
func (o *splitObject) ObjectType() string { return o.kind }
func (o *splitObject) Refs() []stix.ID    { return o.refs }

func (o *splitObject) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		switch name := key.(string); {
		case name == "id":
			o.id = value.(string)
		case name == "type":
			o.kind = value.(string)
		case strings.HasSuffix(name, "_ref"):
			if text, ok := value.(string); ok {
				o.refs = append(o.refs, stix.ID(text))
			}
		case strings.HasSuffix(name, "_refs"):
			list, _ := value.([]any)
			for _, text := range list {
				o.refs = append(o.refs, stix.ID(text.(string)))
			}
		}
	}
	return nil
}

func TestBundlesAreOrderedAsTheOfficialSplitterDoes(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Name   string `json:"name"`
			Bundle struct {
				Objects []*splitObject `json:"objects"`
			} `json:"bundle"`
			Result struct {
				Error   string `json:"error"`
				Bundles []struct {
					Sequence int            `json:"x_opencti_seq"`
					Objects  []*splitObject `json:"objects"`
				} `json:"bundles"`
			} `json:"result"`
		} `json:"cases"`
	}
	readJSON(t, "testdata/split.json", &vectors)
	// The splitter also repairs bundles; these repairs have nothing to do here.
	foreign := map[string]string{
		"reference lists: duplicates, self, unsupported type, cycle": "reports are not sent, and nothing sent refers in a circle",
		"relationship to itself and relationship without target":     "a relationship without target cannot be made",
		"unsupported object type":                                    "has a type that is not sent",
		"reference by internal id of the OpenCTI extension":          "internal ids are not used as references",
	}
	ran := 0
	for _, c := range vectors.Cases {
		if foreign[c.Name] != "" || c.Result.Error != "" {
			continue
		}
		ran++
		t.Run(c.Name, func(t *testing.T) {
			objects := make([]stix.Object, len(c.Bundle.Objects))
			for i, object := range c.Bundle.Objects {
				objects[i] = object
			}
			bundle := stix.NewBundle(objects...)
			var got, want []stix.ID
			for _, object := range bundle.Objects {
				got = append(got, object.ObjectID())
			}
			var sequence []int
			for _, part := range c.Result.Bundles {
				want = append(want, part.Objects[0].ObjectID())
				sequence = append(sequence, part.Sequence)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("order differs (-want +got):\n%s", diff)
			}
			if got := bundle.Sequence(); !reflect.DeepEqual(append([]int(nil), got...), sequence) {
				t.Errorf("sequence = %v, want %v", got, sequence)
			}
		})
	}
	if ran < 12 {
		t.Errorf("%d cases ran, want at least 12", ran)
	}
}

func TestTheLastOfTwoObjectsWithOneIDWins(t *testing.T) {
	first := &stix.MediaContent{ID: stix.MediaContentID("$one"), Content: "first"}
	second := &stix.MediaContent{ID: stix.MediaContentID("$one"), Content: "second"}
	bundle := stix.NewBundle(first, second)
	if len(bundle.Objects) != 1 || bundle.Objects[0] != stix.Object(second) {
		t.Errorf("bundle holds %v, want the second object alone", bundle.Objects)
	}
}

func TestEqualBundlesAreEqualBytes(t *testing.T) {
	encode := func(content string) []byte {
		data, err := stix.NewBundle(&stix.MediaContent{ID: stix.MediaContentID("$one"), URL: "$one", Content: content}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if a, b := encode("x"), encode("x"); string(a) != string(b) {
		t.Errorf("bundles differ:\n%s\n%s", a, b)
	}
	var a, b struct{ ID string }
	for data, into := range map[*struct{ ID string }][]byte{&a: encode("x"), &b: encode("y")} {
		if err := json.Unmarshal(into, data); err != nil {
			t.Fatal(err)
		}
	}
	if a.ID == b.ID || !strings.HasPrefix(a.ID, "bundle--") {
		t.Errorf("bundle ids are %q and %q, want two ids", a.ID, b.ID)
	}
}

func TestCanonicalIsAFixedPointThatIgnoresTheOrderOfKeys(t *testing.T) {
	values := rapid.Custom(func(t *rapid.T) any { return drawJSON(t, 3) })
	rapid.Check(t, func(t *rapid.T) {
		value := values.Draw(t, "value")
		first, err := stix.Canonical(value)
		if err != nil {
			t.Fatal(err)
		}
		var again any
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("canonical JSON %s is no JSON: %v", first, err)
		}
		second, err := stix.Canonical(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Fatalf("canonical JSON is no fixed point:\n%s\n%s", first, second)
		}
	})
}

func drawJSON(t *rapid.T, depth int) any {
	most := 5
	if depth == 0 {
		most = 3
	}
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }).Draw(t, "number")
	case 3:
		return rapid.String().Draw(t, "text")
	case 4:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawJSON(t, depth-1)
		}
		return list
	}
	object := make(map[string]any)
	for range rapid.IntRange(0, 4).Draw(t, "size") {
		object[rapid.String().Draw(t, "key")] = drawJSON(t, depth-1)
	}
	return object
}

func TestCanonicalSortsKeysByUTF16(t *testing.T) {
	// RFC 8785 §3.2.3: U+1F600 is written with surrogates and so sorts before U+FB33.
	got, err := stix.Canonical(map[string]any{"\ufb33": 1, "\U0001F600": 2, "\r": 3, "1": 4, "\u0080": 5, "\u00f6": 6, "\u20ac": 7})
	if err != nil {
		t.Fatal(err)
	}
	want := "{\"\\r\":3,\"1\":4,\"\u0080\":5,\"\u00f6\":6,\"\u20ac\":7,\"\U0001F600\":2,\"\ufb33\":1}"
	if string(got) != want {
		t.Errorf("Canonical = %s, want %s", got, want)
	}
}

func TestCanonicalRefusesWhatJSONCannotSay(t *testing.T) {
	for _, value := range []any{math.NaN(), math.Inf(1), struct{}{}, []any{math.Inf(-1)}, map[string]any{"a": func() {}}} {
		if got, err := stix.Canonical(value); err == nil {
			t.Errorf("Canonical(%T) = %s, want an error", value, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{}`, `{"b":1,"a":[null,true,"\u2028<&>\u0000"]}`, `1e21`, `-0`, `"\ud800"`, `[1e-7,0.1,123456789012345680000]`, `{"":{"":[]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var value any
		if json.Unmarshal(data, &value) != nil {
			return
		}
		first, err := stix.Canonical(value)
		if err != nil {
			t.Fatalf("Canonical refuses what JSON decoded: %v", err)
		}
		var again any
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("canonical JSON %q is no JSON: %v", first, err)
		}
		if diff := cmp.Diff(value, again); diff != "" {
			t.Fatalf("canonical JSON says something else (-want +got):\n%s", diff)
		}
	})
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
