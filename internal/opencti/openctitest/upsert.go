package openctitest

import (
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// input is one object or relation that a user sends, by the queue or by a
// mutation.
type input struct {
	kind       *kind
	given      string // STIX id as sent
	stixIDs    []string
	fields     map[string]any // text, number, bool, or []string; absent ones are not there
	author     string         // any id
	markings   []string       // any ids
	labels     []string       // values, or ids where byID
	references []string
	confidence *int
	files      []fileInput

	relation, from, to string
	start, stop        *time.Time
	badDate, badValue  string // a date that is none

	// strict refuses unknown references, as the platform does until the worker
	// has retried often enough.
	strict bool
	// variable is how error messages name the value: "$input" or "$MediaContent".
	variable string
}

func (in *input) text(field string) string {
	s, _ := in.fields[field].(string)
	return s
}

// resolved are the references of an input as internal ids.
type resolved struct {
	author   string
	markings []string
	labels   []string
}

// upsert creates the object or adds to the one that is already there.
func (p *Platform) upsert(a *account, in *input) (*entity, error) {
	if err := p.check(in); err != nil {
		return nil, err
	}
	refs, err := p.resolve(a, in)
	if err != nil {
		return nil, err
	}
	if in.kind == relationKind {
		return p.upsertRelation(a, in, refs)
	}
	standard := in.standard()
	aliases := in.aliases()
	match := p.match(in, standard, aliases)
	if match != nil && !a.sees(match) {
		return nil, unsupported("Restricted entity already exists", nil)
	}
	aliases = p.unowned(in.kind, aliases, match)
	if match == nil {
		return p.create(a, in, standard, aliases, refs), nil
	}
	p.merge(a, match, in, aliases, refs)
	return match, nil
}

// check refuses what the platform's input types refuse.
func (p *Platform) check(in *input) error {
	where := strings.TrimPrefix(in.variable, "$")
	switch in.kind {
	case mediaKind:
		if in.text("url") == "" {
			return badInput(`Variable "%s" got invalid value null at "%s.url"; Expected non-nullable type "String!" not to be null.`, in.variable, where)
		}
	case channelKind, individualKind, organizationKind:
		name, ok := in.fields["name"].(string)
		if !ok {
			return badInput(`Variable "%s" got invalid value null at "%s.name"; Expected non-nullable type "String!" not to be null.`, in.variable, where)
		}
		if len(utf16.Encode([]rune(name))) < 2 {
			return badInput(`Variable "%s" got invalid value %s at "%s.name". Must be at least 2 characters in length`, in.variable, inspected(name), where)
		}
		if fold(name) == "" {
			return badInput(`Variable "%s" got invalid value %s at "%s.name". Must not be blank`, in.variable, inspected(name), where)
		}
	}
	if in.badDate != "" {
		return notADate(in.variable, where, in.badDate, in.badValue)
	}
	for _, d := range in.kind.dates {
		if s := in.text(d); s != "" {
			t, ok := parseStamp(s)
			if !ok {
				return notADate(in.variable, where, d, s)
			}
			in.fields[d] = stamp(t)
		}
	}
	return nil
}

func notADate(variable, where, field, s string) *platformError {
	return badInput(`Variable "%s" got invalid value %s at "%s.%s"; DateTime cannot represent an invalid date-time-string %s.`, variable, inspected(s), where, field, s)
}

func (p *Platform) resolve(a *account, in *input) (resolved, error) {
	var r resolved
	marks, err := p.resolveMarkings(a, in.markings, in.strict)
	if err != nil {
		return r, err
	}
	r.markings = marks
	if in.author != "" {
		switch e := p.graph.visible(a, in.author); {
		case e != nil:
			r.author = e.internal
		case in.strict:
			return r, missingReference(in.author)
		}
	}
	for _, l := range in.labels {
		if v := p.label(a, l); v != "" {
			r.labels = addNew(r.labels, v)
		}
	}
	return r, nil
}

// label returns the value of an existing label, by value or id, or makes one
// where the user may; else the label vanishes without an error.
func (p *Platform) label(a *account, s string) string {
	for _, e := range append(p.graph.known(s), p.graph.known("label "+fold(s))...) {
		if e.kind == labelKind {
			return e.text("value")
		}
	}
	if strings.HasPrefix(s, "label--") || !a.may("SETTINGS_SETLABELS") || fold(s) == "" {
		return ""
	}
	e := p.add(&entity{kind: labelKind, standard: labelID(s), fields: map[string]any{"value": fold(s), "color": "#a8071a"}})
	return e.text("value")
}

// standard is the id that the platform computes, whatever id was sent.
func (in *input) standard() string {
	switch in.kind {
	case channelKind:
		return channelID(in.text("name"))
	case individualKind:
		return identityID("individual", in.text("name"))
	case organizationKind:
		return identityID("organization", in.text("name"))
	}
	return mediaID(in.text("url"))
}

// aliases are the aliases as sent, without the name itself.
func (in *input) aliases() []string {
	if in.kind.aliases == "" {
		return nil
	}
	l, _ := in.fields[in.kind.aliases].([]string)
	var out []string
	for _, s := range l {
		if fold(s) != "" && fold(s) != fold(in.text("name")) {
			out = addNew(out, s)
		}
	}
	return out
}

// aliasID hashes an alias as though it were the name.
func aliasID(k *kind, alias string) string {
	switch k {
	case channelKind:
		return channelID(alias)
	case organizationKind:
		return identityID("organization", alias)
	}
	return identityID("individual", alias)
}

// match finds the object that an input means: by its own ids, else by an alias.
func (p *Platform) match(in *input, standard string, aliases []string) *entity {
	ids := addNew([]string{standard}, in.stixIDs...)
	if in.given != "" {
		ids = addNew(ids, in.given)
	}
	hit := func(ids []string) []*entity {
		var out []*entity
		for _, id := range ids {
			for _, e := range p.graph.known(id) {
				if e.kind == in.kind && e.answers(id) && !slices.Contains(out, e) {
					out = append(out, e)
				}
			}
		}
		return ordered(out)
	}
	if found := hit(ids); len(found) > 0 {
		if len(found) > 1 {
			p.violate("item", "%s %q means %d objects of the graph: a real platform merges them", in.kind.stix, in.given, len(found))
		}
		for _, e := range found {
			if e.standard == standard {
				return e
			}
		}
		return found[0]
	}
	var by []string
	for _, s := range aliases {
		by = append(by, aliasID(in.kind, s))
	}
	if found := hit(by); len(found) > 0 {
		return found[0]
	}
	return nil
}

// unowned drops the aliases that belong to another object: nothing is merged
// for their sake.
func (p *Platform) unowned(k *kind, aliases []string, match *entity) []string {
	return slices.DeleteFunc(aliases, func(s string) bool {
		id := aliasID(k, s)
		for _, e := range p.graph.known(id) {
			if e != match && e.kind == k && e.answers(id) {
				return true
			}
		}
		return false
	})
}

func (p *Platform) create(a *account, in *input, standard string, aliases []string, refs resolved) *entity {
	e := p.add(&entity{kind: in.kind, standard: standard, author: refs.author, labels: refs.labels, references: in.references, creators: []string{a.ID}})
	for k, v := range in.fields {
		if in.kind.has(k) && !empty(v) {
			e.fields[k] = v
		}
	}
	if in.kind.aliases != "" {
		e.setAliases(aliases)
	}
	e.markings = p.accumulate(nil, refs.markings)
	e.confidence = a.effective(in)
	e.adopt(in, false)
	p.graph.note(e)
	p.record(a, e, "create", "", nil, e.text("content"))
	return e
}

// effective is the confidence of what a user writes. An observable shows none
// and holds its creator's level.
func (a *account) effective(in *input) int {
	if in.kind.observable || in.confidence == nil {
		return a.MaxConfidence
	}
	return min(a.MaxConfidence, *in.confidence)
}

// adopt keeps the given ids that are not the standard one. At creation an id
// that an alias accounts for is not kept.
func (e *entity) adopt(in *input, existing bool) bool {
	before := len(e.stixIDs)
	for _, id := range append([]string{in.given}, in.stixIDs...) {
		if id == "" || id == e.standard || !existing && slices.Contains(e.aliasIDs, id) {
			continue
		}
		e.stixIDs = addNew(e.stixIDs, id)
	}
	return len(e.stixIDs) != before
}

func (e *entity) setAliases(l []string) {
	e.fields[e.kind.aliases] = l
	e.aliasIDs = nil
	for _, s := range l {
		e.aliasIDs = addNew(e.aliasIDs, aliasID(e.kind, s))
	}
}

// merge upserts into an existing object. Below the stored confidence nothing
// but the list of creators changes, and nobody is told.
func (p *Platform) merge(a *account, e *entity, in *input, aliases []string, refs resolved) {
	changed := e.adopt(in, true)
	if !slices.Contains(e.creators, a.ID) {
		e.creators = append(e.creators, a.ID)
		changed = true
	}
	if level := a.effective(in); level >= e.confidence {
		higher := level > e.confidence
		e.confidence = level
		changed = p.mergeFields(a, e, in, aliases) || higher || changed
		changed = p.mergeRefs(e, in, refs, higher) || changed
	}
	if changed {
		e.updated = p.now()
		p.graph.note(e)
	}
}

func (p *Platform) mergeFields(a *account, e *entity, in *input, aliases []string) bool {
	changed := false
	was := e.text("name")
	for k, v := range in.fields {
		if !slices.Contains(in.kind.texts, k) || empty(v) || e.fields[k] == v {
			continue
		}
		p.record(a, e, "update", k, e.fields[k], v)
		e.fields[k] = v
		changed = true
	}
	for _, k := range in.kind.lists {
		l, _ := in.fields[k].([]string)
		if k == in.kind.aliases {
			continue
		}
		if n := addNew(append([]string(nil), e.list(k)...), l...); len(n) != len(e.list(k)) {
			p.record(a, e, "update", k, e.list(k), n)
			e.fields[k] = n
			changed = true
		}
	}
	if in.kind.aliases == "" {
		return changed
	}
	l := addNew(append([]string(nil), aliases...), e.list(in.kind.aliases)...)
	if now := e.text("name"); now != was {
		l = addNew(l, was)
		l = slices.DeleteFunc(l, func(s string) bool { return fold(s) == fold(now) })
		e.standard = in.standard()
		e.stixIDs = slices.DeleteFunc(e.stixIDs, func(id string) bool { return id == e.standard })
	}
	if len(l) != len(e.list(in.kind.aliases)) {
		changed = true
	}
	e.setAliases(l)
	return changed
}

// mergeRefs adds labels and markings; the author of an observable is set only
// where there is none, that of another object only by a higher confidence.
func (p *Platform) mergeRefs(e *entity, in *input, refs resolved, higher bool) bool {
	changed := false
	if refs.author != "" && refs.author != e.author && (e.author == "" || higher && !in.kind.observable) {
		e.author = refs.author
		changed = true
	}
	if m := p.accumulate(e.markings, refs.markings); !slices.Equal(m, e.markings) {
		e.markings = m
		changed = true
	}
	if l := addNew(append([]string(nil), e.labels...), refs.labels...); len(l) != len(e.labels) {
		e.labels = l
		changed = true
	}
	if l := addNew(append([]string(nil), e.references...), in.references...); len(l) != len(e.references) {
		e.references = l
		changed = true
	}
	return changed
}

// empty values never clear anything.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	}
	return false
}
