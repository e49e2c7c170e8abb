package stix

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// encoder writes one JSON object, key by key in the order of the calls. What is
// empty is left out: an importer of version 6.4 fails on a null where it wants a
// list, and an empty value never clears anything.
type encoder struct {
	b []byte
}

func (e *encoder) key(name string) {
	if len(e.b) == 0 {
		e.b = append(e.b, '{')
	} else {
		e.b = append(e.b, ',')
	}
	e.b = append(appendString(e.b, name), ':')
}

func (e *encoder) text(name, text string) {
	if text == "" {
		return
	}
	e.key(name)
	e.b = appendString(e.b, text)
}

func (e *encoder) id(name string, id ID) { e.text(name, string(id)) }

func (e *encoder) time(name string, t time.Time) {
	if !t.IsZero() {
		e.text(name, Timestamp(t))
	}
}

func (e *encoder) number(name string, number *int) {
	if number == nil {
		return
	}
	e.key(name)
	e.b = strconv.AppendInt(e.b, int64(*number), 10)
}

func (e *encoder) flag(name string, flag bool) {
	e.key(name)
	e.b = strconv.AppendBool(e.b, flag)
}

func texts[T ~string](e *encoder, name string, list []T) {
	if len(list) == 0 {
		return
	}
	e.key(name)
	e.b = append(e.b, '[')
	for i, text := range list {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = appendString(e.b, string(text))
	}
	e.b = append(e.b, ']')
}

func (e *encoder) files(name string, files []InlineFile) {
	if len(files) == 0 {
		return
	}
	e.key(name)
	e.b = append(e.b, '[')
	for i, file := range files {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		var one encoder
		one.text("name", file.Name)
		one.key("data") // an empty file is a file
		one.b = append(base64.StdEncoding.AppendEncode(append(one.b, '"'), file.Data), '"')
		one.text("mime_type", file.MediaType)
		one.time("version", file.Version)
		texts(&one, "object_marking_refs", file.Markings)
		one.flag("no_trigger_import", !file.AutoImport)
		e.b = append(e.b, one.done()...)
	}
	e.b = append(e.b, ']')
}

func (e *encoder) done() []byte { return append(e.b, '}') }

// Marshal is the JSON of an object, the same bytes for the same object.
func Marshal(o Object) ([]byte, error) {
	if m, ok := o.(json.Marshaler); ok {
		// Not by way of json.Marshal, which would escape what it is handed.
		data, err := m.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", o.ObjectID(), err)
		}
		return data, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.ObjectID(), err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
