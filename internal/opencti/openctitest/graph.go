package openctitest

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// entity is an object or relation of the graph.
type entity struct {
	internal, standard string
	kind               *kind
	stixIDs, aliasIDs  []string
	fields             map[string]any
	author             string   // internal id
	markings           []string // internal ids
	labels             []string // values
	references         []string // internal ids of external references
	confidence         int      // of an observable: hidden, its creator's level
	creators           []string // user ids
	created, updated   time.Time

	relation    string // relationship type
	from, to    string // internal ids
	start, stop time.Time

	order int             // of creation
	noted map[string]bool // the keys under which the index holds it
}

func (e *entity) text(field string) string {
	s, _ := e.fields[field].(string)
	return s
}

func (e *entity) list(field string) []string {
	l, _ := e.fields[field].([]string)
	return l
}

// answers says whether the entity is known under id.
func (e *entity) answers(id string) bool {
	return e.internal == id || e.standard == id || slices.Contains(e.stixIDs, id) || slices.Contains(e.aliasIDs, id)
}

// kind is what the platform knows of an entity type.
type kind struct {
	entity, stix, graphql string
	parents               []string
	observable            bool
	aliases               string   // the field that holds aliases
	texts                 []string // single-valued fields that an upsert replaces
	lists                 []string // multi-valued fields that an upsert adds to
	fixed                 []string // fields set at creation only
	dates                 []string
}

func (k *kind) has(field string) bool {
	return slices.Contains(k.texts, field) || slices.Contains(k.lists, field) || slices.Contains(k.fixed, field)
}

var (
	channelKind = &kind{
		entity: "Channel", stix: "channel", graphql: "Channel",
		parents: []string{"Basic-Object", "Stix-Object", "Stix-Core-Object", "Stix-Domain-Object"},
		aliases: "aliases", texts: []string{"name", "description", "lang", "revoked"}, lists: []string{"aliases", "channel_types"}, fixed: []string{"created", "modified"},
	}
	individualKind = &kind{
		entity: "Individual", stix: "identity", graphql: "Individual",
		parents: []string{"Basic-Object", "Stix-Object", "Stix-Core-Object", "Stix-Domain-Object", "Identity"},
		aliases: "x_opencti_aliases", texts: []string{"name", "description", "contact_information", "x_opencti_reliability", "lang", "revoked"},
		lists: []string{"x_opencti_aliases", "roles"}, fixed: []string{"identity_class", "x_opencti_firstname", "x_opencti_lastname", "created", "modified"},
	}
	organizationKind = &kind{
		entity: "Organization", stix: "identity", graphql: "Organization",
		parents: individualKind.parents, aliases: "x_opencti_aliases", texts: individualKind.texts, lists: individualKind.lists, fixed: individualKind.fixed,
	}
	mediaKind = &kind{
		entity: "Media-Content", stix: "media-content", graphql: "MediaContent", observable: true,
		parents: []string{"Basic-Object", "Stix-Object", "Stix-Core-Object", "Stix-Cyber-Observable"},
		texts:   []string{"title", "content", "media_category", "publication_date", "x_opencti_description", "x_opencti_score"}, fixed: []string{"url"}, dates: []string{"publication_date"},
	}
	relationKind = &kind{
		entity: "stix-core-relationship", stix: "relationship", graphql: "StixCoreRelationship",
		parents: []string{"basic-relationship", "stix-relationship", "stix-core-relationship"},
		texts:   []string{"description", "lang", "revoked"}, fixed: []string{"created", "modified"},
	}
	markingKind   = &kind{entity: "Marking-Definition", stix: "marking-definition", graphql: "MarkingDefinition", parents: []string{"Basic-Object", "Stix-Object", "Stix-Meta-Object"}}
	labelKind     = &kind{entity: "Label", stix: "label", graphql: "Label", parents: []string{"Basic-Object", "Stix-Object", "Stix-Meta-Object"}}
	referenceKind = &kind{entity: "External-Reference", stix: "external-reference", graphql: "ExternalReference", parents: []string{"Basic-Object", "Stix-Object", "Stix-Meta-Object"}}
)

// graph is what the platform holds. Platform.mu guards it.
type graph struct {
	entities map[string]*entity // by internal id
	// index finds entities by any id and by what else they are looked up by. It
	// is only added to: who reads it checks what it finds.
	index   map[string][]*entity
	trash   []*trashed
	files   map[string]*storedFile
	owned   map[string][]*storedFile // by internal id of the object
	history []Change
	count   int
}

// find looks an id of any sort up, whoever may see the object.
func (g *graph) find(id string) *entity {
	var alias *entity
	for _, e := range g.known(id) {
		switch {
		case e.internal == id || e.standard == id || slices.Contains(e.stixIDs, id):
			return e
		case slices.Contains(e.aliasIDs, id):
			alias = e
		}
	}
	return alias
}

// known are the living entities that stand, or once stood, under a key.
func (g *graph) known(key string) []*entity {
	var out []*entity
	for _, e := range g.index[key] {
		if g.entities[e.internal] == e {
			out = append(out, e)
		}
	}
	return out
}

// note enters an entity into the index under all that it is looked up by.
func (g *graph) note(e *entity) {
	keys := slices.Concat([]string{e.internal, e.standard}, e.stixIDs, e.aliasIDs)
	switch e.kind {
	case relationKind:
		keys = append(keys, relationKey(e.relation, e.from, e.to), "end "+e.from, "end "+e.to)
	case labelKind:
		keys = append(keys, "label "+e.text("value"))
	}
	for _, k := range keys {
		if !e.noted[k] {
			e.noted[k] = true
			g.index[k] = append(g.index[k], e)
		}
	}
}

func relationKey(relation, from, to string) string {
	return "relation " + relation + " " + from + " " + to
}

// visible is find for one user.
func (g *graph) visible(a *account, id string) *entity {
	if e := g.find(id); e != nil && a.sees(e) {
		return e
	}
	return nil
}

// all returns the entities that match, in the platform's reading order: by
// type, then age.
func (g *graph) all(match func(*entity) bool) []*entity {
	return ordered(slices.DeleteFunc(slices.Collect(maps.Values(g.entities)), func(e *entity) bool { return !match(e) }))
}

func ordered(out []*entity) []*entity {
	slices.SortFunc(out, func(a, b *entity) int {
		if a.kind == b.kind || a.kind.entity == b.kind.entity {
			return a.order - b.order
		}
		return strings.Compare(a.kind.graphql, b.kind.graphql)
	})
	return out
}

func (p *Platform) add(e *entity) *entity {
	if e.internal == "" {
		e.internal = p.newID()
	}
	if e.fields == nil {
		e.fields = map[string]any{}
	}
	e.noted = map[string]bool{}
	p.graph.count++
	e.order = p.graph.count
	e.created = p.now()
	e.updated = e.created
	p.graph.entities[e.internal] = e
	p.graph.note(e)
	return e
}

// entityType is the type as entity_type shows it: of a relation, its own.
func (e *entity) entityType() string {
	if e.relation != "" {
		return e.relation
	}
	return e.kind.entity
}
