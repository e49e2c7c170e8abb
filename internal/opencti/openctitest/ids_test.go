package openctitest_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// The cases are those of the official libraries for the types that the connector
// sends, with the ids that the platform's formula gives; letters whose case the
// libraries disagree about are left out.
func TestStandardIDsAreThoseOfTheVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/ids.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Generator, Name, ID string
		Input               map[string]any
		Refused             bool
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 200 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Generator+" "+c.Name, func(t *testing.T) {
			if c.Generator == "relationship" {
				relationCase(t, c.Input, c.ID)
				return
			}
			p := newPlatform(t, openctitest.Config{})
			c.Input["type"] = c.Generator
			err := p.Import("connector", object(t, c.Input))
			_, ok := p.Object(c.ID)
			// The platform counts UTF-16 units, of which a name has at least two.
			name, _ := c.Input["name"].(string)
			short := len(utf16.Encode([]rune(name))) < 2 || strings.TrimSpace(name) == ""
			if c.Refused || short && c.Generator != "media-content" {
				if err == nil {
					t.Errorf("%v was accepted: %v", c.Input, p.Objects())
				}
				return
			}
			if err != nil || !ok {
				t.Errorf("%q: %v, want %s, got %v", c.Input, err, c.ID, p.Objects())
			}
		})
	}
}

// relationCase checks a relation's id where its ends can be made: between the
// objects that the vectors use.
func relationCase(t *testing.T, in map[string]any, want string) {
	t.Helper()
	p := newPlatform(t, openctitest.Config{})
	for _, o := range []string{
		`{"type":"channel","name":"!abc:example.org"}`,
		`{"type":"media-content","url":"https://matrix.to/#/!abc:example.org/$evt1"}`,
		`{"type":"media-content","url":"$evt1"}`,
		`{"type":"identity","identity_class":"individual","name":"@alice:example.org"}`,
	} {
		if err := p.Import("connector", o); err != nil {
			t.Fatal(err)
		}
	}
	in["type"] = "relationship"
	for _, end := range []string{"source_ref", "target_ref"} {
		if id, _ := in[end].(string); id != "" {
			if _, ok := p.Object(id); !ok {
				t.Logf("%s %s is not among the objects made here", end, id)
				return
			}
		}
	}
	if err := p.Import("connector", object(t, in)); err != nil {
		t.Logf("refused: %v", err)
		return
	}
	if _, ok := p.Object(want); !ok {
		t.Errorf("%v: want %s, got %v", in, want, p.Relations("", "", ""))
	}
}
