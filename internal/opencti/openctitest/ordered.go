package openctitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// dict is a JSON object that remembers the order of its keys: error texts of
// the platform quote what was sent, in the order in which it was sent.
type dict struct {
	keys   []string
	values map[string]any
}

func newDict() *dict { return &dict{values: map[string]any{}} }

func (d *dict) set(k string, v any) {
	if _, ok := d.values[k]; !ok {
		d.keys = append(d.keys, k)
	}
	d.values[k] = v
}

func (d *dict) text(k string) string {
	s, _ := d.values[k].(string)
	return s
}

// strings returns the strings of a list; nil when the value is something else.
func (d *dict) strings(k string) []string {
	l, _ := d.values[k].([]any)
	var out []string
	for _, v := range l {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// MarshalJSON writes the keys in their order.
func (d *dict) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range d.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		kb, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		vb, err := json.Marshal(d.values[k])
		if err != nil {
			return nil, err
		}
		b.Write(kb)
		b.WriteByte(':')
		b.Write(vb)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

var errNotJSON = errors.New("not one JSON value")

// parseOrdered decodes one JSON value into dict, []any, string, json.Number,
// bool or nil.
func parseOrdered(text []byte) (any, error) {
	if !json.Valid(text) {
		return nil, errNotJSON
	}
	r := reader{text: text}
	return r.value(), nil
}

// reader walks over JSON that is known to be valid.
type reader struct {
	text []byte
	at   int
}

// next is the first byte that is no blank.
func (r *reader) next() byte {
	for r.text[r.at] <= ' ' {
		r.at++
	}
	return r.text[r.at]
}

func (r *reader) value() any {
	switch r.next() {
	case '{':
		o := newDict()
		for r.at++; r.next() != '}'; {
			k := r.string()
			r.next()
			r.at++ // the colon
			o.set(k, r.value())
			if r.next() == ',' {
				r.at++
				r.next()
			}
		}
		r.at++
		return o
	case '[':
		l := []any{}
		for r.at++; r.next() != ']'; {
			l = append(l, r.value())
			if r.next() == ',' {
				r.at++
			}
		}
		r.at++
		return l
	case '"':
		return r.string()
	case 't':
		r.at += len("true")
		return true
	case 'f':
		r.at += len("false")
		return false
	case 'n':
		r.at += len("null")
		return nil
	}
	start := r.at
	for r.at < len(r.text) && !bytes.ContainsRune([]byte(" \t\r\n,]}"), rune(r.text[r.at])) {
		r.at++
	}
	return json.Number(r.text[start:r.at])
}

// string reads a string; its escapes and broken UTF-8 are the library's to decode.
func (r *reader) string() string {
	start, plain := r.at, true
	for r.at++; r.text[r.at] != '"'; r.at++ {
		switch c := r.text[r.at]; {
		case c == '\\':
			r.at++
			plain = false
		case c >= 0x80:
			plain = false
		}
	}
	r.at++
	if plain {
		return string(r.text[start+1 : r.at-1])
	}
	var s string
	if err := json.Unmarshal(r.text[start:r.at], &s); err != nil {
		panic(err) // it is valid
	}
	return s
}

// plain turns dicts into maps.
func plain(v any) any {
	switch v := v.(type) {
	case *dict:
		m := make(map[string]any, len(v.keys))
		for k, x := range v.values {
			m[k] = plain(x)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, x := range v {
			l[i] = plain(x)
		}
		return l
	}
	return v
}

// pythonJSON is json.dumps(v) of Python: ASCII, a blank after colon and comma.
func pythonJSON(v any) string {
	var b strings.Builder
	writePython(&b, v)
	return b.String()
}

func writePython(b *strings.Builder, v any) {
	switch v := v.(type) {
	case *dict:
		b.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			writePythonString(b, k)
			b.WriteString(": ")
			writePython(b, v.values[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writePython(b, x)
		}
		b.WriteByte(']')
	case string:
		writePythonString(b, v)
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
}

func writePythonString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}

// pythonDict is the text of the dict that the worker reports for a failure.
func pythonDict(f *platformError) string {
	return "{'name': " + pythonRepr(f.code) + ", 'error_message': " + pythonRepr(f.message) + "}"
}

// pythonRepr is repr(s): single quotes unless the text holds some and no double
// ones.
func pythonRepr(s string) string {
	q := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = `"`
	}
	r := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, q, `\`+q)
	return q + r.Replace(s) + q
}

// inspected is a value as the GraphQL library of the platform shows it in
// messages: JavaScript's notation.
func inspected(v any) string {
	switch v := v.(type) {
	case *dict:
		if len(v.keys) == 0 {
			return "{}"
		}
		parts := make([]string, len(v.keys))
		for i, k := range v.keys {
			parts[i] = k + ": " + inspected(v.values[k])
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = inspected(x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		var b strings.Builder
		canonicalString(&b, v)
		return b.String()
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}
