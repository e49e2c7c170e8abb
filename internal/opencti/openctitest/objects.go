package openctitest

import (
	"slices"
	"time"
)

// Object is an object or relation of the graph as a test sees it.
type Object struct {
	ID, StandardID string
	EntityType     string // "Channel", "Individual", "Media-Content", or a relationship type
	StixIDs        []string
	// Fields are the attributes that are set: string, int, bool or []string.
	Fields     map[string]any
	Author     string   // standard id
	Markings   []string // definitions, such as "TLP:AMBER"
	Labels     []string
	Confidence int
	Creators   []string // names of users
	Created    time.Time
	Updated    time.Time

	// Of a relation:
	RelationType string
	From, To     string // standard ids
	Start, Stop  time.Time
}

// Text is a text attribute; empty where there is none.
func (o Object) Text(field string) string {
	s, _ := o.Fields[field].(string)
	return s
}

// List is a multi-valued attribute.
func (o Object) List(field string) []string {
	l, _ := o.Fields[field].([]string)
	return l
}

// File is a file of an object.
type File struct {
	ID, Name, MediaType string
	Size                int64
	SHA256              string
	// Data is the content; nil where it is larger than Config.KeepFiles.
	Data    []byte
	Version time.Time
	// Markings are the definitions that restrict the file; a marking that was
	// given as a STIX id to generation 6 restricts nobody and is not among them.
	Markings []string
	// Raw are the markings as stored.
	Raw []string
	// AutoImport says that file importers were started on it.
	AutoImport bool
}

func (p *Platform) snapshot(e *entity) Object {
	o := Object{
		ID: e.internal, StandardID: e.standard, EntityType: e.entityType(), StixIDs: append([]string(nil), e.stixIDs...), Fields: map[string]any{},
		Labels: append([]string(nil), e.labels...), Confidence: e.confidence, Created: e.created, Updated: e.updated,
		RelationType: e.relation, Start: e.start, Stop: e.stop,
	}
	for k, v := range e.fields {
		if l, ok := v.([]string); ok {
			v = append([]string(nil), l...)
		}
		o.Fields[k] = v
	}
	if x := p.graph.entities[e.author]; x != nil {
		o.Author = x.standard
	}
	for _, id := range e.markings {
		o.Markings = append(o.Markings, p.graph.entities[id].text("definition"))
	}
	for _, id := range e.creators {
		if u := p.accountByID(id); u != nil {
			o.Creators = append(o.Creators, u.Name)
		}
	}
	if x := p.graph.entities[e.from]; x != nil {
		o.From = x.standard
	}
	if x := p.graph.entities[e.to]; x != nil {
		o.To = x.standard
	}
	return o
}

// Object returns the object that any of its ids names.
func (p *Platform) Object(id string) (Object, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.graph.find(id)
	if e == nil {
		return Object{}, false
	}
	return p.snapshot(e), true
}

// Objects are all Channels, people, messages and relations, by type and age;
// with types given, only those.
func (p *Platform) Objects(entityTypes ...string) []Object {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshots(p.graph.all(func(e *entity) bool {
		switch e.kind {
		case markingKind, labelKind, referenceKind:
			return false
		}
		return len(entityTypes) == 0 || contains(entityTypes, e.entityType())
	}))
}

func (p *Platform) snapshots(all []*entity) []Object {
	out := slices.Grow([]Object(nil), len(all))
	for _, e := range all {
		out = append(out, p.snapshot(e))
	}
	return out
}

func contains(l []string, s string) bool {
	return slices.Contains(l, s)
}

// Relations are the relations between two objects, each named by any id; an
// empty argument means any.
func (p *Platform) Relations(from, to, relationType string) []Object {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := func(arg, internal string) bool {
		e := p.graph.entities[internal]
		return arg == "" || e != nil && e.answers(arg)
	}
	return p.snapshots(p.graph.all(func(e *entity) bool {
		return e.kind == relationKind && end(from, e.from) && end(to, e.to) && (relationType == "" || e.relation == relationType)
	}))
}

// Files are the files of an object, named by any id, newest first.
func (p *Platform) Files(id string) []File {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.graph.find(id)
	if e == nil {
		return nil
	}
	var out []File
	for _, f := range p.filesOf(&account{all: true}, e) {
		v := File{ID: f.id, Name: f.name, MediaType: f.mediaType, Size: f.size, SHA256: f.sha256, Data: f.data, Version: f.version, Raw: f.markings, AutoImport: !f.noTrigger}
		for _, m := range f.markings {
			if x := p.graph.entities[m]; x != nil {
				v.Markings = append(v.Markings, x.text("definition"))
			}
		}
		out = append(out, v)
	}
	return out
}

// Trash is how many deleted objects wait to be purged.
func (p *Platform) Trash() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.graph.trash)
}
