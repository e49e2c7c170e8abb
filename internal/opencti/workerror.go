package opencti

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// workError is what a worker reported about one item.
type workError struct {
	Message string `json:"message"`
	// Source is the item's JSON with its id, the constant "Bundle too large", a
	// sentence with the id, or null (opencti.md §12.6, §12.9).
	Source string `json:"source"`
}

// refusal is a work error as far as it is understood.
type refusal struct {
	Code   string // of the platform; empty where none was found
	Phrase string // a known phrase; empty where there is none
}

// reason is the refusal in a few words, none of them anybody's message.
func (r refusal) reason() string {
	switch {
	case r.Code != "" && r.Phrase != "":
		return r.Code + ": " + r.Phrase
	case r.Code != "":
		return r.Code
	case r.Phrase != "":
		return r.Phrase
	}
	return "unknown work error"
}

// final reports whether sending the same object again would be refused again.
// What may pass by itself, and a reference that is missing, is not.
func (r refusal) final() bool {
	switch r.Code {
	case "BAD_USER_INPUT", "FUNCTIONAL_ERROR", "UNSUPPORTED_ERROR", "VALIDATION_ERROR", "GRAPHQL_VALIDATION_FAILED", "FORBIDDEN_ACCESS":
		return true
	case "":
		return r.Phrase == phraseIncompatible
	}
	return false
}

// errorName finds the value of 'name' in the text of a Python dict, which begins
// with it. What follows may hold somebody's words.
var errorName = regexp.MustCompile(`^\s*\{\s*['"]name['"]\s*:\s*['"]([A-Z0-9_]{3,64})['"]`)

// stixID finds an id in a sentence.
var stixID = regexp.MustCompile(`[a-z0-9-]+--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// refusal reads the message, which is the text of a Python dict and no JSON.
func (e workError) refusal() refusal {
	var r refusal
	if m := errorName.FindStringSubmatch(e.Message); m != nil {
		r.Code = m[1]
	}
	r.Phrase = phraseOf(e.Message)
	if r.Phrase == phraseLock && r.Code == "INTERNAL_SERVER_ERROR" {
		r.Code = "LOCK_ERROR"
	}
	return r
}

// item is the id of the object that the error is about; empty where it does not
// say.
func (e workError) item() stix.ID {
	var o struct {
		ID stix.ID `json:"id"`
	}
	source := strings.TrimSpace(e.Source)
	if strings.HasPrefix(source, "{") {
		if json.Unmarshal([]byte(source), &o) == nil {
			return o.ID
		}
		return ""
	}
	return stix.ID(stixID.FindString(source))
}

// refusals sorts work errors by the object that they are about. Those that name
// none come apart.
func refusals(errs []workError) (named map[stix.ID]refusal, unnamed []refusal) {
	named = map[stix.ID]refusal{}
	for _, e := range errs {
		if id := e.item(); id != "" {
			named[id] = e.refusal()
		} else {
			unnamed = append(unnamed, e.refusal())
		}
	}
	return named, unnamed
}
