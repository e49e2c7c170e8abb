package openctitest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// oasis is the namespace of deterministic STIX ids, STIX 2.1 §2.9.
var oasis = uuid.MustParse("00abedb4-aa42-466c-9c01-fed23315a9b7")

// The ids are computed here apart from the connector's own code, so that each
// checks the other: the platform recomputes every id from what it was sent.

func channelID(name string) string { return standardID("channel", "name", fold(name)) }

func identityID(class, name string) string {
	return standardID("identity", "identity_class", fold(class), "name", fold(name))
}

func mediaID(url string) string { return standardID("media-content", "url", url) }

func labelID(value string) string { return standardID("label", "value", fold(value)) }

func relationID(kind, from, to string, start, stop *time.Time) string {
	pairs := []string{"relationship_type", kind, "source_ref", from}
	if start != nil {
		pairs = append(pairs, "start_time", stamp(*start))
	}
	if stop != nil {
		pairs = append(pairs, "stop_time", stamp(*stop))
	}
	return standardID("relationship", append(pairs, "target_ref", to)...)
}

// standardID hashes key-value pairs, whose keys are in order, as RFC 8785 text.
func standardID(kind string, pairs ...string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		canonicalString(&b, pairs[i])
		b.WriteByte(':')
		canonicalString(&b, pairs[i+1]) //nolint:gosec // G602: keys come with their values
	}
	b.WriteByte('}')
	return kind + "--" + uuid.NewSHA1(oasis, []byte(b.String())).String()
}

// canonicalString writes s as RFC 8785 does: nothing but the quote, the
// backslash and the controls below U+0020 is escaped.
func canonicalString(b *strings.Builder, s string) {
	const short = "\b\t\n\f\r"
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strings.ContainsRune(short, r):
			b.WriteByte('\\')
			b.WriteByte("btnfr"[strings.IndexRune(short, r)])
		case r < 0x20:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// fold lower-cases and trims as JavaScript does. A Caser may keep state, so
// each call has its own.
func fold(s string) string {
	return strings.TrimFunc(cases.Lower(language.Und).String(s), func(r rune) bool {
		return strings.ContainsRune("\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff", r)
	})
}

// stamp is a time as the platform writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// parseStamp reads a time as the platform's DateTime scalar does.
func parseStamp(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Millisecond), true
}

// newID is the next internal id: distinct, and the same in each run.
func (p *Platform) newID() string {
	p.ids++
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "internal %d", p.ids)).String()
}
