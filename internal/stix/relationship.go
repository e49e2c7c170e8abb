package stix

import "time"

// The kinds of relationship that the connector makes.
const (
	Publishes   = "publishes"
	RelatedTo   = "related-to"
	DerivedFrom = "derived-from"
)

// Relationship is a STIX relationship object.
type Relationship struct {
	ID             ID
	Created        time.Time
	Modified       time.Time
	Kind           string
	Source, Target ID
	// Start is part of the id: the same relationship with another start is another
	// one. Zero where there is none.
	Start      time.Time
	Confidence *int // 0 to 100
	Markings   []ID
}

// NewRelationship makes a relationship with the id that belongs to its ends and
// start. created is also its modification time.
func NewRelationship(kind string, source, target ID, start, created time.Time, markings ...ID) *Relationship {
	var dates []string
	if !start.IsZero() {
		dates = []string{Timestamp(start)}
	}
	return &Relationship{
		ID:      RelationshipID(kind, source, target, dates...),
		Created: created, Modified: created,
		Kind: kind, Source: source, Target: target, Start: start, Markings: markings,
	}
}

// ObjectID implements [Object].
func (r *Relationship) ObjectID() ID { return r.ID }

// ObjectType implements [Object].
func (r *Relationship) ObjectType() string { return TypeRelationship }

// Refs implements [Object].
func (r *Relationship) Refs() []ID { return append([]ID{r.Source, r.Target}, r.Markings...) }

// MarshalJSON writes the object with its keys in a fixed order.
func (r *Relationship) MarshalJSON() ([]byte, error) {
	var e encoder
	e.text("type", TypeRelationship)
	e.text("spec_version", specVersion)
	e.id("id", r.ID)
	e.time("created", r.Created)
	e.time("modified", r.Modified)
	e.text("relationship_type", r.Kind)
	e.id("source_ref", r.Source)
	e.id("target_ref", r.Target)
	e.number("confidence", r.Confidence)
	texts(&e, "object_marking_refs", r.Markings)
	e.time("start_time", r.Start)
	return e.done(), nil
}
