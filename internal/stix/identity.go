package stix

import "time"

// ClassIndividual is the identity class of a person (STIX 2.1 §10.7).
const ClassIndividual = "individual"

// Identity is a STIX identity; OpenCTI calls one of class individual an
// Individual.
type Identity struct {
	ID          ID
	Created     time.Time
	Modified    time.Time
	Name        string
	Description string // Markdown
	Class       string // an identity_class
	Labels      []string
	Confidence  *int // 0 to 100
	Markings    []ID
}

// ObjectID implements [Object].
func (i *Identity) ObjectID() ID { return i.ID }

// ObjectType implements [Object].
func (i *Identity) ObjectType() string { return TypeIdentity }

// Refs implements [Object].
func (i *Identity) Refs() []ID { return i.Markings }

// MarshalJSON writes the object with its keys in a fixed order.
func (i *Identity) MarshalJSON() ([]byte, error) {
	var e encoder
	e.text("type", TypeIdentity)
	e.text("spec_version", specVersion)
	e.id("id", i.ID)
	e.time("created", i.Created)
	e.time("modified", i.Modified)
	e.text("name", i.Name)
	e.text("description", i.Description)
	e.text("identity_class", i.Class)
	e.number("confidence", i.Confidence)
	texts(&e, "labels", i.Labels)
	texts(&e, "object_marking_refs", i.Markings)
	return e.done(), nil
}
