package config

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Headers are HTTP headers whose values are shown to nobody. The zero value is "not
// set".
type Headers struct{ header *http.Header }

// Header gives the headers, to be changed by whoever asked for them; it is never
// nil.
func (h Headers) Header() http.Header {
	if h.header == nil {
		return http.Header{}
	}
	return h.header.Clone()
}

// ours are the headers that no setting may take: HTTP or the connector itself needs
// them.
var ours = map[string]string{
	"Authorization":     "the platform's token is OPENCTI_TOKEN",
	"Connection":        "leave it out",
	"Content-Length":    "leave it out",
	"Content-Type":      "leave it out",
	"Host":              "the platform's name stands in OPENCTI_URL",
	"Transfer-Encoding": "leave it out",
}

// UnmarshalText takes name:value pairs with semicolons between them. A value may
// hold colons, and ends at a semicolon. What is wrong is told by the pair's place:
// its text may be a secret.
func (h *Headers) UnmarshalText(text []byte) error {
	header := http.Header{}
	for i, pair := range strings.Split(string(text), ";") {
		if strings.TrimSpace(pair) == "" {
			continue // after the last semicolon
		}
		name, value, ok := strings.Cut(pair, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		const cure = "write name:value pairs with semicolons between them, like X-Team:intel;X-Zone:dmz"
		switch {
		case !ok:
			return malformed(fmt.Sprintf("has no colon in pair %d", i+1), cure)
		case !headerName(name):
			return malformed(fmt.Sprintf("has no name that HTTP allows in pair %d", i+1), cure)
		case value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
			return malformed(fmt.Sprintf("has no value that HTTP allows in pair %d", i+1), cure)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if why, taken := ours[name]; taken {
			return malformed(fmt.Sprintf("must not set %s (pair %d)", name, i+1), why)
		}
		header.Add(name, value)
	}
	if len(header) == 0 {
		return malformed("has no pair", "write name:value pairs, or leave it empty")
	}
	*h = Headers{header: &header}
	return nil
}

// headerName is RFC 9110 §5.6.2, token.
func headerName(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(marks, r)
	})
}

func (h Headers) texts() []string {
	if h.header == nil {
		return nil
	}
	var list []string
	for _, values := range *h.header {
		list = append(list, values...)
	}
	slices.Sort(list)
	return list
}

// String is "[redacted]".
func (Headers) String() string { return redacted }

// GoString is "[redacted]".
func (Headers) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb.
func (Headers) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is "[redacted]".
func (Headers) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is "[redacted]"; JSON and YAML encoders use it.
func (Headers) MarshalText() ([]byte, error) { return []byte(redacted), nil }
