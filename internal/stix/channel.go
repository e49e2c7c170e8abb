package stix

import "time"

// specVersion stands in every object.
const specVersion = "2.1"

// Channel is OpenCTI's domain object for a place where messages are published.
type Channel struct {
	ID       ID
	Created  time.Time
	Modified time.Time
	// Name and Aliases must belong to one room alone: each of them is hashed as
	// though it were the name, and equal hashes are one Channel.
	Name        string
	Description string // Markdown
	Aliases     []string
	Types       []string
	Labels      []string
	Confidence  *int // 0 to 100
	Markings    []ID
}

// ObjectID implements [Object].
func (c *Channel) ObjectID() ID { return c.ID }

// ObjectType implements [Object].
func (c *Channel) ObjectType() string { return TypeChannel }

// Refs implements [Object].
func (c *Channel) Refs() []ID { return c.Markings }

// MarshalJSON writes the object with its keys in a fixed order.
func (c *Channel) MarshalJSON() ([]byte, error) {
	var e encoder
	e.text("type", TypeChannel)
	e.text("spec_version", specVersion)
	e.id("id", c.ID)
	e.time("created", c.Created)
	e.time("modified", c.Modified)
	e.text("name", c.Name)
	e.text("description", c.Description)
	texts(&e, "aliases", c.Aliases)
	texts(&e, "channel_types", c.Types)
	e.number("confidence", c.Confidence)
	texts(&e, "labels", c.Labels)
	texts(&e, "object_marking_refs", c.Markings)
	return e.done(), nil
}
