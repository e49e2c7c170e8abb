package openctitest

import (
	"fmt"
	"slices"
	"time"
)

// A relation without dates holds these, the ends of the platform's time.
var (
	beginning = time.Unix(0, 0).UTC()
	end       = time.Date(5138, 11, 16, 9, 46, 40, 0, time.UTC)
)

// allowed are the relationship types by the types of their ends; related-to is
// allowed everywhere.
var allowed = map[[2]string][]string{
	{"Channel", "Media-Content"}:       {"publishes"},
	{"Channel", "Channel"}:             {"amplifies", "derived-from"},
	{"Channel", "Individual"}:          {"belongs-to", "targets"},
	{"Channel", "Organization"}:        {"belongs-to", "targets"},
	{"Individual", "Media-Content"}:    {"publishes"},
	{"Organization", "Media-Content"}:  {"publishes"},
	{"Media-Content", "Individual"}:    {"authored-by"},
	{"Media-Content", "Organization"}:  {"authored-by"},
	{"Media-Content", "Media-Content"}: {"derived-from"},
	{"Individual", "Individual"}:       {"part-of", "derived-from"},
	{"Individual", "Organization"}:     {"part-of"},
}

func (p *Platform) relates(relation string, from, to *entity) bool {
	ends := [2]string{from.kind.entity, to.kind.entity}
	if relation == "related-to" || slices.Contains(allowed[ends], relation) {
		return true
	}
	return p.gen == Gen7 && relation == "amplifies" && ends == [2]string{"Channel", "Media-Content"}
}

func (p *Platform) upsertRelation(a *account, in *input, refs resolved) (*entity, error) {
	from, to := p.graph.visible(a, in.from), p.graph.visible(a, in.to)
	if from == nil || to == nil {
		return nil, missingReference(in.from, in.to)
	}
	if from == to {
		return nil, unsupported("Relation cant be created with the same source and target", map[string]any{"from": from.internal, "relationshipType": in.relation})
	}
	if !p.relates(in.relation, from, to) {
		return nil, functional(fmt.Sprintf("The relationship type %s is not allowed between %s and %s", in.relation, from.kind.entity, to.kind.entity), nil)
	}
	start, stop := beginning, end
	if in.start != nil {
		start = *in.start
	}
	if in.stop != nil {
		stop = *in.stop
	}
	standard := relationID(in.relation, from.standard, to.standard, in.start, in.stop)
	if e := p.matchRelation(in, standard, from, to, start, stop); e != nil {
		if !a.sees(e) {
			return nil, unsupported("Restricted entity already exists", nil)
		}
		p.mergeRelation(a, e, in, refs, start, stop)
		return e, nil
	}
	e := p.add(&entity{
		kind: relationKind, standard: standard, relation: in.relation, from: from.internal, to: to.internal,
		start: start, stop: stop, author: refs.author, labels: refs.labels, creators: []string{a.ID}, confidence: a.effective(in),
	})
	for k, v := range in.fields {
		if relationKind.has(k) && !empty(v) {
			e.fields[k] = v
		}
	}
	e.markings = p.accumulate(nil, refs.markings)
	e.adopt(in, false)
	p.graph.note(e)
	p.record(a, e, "create", "", nil, "")
	return e, nil
}

// matchRelation finds the relation by id, or by its ends, type and dates within
// thirty days. An undated one lies in 1970, so a dated one is another.
func (p *Platform) matchRelation(in *input, standard string, from, to *entity, start, stop time.Time) *entity {
	for _, id := range []string{standard, in.given} {
		for _, e := range p.graph.known(id) {
			if e.kind == relationKind && e.answers(id) {
				return e
			}
		}
	}
	const window = 30 * 24 * time.Hour
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= window }
	for _, e := range p.graph.known(relationKey(in.relation, from.internal, to.internal)) {
		if near(e.start, start) && near(e.stop, stop) {
			return e
		}
	}
	return nil
}

func (p *Platform) mergeRelation(a *account, e *entity, in *input, refs resolved, start, stop time.Time) {
	if in.start != nil && start.Before(e.start) {
		e.start, e.updated = start, p.now()
	}
	if in.stop != nil && stop.After(e.stop) {
		e.stop, e.updated = stop, p.now()
	}
	p.merge(a, e, in, nil, refs)
}

// links are the relations that touch an entity.
func (g *graph) links(e *entity) []*entity {
	return g.known("end " + e.internal)
}
