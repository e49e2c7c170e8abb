package mapping

import (
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// maxDisplayName bounds what people call themselves, in characters.
const maxDisplayName = 120

// Author maps a sender. The name is the MXID and there is no alias: people may take
// any display name, and an equal one would make one Individual of two people.
func (m *Mapper) Author(author timeline.Author) *stix.Identity {
	created := known(author.Since)
	var facts []string
	if authorKey(author) != author.User.String() {
		facts = append(facts, "MXID: "+OneLine(author.User.String(), timeline.MaxIDBytes))
	}
	if name := OneLine(author.Name, maxDisplayName); name != "" && name != author.User.String() {
		facts = append(facts, "Display name: "+name)
	}
	return &stix.Identity{
		ID:          AuthorObjectID(author),
		Created:     created,
		Modified:    created,
		Name:        authorKey(author),
		Description: Inert(strings.Join(facts, "\n")),
		Class:       stix.ClassIndividual,
		Confidence:  m.c.Confidence,
		Markings:    markingRefs(m.c.Marking),
	}
}

// authorKey is what an author's Individual is known by.
func authorKey(author timeline.Author) string {
	if author.Key != "" {
		return author.Key
	}
	return author.User.String()
}
