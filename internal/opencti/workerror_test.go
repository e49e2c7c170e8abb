package opencti_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// The messages and sources are what real platforms (6.7.5, 7.260318.0) showed.
func TestWorkErrorsAreUnderstood(t *testing.T) {
	const (
		media    = "media-content--a8a858ec-c4b5-53c3-b967-b89fc28b74c8"
		relation = "relationship--08b0013b-5f39-5caf-aa5f-e4e24be1db81"
		unknown  = "foo-bar--11111111-2222-4333-8444-555555555555"
	)
	for _, c := range []struct {
		name, message, source string
		item                  stix.ID
		reason                string
		final                 bool
	}{
		{
			"a reference is missing", `{'name': 'MISSING_REFERENCE_ERROR', 'error_message': 'Element(s) not found'}`,
			`{"type": "relationship", "id": "` + relation + `", "target_ref": "` + media + `"}`,
			relation, "MISSING_REFERENCE_ERROR: Element(s) not found", false,
		},
		{
			"a date that is none, with the text repeated", `{'name': 'BAD_USER_INPUT', 'error_message': 'Variable "$MediaContent" got invalid value "canary" at "MediaContent.publication_date"; DateTime cannot represent an invalid date-time-string canary.'}`,
			`{"type": "media-content", "id": "` + media + `"}`,
			media, "BAD_USER_INPUT: DateTime cannot represent an invalid date-time-string", true,
		},
		{
			"a name of one character", `{'name': 'BAD_USER_INPUT', 'error_message': 'Variable "$input" got invalid value "z" at "input.name". Must be at least 2 characters in length'}`,
			`{"id": "channel--32852657-f0a6-54b9-8a98-7e1b12337553"}`,
			"channel--32852657-f0a6-54b9-8a98-7e1b12337553", "BAD_USER_INPUT: Must be at least 2 characters", true,
		},
		{
			"an unknown type, named in a sentence", "Incompatible element in bundle", "Element " + unknown + " is incompatible and couldn't be processed",
			unknown, "Incompatible element in bundle", true,
		},
		{
			"an item that is too large to be named", `{'name': 'BAD_USER_INPUT', 'error_message': 'Expected non-nullable type "String!" not to be null.'}`, "Bundle too large",
			"", "BAD_USER_INPUT: Expected non-nullable type", true,
		},
		{
			"an error without a source", "could not publish the rest", "",
			"", "unknown work error", false,
		},
		{
			"an apostrophe changes Python's quotes", `{'name': 'INTERNAL_SERVER_ERROR', 'error_message': "Cannot read properties of undefined (reading 'payload_bin')"}`, `{"id":"` + media + `"}`,
			media, "INTERNAL_SERVER_ERROR: Cannot read properties of undefined", false,
		},
		{
			"a lock in the text only", `{'name': 'INTERNAL_SERVER_ERROR', 'error_message': 'Unexpected error value: { message: "Execution timeout", extensions: { code: "LOCK_ERROR" } }'}`, `{"id":"` + media + `"}`,
			media, "LOCK_ERROR: LOCK_ERROR", false,
		},
		{
			"somebody's words do not change the verdict", `{'name': 'FUNCTIONAL_ERROR', 'error_message': "got invalid value {'name': 'LOCK_ERROR'} LOCK_ERROR canary"}`, `{"id":"` + media + `"}`,
			media, "FUNCTIONAL_ERROR: LOCK_ERROR", true,
		},
		{
			"an object that the user may not see", `{'name': 'UNSUPPORTED_ERROR', 'error_message': 'Restricted entity already exists'}`, `{"id":"` + media + `"}`,
			media, "UNSUPPORTED_ERROR: Restricted entity already exists", true,
		},
		{"a source that is cut off", `{'name': 'DATABASE_ERROR', 'error_message': 'canary'}`, `{"id": "` + media, "", "DATABASE_ERROR", false},
		{"nothing at all", "", "", "", "unknown work error", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			item, reason, final := opencti.ReadWorkError(c.message, c.source)
			if item != c.item || reason != c.reason || final != c.final {
				t.Errorf("item %q, reason %q, final %v; want %q, %q, %v", item, reason, final, c.item, c.reason, c.final)
			}
		})
	}
}
