package timeline

import (
	"encoding/json"
	"errors"
	"math"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// errNotObject is what reading something else than a JSON object gives. It holds
// no text of the event.
var errNotObject = errors.New("content is not a JSON object")

// fields is a JSON object of which no field is trusted: a field that is absent
// and one of the wrong type are the same. Invalid UTF-8 and lone surrogates are
// read as U+FFFD.
type fields map[string]json.RawMessage

func readFields(raw json.RawMessage) (fields, error) {
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil || f == nil {
		return nil, errNotObject
	}
	return f, nil
}

// has reports whether the field is present with any value but null.
func (f fields) has(key string) bool {
	raw, ok := f[key]
	return ok && string(raw) != "null"
}

// text is a string field; ok is false for anything else.
func (f fields) text(key string) (text string, ok bool) {
	raw := f[key]
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if said := raw[1 : len(raw)-1]; plain(said) {
		return string(said), true // valid JSON already, and no escape in it
	}
	if json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, true
}

// plain reports whether what stands between the quotes of a JSON string is ASCII that
// stands for itself.
func plain(said []byte) bool {
	for _, c := range said {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// object is an object field, empty for anything else.
func (f fields) object(key string) fields {
	nested, err := readFields(f[key])
	if err != nil {
		return nil
	}
	return nested
}

// list is the first values of an array field, at most so many; nil for anything else.
func (f fields) list(key string, limit int) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(f[key], &list) != nil {
		return nil
	}
	return list[:min(len(list), limit)]
}

// flag is a field that is exactly true.
func (f fields) flag(key string) bool { return string(f[key]) == "true" }

// number is a whole number from 0 to 2^53; everything else (negative, 1e30, a
// fraction, a string) is 0, which stands for unknown.
func (f fields) number(key string) int64 {
	var number float64
	if json.Unmarshal(f[key], &number) != nil {
		return 0
	}
	if !(number >= 0 && number <= 1<<53) || number != math.Trunc(number) {
		return 0
	}
	return int64(number)
}

// event is an event id; empty for what cannot be one.
func (f fields) event(key string) id.EventID {
	text, _ := f.text(key)
	if !plausibleEventID(text) {
		return ""
	}
	return id.EventID(text)
}

// plausibleEventID keeps out what could not be an event id in any room version:
// "$", then visible characters, at most 255 bytes.
func plausibleEventID(text string) bool {
	if len(text) < 2 || len(text) > MaxIDBytes || text[0] != '$' {
		return false
	}
	for _, r := range text {
		if r <= ' ' || r >= 0x7F {
			return false
		}
	}
	return true
}
