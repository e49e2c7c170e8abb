package opencti

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// readChunk is how many ids are asked for in one query.
const readChunk = 300

// ref is one object as another one names it.
type ref struct {
	ID         string  `json:"id"`
	StandardID stix.ID `json:"standard_id"`
}

// node is an object or relation as the platform holds it.
type node struct {
	Typename   string    `json:"__typename"`
	ID         string    `json:"id"`
	StandardID stix.ID   `json:"standard_id"`
	StixIDs    []stix.ID `json:"x_opencti_stix_ids"`
	Markings   []marking `json:"objectMarking"`

	From      *ref   `json:"from"`
	To        *ref   `json:"to"`
	StartTime string `json:"start_time"`

	Name              string   `json:"name"`
	Aliases           []string `json:"aliases"`
	IndividualAliases []string `json:"x_opencti_aliases"`
	Confidence        *int     `json:"confidence"`

	URL         string `json:"url"`
	Title       string `json:"title"`
	Content     string `json:"content"`
	Description string `json:"x_opencti_description"`
	About       string `json:"description"` // of a Channel
	Author      *ref   `json:"createdBy"`
}

// stixType is the node's type as STIX names it.
func (n *node) stixType() string {
	switch n.Typename {
	case "MediaContent":
		return stix.TypeMediaContent
	case "StixCoreRelationship":
		return stix.TypeRelationship
	}
	return n.StandardID.Type()
}

// held is what the platform holds, by the ids that were asked for.
type held map[stix.ID]*node

// read asks for objects and relations by any of their ids.
func (p *Platform) read(ctx context.Context, ids []stix.ID) (held, error) {
	out := held{}
	for chunk := range slices.Chunk(ids, readChunk) {
		nodes, err := p.readNodes(ctx, chunk)
		if err != nil {
			return nil, err
		}
		out.match(chunk, nodes)
	}
	// An id may lead to an object by one of its aliases, which platforms hash as
	// though they were names. Such an object does not name the id, and the older
	// generation does not find it by this filter at all: each is asked for alone.
	for _, id := range ids {
		if t := id.Type(); out[id] != nil || (t != stix.TypeChannel && t != stix.TypeIdentity) {
			continue
		}
		n, err := p.readOne(ctx, id)
		if err != nil {
			return nil, err
		}
		if n != nil {
			out[id] = n
		}
	}
	return out, nil
}

// readOne reads a Channel or Individual by any of its ids, those of its aliases
// included; nil when there is none.
func (p *Platform) readOne(ctx context.Context, id stix.ID) (*node, error) {
	var out struct {
		Object *node `json:"stixCoreObject"`
	}
	if err := p.client.do(ctx, opReadOne, map[string]any{"id": string(id)}, &out); err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	return out.Object, nil
}

// match finds the node of each id among those that came back for all of them.
func (h held) match(ids []stix.ID, nodes []node) {
	known := map[stix.ID]*node{}
	for i := range nodes {
		n := &nodes[i]
		for _, id := range n.StixIDs {
			known[id] = n
		}
		known[stix.ID(n.ID)] = n
	}
	for i := range nodes { // the id that the platform computed goes first
		known[nodes[i].StandardID] = &nodes[i]
	}
	for _, id := range ids {
		if n := known[id]; n != nil {
			h[id] = n
		}
	}
}

func (p *Platform) readNodes(ctx context.Context, ids []stix.ID) ([]node, error) {
	if len(ids) == 0 {
		return nil, nil // an empty list is an error of the platform
	}
	var out struct {
		Objects struct {
			Edges []struct {
				Node node `json:"node"`
			} `json:"edges"`
		} `json:"stixObjectOrStixRelationships"`
	}
	// Two objects may share an id that one of them has as an alias.
	err := p.client.do(ctx, opReadBack, map[string]any{"ids": ids, "first": 2 * len(ids)}, &out)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	nodes := make([]node, 0, len(out.Objects.Edges))
	for _, e := range out.Objects.Edges {
		nodes = append(nodes, e.Node)
	}
	return nodes, nil
}

// is reports whether a reference leads to the object of an id.
func (h held) is(r *ref, id stix.ID) bool {
	if r == nil {
		return false
	}
	if r.StandardID == id {
		return true
	}
	n := h[id]
	return n != nil && n.ID == r.ID
}

// differences names what a landed object says otherwise than what was sent;
// empty when they agree.
func (p *Platform) differences(s sent, n *node, h held) []string {
	var diff []string
	if n.stixType() != s.Type {
		diff = append(diff, "type")
	}
	switch s.Type {
	case stix.TypeMediaContent:
		diff = append(diff, textDifferences(s, n)...)
		if s.Author != "" && !h.is(n.Author, s.Author) {
			diff = append(diff, "author")
		}
	case stix.TypeRelationship:
		if !h.is(n.From, s.Source) || !h.is(n.To, s.Target) {
			diff = append(diff, "ends")
		}
		if !s.Start.IsZero() && !sameTime(s.Start, n.StartTime) {
			diff = append(diff, "start_time")
		}
	}
	for _, id := range s.Markings {
		if !p.marked(n, id) {
			diff = append(diff, "marking")
			break
		}
	}
	return diff
}

// textDifferences compares what a message says. What was sent empty has to be
// empty: a text that was redacted must not stay behind.
func textDifferences(s sent, n *node) []string {
	var diff []string
	if s.URL != n.URL {
		diff = append(diff, "url")
	}
	for _, f := range textFields(s, n) {
		if !sameText(f.sent, f.held) {
			diff = append(diff, f.key)
		}
	}
	return diff
}

// textField is one of the fields that an amendment may change.
type textField struct{ key, sent, held string }

func textFields(s sent, n *node) []textField {
	return []textField{
		{"title", s.Title, n.Title},
		{"content", s.Content, n.Content},
		{"x_opencti_description", s.Description, n.Description},
	}
}

// marked reports whether a node carries a marking, or a stricter one of the same
// kind: that is an analyst's decision.
func (p *Platform) marked(n *node, id stix.ID) bool {
	p.mu.Lock()
	want, known := p.markings[id]
	p.mu.Unlock()
	for _, m := range n.Markings {
		if m.StandardID == string(id) || (known && m.InternalID == want.InternalID) {
			return true
		}
		if known && strings.EqualFold(m.Type, want.Type) && m.Order > want.Order {
			return true
		}
	}
	return false
}
