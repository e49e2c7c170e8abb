package scene

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// canaries are what must not be found in what was written, and what each of them is. One
// pass over a text finds them all, whichever way a program may have written them: as they
// are, in JSON, in an address, in hex, and in base64 wherever they begin in it.
type canaries struct {
	by   map[[beak]byte][]canary
	kind map[string]bool // what they are
}

type canary struct {
	form string
	what string
}

// beak is how much of a canary is looked up; a shorter one would be found by chance.
const beak = 8

// secret adds a secret in all its forms.
func (c *canaries) secret(secret []byte, what string) {
	if len(secret) < beak {
		return // among them what is not set
	}
	for _, form := range forms(secret) {
		c.add(form, what)
	}
}

// said adds what was said, as it was said: its beginning and its end would give it away
// too. Words that a log may use by itself are too short to tell.
func (c *canaries) said(text, what string) {
	const telling = 20
	if len(text) < telling {
		return
	}
	c.add(text[:telling], what)
	c.add(text[len(text)-telling:], what)
}

func (c *canaries) add(form, what string) {
	if c.by == nil {
		c.by, c.kind = map[[beak]byte][]canary{}, map[string]bool{}
	}
	c.kind[what] = true
	head := [beak]byte([]byte(form))
	if !slices.Contains(c.by[head], canary{form, what}) {
		c.by[head] = append(c.by[head], canary{form, what})
	}
}

// merge adds the canaries of another flock.
func (c *canaries) merge(other *canaries) {
	for _, list := range other.by {
		for _, one := range list {
			c.add(one.form, one.what)
		}
	}
}

// in tells what is found in a text, each once.
func (c *canaries) in(text string) []string {
	found := map[string]bool{}
	for i := 0; i+beak <= len(text); i++ {
		list, ok := c.by[[beak]byte([]byte(text[i:i+beak]))]
		if !ok {
			continue
		}
		for _, one := range list {
			if strings.HasPrefix(text[i:], one.form) {
				found[one.what] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// forms are the ways in which a program may write a secret.
func forms(secret []byte) []string {
	out := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 { // bytes that stand in front of it
			whole := alphabet.EncodeToString(append(make([]byte, before), secret...))
			from, to := (before*8+5)/6, (before+len(secret))*8/6
			out = append(out, whole[from:to])
		}
	}
	if !utf8.Valid(secret) {
		return out
	}
	text := string(secret)
	if quoted, err := json.Marshal(text); err == nil {
		out = append(out, string(quoted[1:len(quoted)-1]))
	}
	return append(out, url.QueryEscape(text), url.PathEscape(text), strings.Join(strings.Fields(text), ""))
}
