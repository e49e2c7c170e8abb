package sas

import (
	"encoding/json"
	"time"
)

// fields is the content of an event, each field by its exact name and yet to be looked
// at. (Decoded into a struct, "Key" would be taken for "key", here and nowhere else.)
type fields map[string]json.RawMessage

// parse gives no fields where content is no object.
func parse(content json.RawMessage) fields {
	var f fields
	if json.Unmarshal(content, &f) != nil {
		return nil
	}
	return f
}

// text is a field that is a string; "" and false if it is none, or empty.
func (f fields) text(name string) (string, bool) {
	var s *string
	if json.Unmarshal(f[name], &s) != nil || s == nil {
		return "", false
	}
	return *s, *s != ""
}

// list is a field that is a list of strings.
func (f fields) list(name string) ([]string, bool) {
	var l []string
	if json.Unmarshal(f[name], &l) != nil || l == nil {
		return nil, false
	}
	return l, true
}

// texts is a field that is an object of strings.
func (f fields) texts(name string) (map[string]string, bool) {
	var m map[string]string
	if json.Unmarshal(f[name], &m) != nil || m == nil {
		return nil, false
	}
	return m, true
}

// time is a field that is a number of milliseconds.
func (f fields) time(name string) (time.Time, bool) {
	var n *int64
	if json.Unmarshal(f[name], &n) != nil || n == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(*n), true
}

// reference is the event that this one is about, by m.reference.
func (f fields) reference() (string, bool) {
	relation := parse(f["m.relates_to"])
	if kind, _ := relation.text("rel_type"); kind != "m.reference" {
		return "", false
	}
	return relation.text("event_id")
}
