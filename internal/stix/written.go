package stix

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
)

// Written is what a sink was last given as the words of a Channel: what it is called, and
// the digest of its description ([Digest]); each is empty where it was never written.
// Whoever finds something else there finds an analyst's words.
type Written struct {
	Name   string
	Digest string
}

// Digest is a short hash of a text. It ignores blanks at both ends, which a platform
// trims.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(TrimText(text)))
	return hex.EncodeToString(sum[:16])
}

// TrimText cuts the blanks off both ends of a text, as a platform does.
func TrimText(text string) string {
	return strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}
