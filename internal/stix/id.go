package stix

import (
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// namespace is that of deterministic identifiers (STIX 2.1 §2.9). OpenCTI uses it
// for SDOs and relationships too.
var namespace = uuid.MustParse("00abedb4-aa42-466c-9c01-fed23315a9b7")

// The types that the connector sends or refers to.
const (
	TypeChannel      = "channel"
	TypeIdentity     = "identity"
	TypeMediaContent = "media-content"
	TypeRelationship = "relationship"
	TypeMarking      = "marking-definition"
)

// Type is the type that an id names, empty for what is no id.
func (id ID) Type() string {
	kind, _, found := strings.Cut(string(id), "--")
	if !found {
		return ""
	}
	return kind
}

// ChannelID is the id of a Channel with this name, which is folded: two names
// that differ only in case or outer blanks are one id.
func ChannelID(name string) ID {
	return deterministic(TypeChannel, "name", fold(name))
}

// IdentityID is the id of an Identity. Name and class are folded; the class keeps
// its outer blanks, as in OpenCTI's own client.
func IdentityID(class, name string) ID {
	return deterministic(TypeIdentity, "identity_class", lower(class), "name", fold(name))
}

// IndividualID is the id of an Identity of class "individual", whose name is
// folded.
func IndividualID(name string) ID { return IdentityID(ClassIndividual, name) }

// MediaContentID is the id of a Media-Content with this url, taken as it is.
func MediaContentID(url string) ID {
	return deterministic(TypeMediaContent, "url", url)
}

// RelationshipID is the id of a relationship. dates are its start time and, after
// that, its stop time, as they stand in the object: the text is hashed, so that
// only the form of [Timestamp] gives the id that the platform computes.
func RelationshipID(kind string, source, target ID, dates ...string) ID {
	properties := []string{"relationship_type", kind, "source_ref", string(source)}
	for i, key := range []string{"start_time", "stop_time"} {
		if i < len(dates) {
			properties = append(properties, key, dates[i])
		}
	}
	return deterministic(TypeRelationship, append(properties, "target_ref", string(target))...)
}

// LabelID is the id of a label, taken as it is. The platform folds labels, so only
// a folded value has the same id everywhere ([Label]).
func LabelID(value string) ID { return deterministic("label", "value", value) }

// Label is a label as the platform keeps it: lower-case, without outer blanks.
func Label(value string) string { return fold(value) }

// ReferenceID is the id of an external reference with a url.
func ReferenceID(url string) ID {
	return deterministic("external-reference", "url", url)
}

// SourceReferenceID is the id of an external reference without a url.
func SourceReferenceID(source, externalID string) ID {
	return deterministic("external-reference", "external_id", externalID, "source_name", source)
}

// deterministic hashes the canonical JSON of the contributing properties: keys, in
// the order of [Canonical], each with its text.
func deterministic(kind string, properties ...string) ID {
	canonical := make([]byte, 0, 256)
	for i, text := range properties {
		switch {
		case i == 0:
			canonical = append(canonical, '{')
		case i%2 == 0:
			canonical = append(canonical, ',')
		default:
			canonical = append(canonical, ':')
		}
		canonical = appendString(canonical, text)
	}
	return ID(kind + "--" + uuid.NewSHA1(namespace, append(canonical, '}')).String())
}

// fold is what Python's name.lower().strip() gives.
func fold(text string) string { return strings.TrimFunc(lower(text), blank) }

// lower is Python's str.lower, which knows the final sigma and turns İ into two
// code points. A Caser keeps state, so each call has its own.
func lower(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return cases.Lower(language.Und).String(text)
		}
	}
	return strings.ToLower(text)
}

// blank is the set that Python's str.strip removes. Go's unicode.IsSpace lacks
// U+001C to U+001F.
func blank(r rune) bool {
	switch {
	case r >= '\t' && r <= '\r', r >= 0x1C && r <= ' ', r == 0x85, r == 0xA0, r == 0x1680,
		r >= 0x2000 && r <= 0x200A, r == 0x2028, r == 0x2029, r == 0x202F, r == 0x205F, r == 0x3000:
		return true
	}
	return false
}
