package sas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

var errCanonical = errors.New("not canonical JSON")

// canonicalize rewrites JSON as canonical JSON (Matrix appendices, "Canonical JSON"):
// keys sorted, no spaces, nothing escaped that need not be, whole numbers only.
func canonicalize(raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, errCanonical // the decoder's error quotes the text
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errCanonical
	}
	return appendCanonical(nil, value)
}

// canonical is what we send: of strings, lists and maps, which cannot fail.
func canonical(content map[string]any) json.RawMessage {
	out, err := appendCanonical(nil, content)
	if err != nil {
		panic(fmt.Sprintf("sas: %v of our own", err))
	}
	return out
}

func appendCanonical(out []byte, value any) ([]byte, error) {
	var err error
	switch value := value.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, value), nil
	case string:
		return appendText(out, value), nil
	case int64:
		return strconv.AppendInt(out, value, 10), nil
	case json.Number:
		// Whole numbers within ±(2^53 - 1), and "-0" is none of them.
		const most = 1<<53 - 1
		n, err := value.Int64()
		if err != nil || n < -most || n > most || strconv.FormatInt(n, 10) != value.String() {
			return nil, errCanonical
		}
		return append(out, value...), nil
	case []string:
		out = append(out, '[')
		for i, one := range value {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendText(out, one)
		}
		return append(out, ']'), nil
	case []any:
		out = append(out, '[')
		for i, one := range value {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendCanonical(out, one); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case map[string]any:
		// Bytes of UTF-8 sort as code points do.
		out = append(out, '{')
		for i, key := range slices.Sorted(maps.Keys(value)) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendText(out, key), ':')
			if out, err = appendCanonical(out, value[key]); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	}
	return nil, errCanonical
}

func appendText(out []byte, text string) []byte {
	const short, long = "\"\\\b\f\n\r\t", `"\bfnrt`
	out = append(out, '"')
	for i := range len(text) {
		c := text[i]
		switch at := strings.IndexByte(short, c); {
		case at >= 0:
			out = append(out, '\\', long[at])
		case c < 0x20:
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
