package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// The keys that hold attachments.
const (
	inlineFiles = "x_opencti_files"
	besideFiles = "x_matrix_files"
)

// object is a STIX object as it stands in a file: its members in their order, so
// that writing it again changes nothing.
type object struct {
	id      stix.ID
	members []member
}

type member struct {
	key   string
	value json.RawMessage
}

var _ stix.Object = object{}

// parse takes an object apart.
func parse(o stix.Object) (object, error) {
	data, err := stix.Marshal(o)
	if err != nil {
		return object{}, err
	}
	return parseJSON(data)
}

func parseJSON(data []byte) (object, error) {
	var o object
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return object{}, errors.New("read object: not a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return object{}, fmt.Errorf("read object: %w", err)
		}
		m := member{}
		m.key, _ = key.(string)
		if err := d.Decode(&m.value); err != nil {
			return object{}, fmt.Errorf("read object: %w", err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, m.value); err != nil {
			return object{}, fmt.Errorf("read object: %w", err)
		}
		m.value = compact.Bytes()
		o.members = append(o.members, m)
	}
	o.id = stix.ID(o.text("id"))
	return o, nil
}

// mustParse is for objects that are written in the source.
func mustParse(text string) object {
	o, err := parseJSON([]byte(text))
	if err != nil {
		panic(err)
	}
	return o
}

// MarshalJSON puts the object together again.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, m := range o.members {
		if i == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// ObjectID is the object's id.
func (o object) ObjectID() stix.ID { return o.id }

// ObjectType is the STIX type.
func (o object) ObjectType() string { return o.kind() }

// Refs are the ids that the object refers to.
func (o object) Refs() []stix.ID { return o.refs() }

func (o object) kind() string { return o.text("type") }

// encode is the JSON of a value, with <, > and & as they are.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode value: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// value is the JSON of a member, nil when there is none.
func (o object) value(key string) json.RawMessage {
	for _, m := range o.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// text is the value of a member that is a string.
func (o object) text(key string) string {
	var s string
	_ = json.Unmarshal(o.value(key), &s) // absent or no string: empty
	return s
}

// texts is the value of a member that is a list of strings.
func (o object) texts(key string) []string {
	var list []string
	_ = json.Unmarshal(o.value(key), &list)
	return list
}

// set replaces or adds a member.
func (o *object) set(key string, value json.RawMessage) {
	o.members = slices.Clone(o.members)
	for i := range o.members {
		if o.members[i].key == key {
			o.members[i].value = value
			return
		}
	}
	o.members = append(o.members, member{key: key, value: value})
}

// setText replaces or adds a member that is a string.
func (o *object) setText(key, text string) error {
	value, err := encode(text)
	if err == nil {
		o.set(key, value)
	}
	return err
}

// refs are the objects that stand in the members _ref and _refs.
func (o object) refs() []stix.ID {
	var ids []stix.ID
	for _, m := range o.members {
		switch {
		case strings.HasSuffix(m.key, "_ref"):
			ids = append(ids, stix.ID(o.text(m.key)))
		case strings.HasSuffix(m.key, "_refs"):
			for _, id := range o.texts(m.key) {
				ids = append(ids, stix.ID(id))
			}
		}
	}
	return ids
}

// saysSame reports whether the stored object says what o says, files apart.
func (o object) saysSame(stored object) bool {
	return slices.EqualFunc(o.withoutFiles(), stored.withoutFiles(), func(a, b member) bool {
		return a.key == b.key && sameJSON(a.value, b.value)
	})
}

func (o object) withoutFiles() []member {
	return slices.DeleteFunc(slices.Clone(o.members), func(m member) bool {
		return m.key == inlineFiles || m.key == besideFiles
	})
}

// sameJSON compares two values whatever characters are escaped in them.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, errP := json.Marshal(x)
	q, errQ := json.Marshal(y)
	return errP == nil && errQ == nil && bytes.Equal(p, q)
}

// found is what Find says about the object.
func (o object) found() stix.Found {
	f := stix.Found{
		ID: o.id, StandardID: o.id, InternalID: string(o.id), Type: o.kind(), Name: o.text("name"), Description: o.text("description"), Aliases: o.texts("aliases"), Confidence: -1,
	}
	_ = json.Unmarshal(o.value("confidence"), &f.Confidence)
	for _, key := range []string{inlineFiles, besideFiles} {
		for _, file := range o.files(key) {
			f.Files = append(f.Files, strings.ToLower(file.text("name")))
		}
	}
	return f
}
