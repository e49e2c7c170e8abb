package matrix

import (
	"bytes"
	"encoding/json"
	"errors"
)

// errMalformed is a JSON text that cannot be taken apart.
var errMalformed = errors.New("malformed JSON")

// members takes a JSON object apart, one level deep: fn gets each key and the text
// of its value, which is not checked. Where a key is there twice, the later one
// counts, as everywhere in Go.
//
// encoding/json reads a document as a whole and gives up beyond 10,000 levels of
// nesting. A homeserver written in Go passes on an event just below that limit, and
// the response around it then lies above: every further response would be refused.
// Here brackets are only counted, so that such an event is one unreadable event.
func members(object []byte, fn func(key string, value json.RawMessage)) error {
	s := scanner{text: object}
	if !s.take('{') {
		return errMalformed
	}
	if s.take('}') {
		return s.end()
	}
	for {
		raw, ok := s.value()
		if !ok {
			return errMalformed
		}
		key, ok := text(raw)
		if !ok || !s.take(':') {
			return errMalformed
		}
		value, ok := s.value()
		if !ok {
			return errMalformed
		}
		fn(key, value)
		if s.take('}') {
			return s.end()
		}
		if !s.take(',') {
			return errMalformed
		}
	}
}

// elements takes a JSON array apart, as members does an object.
func elements(array []byte) ([]json.RawMessage, error) {
	s := scanner{text: array}
	if !s.take('[') {
		return nil, errMalformed
	}
	if s.take(']') {
		return nil, s.end()
	}
	var out []json.RawMessage
	for {
		value, ok := s.value()
		if !ok {
			return out, errMalformed
		}
		out = append(out, value)
		if s.take(']') {
			return out, s.end()
		}
		if !s.take(',') {
			return out, errMalformed
		}
	}
}

// scanner walks over JSON values without looking into them.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) end() error {
	s.space()
	if s.at != len(s.text) {
		return errMalformed
	}
	return nil
}

// value is the text of the next value: up to the bracket that closes it, the quote
// that ends it, or what ends a number or a word.
func (s *scanner) value() (json.RawMessage, bool) {
	s.space()
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			if !s.quoted() {
				return nil, false
			}
			if depth == 0 {
				return s.text[start:s.at:s.at], true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.text[start:s.at:s.at], s.at > start
			}
			if depth--; depth == 0 {
				s.at++
				return s.text[start:s.at:s.at], true
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.text[start:s.at:s.at], s.at > start
			}
		}
		s.at++
	}
	return s.text[start:s.at:s.at], depth == 0 && s.at > start
}

// quoted walks over a string.
func (s *scanner) quoted() bool {
	s.at++
	for s.at < len(s.text) {
		i := bytes.IndexAny(s.text[s.at:], `"\`)
		if i < 0 {
			return false
		}
		s.at += i
		if s.text[s.at] == '"' {
			s.at++
			return true
		}
		s.at += 2
	}
	return false
}

// maxDepth is how deeply an event may nest. What people send has a dozen levels;
// encoding/json refuses documents beyond 10,000, also those that whoever stores the
// event puts it into.
const maxDepth = 1000

// tooDeep reports whether a JSON text nests beyond maxDepth.
func tooDeep(text []byte) bool {
	s, depth := scanner{text: text}, 0
	for s.at < len(text) {
		switch text[s.at] {
		case '"':
			if !s.quoted() {
				return false // no JSON: others say so
			}
			continue
		case '{', '[':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
		s.at++
	}
	return false
}
