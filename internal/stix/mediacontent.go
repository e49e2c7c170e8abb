package stix

import "time"

// MediaContent is OpenCTI's observable for something that was published. It has
// no created and modified, as all observables.
type MediaContent struct {
	ID ID
	// URL identifies the object, with its case. It never changes.
	URL         string
	Title       string // plain text
	Content     string // Markdown; the heading of the object's page
	Category    string
	Published   time.Time
	Author      ID     // of an Identity
	Description string // Markdown
	Markings    []ID
	Labels      []string
	// Files are written inside the object; only a sink that writes files to disk
	// uses them.
	Files []InlineFile
}

// InlineFile is a file inside an object.
type InlineFile struct {
	Name       string
	Data       []byte
	MediaType  string
	Version    time.Time
	Markings   []ID
	AutoImport bool
}

// ObjectID implements [Object].
func (m *MediaContent) ObjectID() ID { return m.ID }

// ObjectType implements [Object].
func (m *MediaContent) ObjectType() string { return TypeMediaContent }

// Refs implements [Object].
func (m *MediaContent) Refs() []ID {
	refs := append([]ID(nil), m.Markings...)
	if m.Author != "" {
		refs = append(refs, m.Author)
	}
	return refs
}

// MarshalJSON writes the object with its keys in a fixed order. An observable has
// no created_by_ref in STIX; OpenCTI reads the author from its own key.
func (m *MediaContent) MarshalJSON() ([]byte, error) {
	var e encoder
	e.text("type", TypeMediaContent)
	e.text("spec_version", specVersion)
	e.id("id", m.ID)
	e.text("url", m.URL)
	e.text("title", m.Title)
	e.text("content", m.Content)
	e.text("media_category", m.Category)
	e.time("publication_date", m.Published)
	texts(&e, "object_marking_refs", m.Markings)
	e.id("x_opencti_created_by_ref", m.Author)
	e.text("x_opencti_description", m.Description)
	texts(&e, "labels", m.Labels)
	e.files("x_opencti_files", m.Files)
	return e.done(), nil
}
