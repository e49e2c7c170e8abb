package matrix

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What encoding/json takes apart, the scanner takes apart in the same way.
func FuzzScannerAgreesWithEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"a":1}`, ` { "a" : [1, {"b":"}"}] , "c":null } `, `{"a":"\"","b":"\\"}`, `{"a":{"a":{}},"a":2}`,
		`[1,2.5e3,"x",true,[],{}]`, `{"a":`, `{"a"}`, `[1,]`, `{"a":1,}`, `{"\u0061":1}`, `"x"`, `{"a":"`, `{"a":1}x`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) == nil && object != nil {
			got := map[string]json.RawMessage{}
			if err := members(text, func(key string, value json.RawMessage) { got[key] = value }); err != nil {
				t.Fatalf("members: %v", err)
			}
			if diff := cmp.Diff(object, got); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		}
		var array []json.RawMessage
		if json.Unmarshal(text, &array) == nil && array != nil {
			got, err := elements(text)
			if err != nil {
				t.Fatalf("elements: %v", err)
			}
			if len(array) != len(got) {
				t.Fatalf("%d elements, want %d", len(got), len(array))
			}
			for i := range got {
				if string(got[i]) != string(array[i]) {
					t.Errorf("element %d is %s, want %s", i, got[i], array[i])
				}
			}
		}
		// What is no JSON ends in an error or in pieces, never in a panic.
		_ = members(text, func(_ string, value json.RawMessage) { _, _ = elements(value) })
		_, _ = elements(text)
		_, _ = readResponse(text)
		_, _ = readEvent(text)
	})
}
