package markup

import (
	"fmt"
	"net/url"
	"strings"
)

// leads is what is to be said of a link beside its text: where it leads, or whom it
// means. Empty where the text says so, and for addresses that a client would not
// follow (Matrix C-S API, "m.room.message msgtypes": permitted schemes).
func leads(text, target string) string {
	target = strings.TrimSpace(target)
	scheme, _, found := strings.Cut(target, ":")
	if !found {
		return ""
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "ftp", "mailto", "magnet", "matrix":
	default:
		return ""
	}
	if id := matrixID(target); id != "" {
		if text == id || sameAddress(text, target) {
			return ""
		}
		return "(" + id + ")"
	}
	if sameAddress(text, target) {
		return ""
	}
	return "(" + visibleAddress(target) + ")"
}

// sameAddress reports whether a text is an address, but for its scheme, the slash at
// its end and the case of its letters before the path.
func sameAddress(text, target string) bool {
	return text == target || bare(text) == bare(target)
}

func bare(address string) string {
	for _, scheme := range []string{"http://", "https://", "mailto:"} {
		if len(address) >= len(scheme) && strings.EqualFold(address[:len(scheme)], scheme) {
			address = address[len(scheme):]
			break
		}
	}
	host, path, found := strings.Cut(address, "/")
	host = strings.ToLower(host)
	if !found || path == "" {
		return host
	}
	return host + "/" + path
}

// visibleAddress is an address as it can stand in parentheses on a line: what would
// end it there is percent-encoded. Angle brackets would be the custom; but renderers
// of Markdown that make links of addresses take the closing one into the link.
func visibleAddress(address string) string {
	open, odd, clean := 0, false, true
	for _, r := range address {
		clean = clean && !strange(r)
		switch r {
		case '(':
			open++
		case ')':
			open--
			odd = odd || open < 0
		}
	}
	odd = odd || open != 0
	if clean && !odd {
		return address
	}
	var b strings.Builder
	for _, r := range address {
		switch {
		case r == '\t' || r == '\n' || r == '\r': // browsers leave them out
		case strange(r), odd && (r == '(' || r == ')'):
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// strange reports characters that no address holds as they are, those that cannot
// be seen, and those that could reverse what stands beside them.
func strange(r rune) bool {
	return r <= ' ' || r >= 0x7f && r <= 0xa0 || strings.ContainsRune("<>\"`\\", r) || r == '\ufeff' ||
		r >= '\u2000' && r <= '\u200f' || r >= '\u2028' && r <= '\u202f' || r >= '\u2060' && r <= '\u206f' || r == '\u3000'
}

// sigils are those of the types in matrix URIs.
var sigils = map[string]string{"u": "@", "r": "#", "roomid": "!", "e": "$"}

// matrixID is the person, room or event that an address means, empty if it means
// none (Matrix appendices, "URIs").
func matrixID(target string) string {
	for _, base := range []string{"https://matrix.to/#/", "http://matrix.to/#/"} {
		if path, ok := cutFold(target, base); ok {
			return identifiers(parts(path))
		}
	}
	path, ok := cutFold(target, "matrix:")
	if !ok {
		return ""
	}
	var ids []string
	types := parts(path)
	for i := 0; i+1 < len(types); i += 2 {
		if sigils[types[i]] == "" {
			return ""
		}
		ids = append(ids, sigils[types[i]]+types[i+1])
	}
	if len(types)%2 != 0 {
		return ""
	}
	return identifiers(ids)
}

func cutFold(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return "", false
	}
	return text[len(prefix):], true
}

// parts are those of a path, as far as there can be any.
func parts(path string) []string {
	path, _, _ = strings.Cut(path, "?")
	return strings.SplitN(strings.TrimSuffix(path, "/"), "/", 5)
}

// maxID is the length of a Matrix identifier (Matrix appendices, "Common identifier
// format").
const maxID = 255

// identifiers are a person or a room, or an event in a room; empty for anything
// else.
func identifiers(ids []string) string {
	if len(ids) < 1 || len(ids) > 2 {
		return ""
	}
	for i, id := range ids {
		decoded, err := url.PathUnescape(id)
		if err != nil || len(decoded) < 2 || len(decoded) > maxID || strings.ContainsFunc(decoded, strange) {
			return ""
		}
		first := decoded[0]
		if i == 1 && first != '$' || i == 0 && first != '!' && first != '#' && (first != '@' || len(ids) > 1) {
			return ""
		}
		ids[i] = decoded
	}
	return strings.Join(ids, "/")
}
