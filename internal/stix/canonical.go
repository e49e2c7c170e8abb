package stix

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// errNotCanonical is returned for what JSON cannot say.
var errNotCanonical = errors.New("value has no canonical JSON")

// Canonical is the canonical JSON of a decoded JSON value (RFC 8785): nil, bool,
// float64, int, string, []any and map[string]any. Keys are sorted by UTF-16 code
// units, nothing is escaped but what RFC 8785 §3.2.2.2 names, numbers are written
// as ECMAScript writes them. Invalid UTF-8 becomes U+FFFD. Text is not normalised:
// two spellings of one letter are two texts.
func Canonical(value any) ([]byte, error) { return appendCanonical(nil, value) }

func appendCanonical(b []byte, value any) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, value), nil
	case int:
		return appendNumber(b, float64(value))
	case float64:
		return appendNumber(b, value)
	case string:
		return appendString(b, value), nil
	case []any:
		b = append(b, '[')
		for i, element := range value {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendCanonical(b, element); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, key := range slices.SortedFunc(maps.Keys(value), compareUTF16) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, key), ':')
			var err error
			if b, err = appendCanonical(b, value[key]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	default:
		return nil, fmt.Errorf("%w: %T", errNotCanonical, value)
	}
}

// compareUTF16 orders keys as ECMAScript does: beyond the basic plane this is not
// the order of code points.
func compareUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string with as few escapes as RFC 8785 allows.
// encoding/json cannot: it always escapes U+2028 and U+2029.
func appendString(b []byte, text string) []byte {
	b = append(b, '"')
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			from := i
			for i < len(text) && plain(text[i]) {
				i++
			}
			if i > from {
				b = append(b, text[from:i]...)
				continue
			}
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\t':
				b = append(b, '\\', 't')
			case '\n':
				b = append(b, '\\', 'n')
			case '\f':
				b = append(b, '\\', 'f')
			case '\r':
				b = append(b, '\\', 'r')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		b = utf8.AppendRune(b, r)
		i += size
	}
	return append(b, '"')
}

// plain reports what stands for itself in a JSON string of ASCII.
func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// appendNumber writes a number as ECMAScript's Number::toString does.
func appendNumber(b []byte, number float64) ([]byte, error) {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return nil, fmt.Errorf("%w: not a finite number", errNotCanonical)
	}
	if number == 0 {
		return append(b, '0'), nil // also for -0
	}
	if size := math.Abs(number); size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, number, 'f', -1, 64), nil
	}
	text := strconv.AppendFloat(nil, number, 'e', -1, 64)
	// Go writes e-07, ECMAScript e-7.
	if n := len(text); n >= 4 && text[n-4] == 'e' && text[n-2] == '0' {
		text = append(text[:n-2], text[n-1])
	}
	return append(b, text...), nil
}
