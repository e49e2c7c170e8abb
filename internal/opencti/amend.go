package opencti

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// edit is one field of a mutation; an empty value unsets the field.
type edit struct {
	Key       string `json:"key"`
	Value     []any  `json:"value"`
	Operation string `json:"operation,omitempty"`
}

// Amend changes by mutation what has landed and now says something else: text,
// author and marking of a message, the marking of a Channel or Individual. A
// mutation is answered at once and works on an observable whatever confidence it
// was created with, where an object that is sent again would be ignored in
// silence (opencti.md §12.2). The url is never touched: it is the object's
// identity. The words of a Channel are [Platform.Revise]'s.
//
// A relation is never changed; one that is there has landed. What is absent is
// Missing, and is to be sent by the queue.
func (p *Platform) Amend(ctx context.Context, b stix.Bundle) (stix.Verdicts, error) {
	ids := refsOf(b)
	h, err := p.read(ctx, ids)
	if err != nil {
		return nil, err
	}
	refused := stix.Verdicts{}
	changed := false
	for _, o := range b.Objects {
		s := readSent(o)
		edits := p.edits(s, h)
		if len(edits) == 0 {
			continue
		}
		changed = true
		err = p.patch(ctx, s, edits)
		switch ClassOf(err) {
		case Gone: // the second reading says so
		case Permanent:
			refused[s.ID] = stix.Verdict{State: stix.Refused, Reason: err.Error()}
		default:
			if err != nil {
				return nil, fmt.Errorf("amend %s: %w", s.ID, err)
			}
		}
	}
	if changed {
		if h, err = p.read(ctx, ids); err != nil {
			return nil, err
		}
	}
	verdicts := stix.Verdicts{}
	for _, o := range b.Objects {
		s := readSent(o)
		v := p.compare(s, h)
		if s.Type == stix.TypeRelationship && v.State == stix.Differs {
			v.State = stix.Landed // an analyst's: what we say of a relation is in its id
		}
		verdicts[s.ID] = v
		if v, ok := refused[s.ID]; ok && verdicts[s.ID].State == stix.Differs {
			verdicts[s.ID] = v
		}
	}
	return verdicts, nil
}

// edits are the changes that make a landed object say what was sent.
func (p *Platform) edits(s sent, h held) []edit {
	n := h[s.ID]
	if n == nil {
		return nil
	}
	var edits []edit
	if s.Type == stix.TypeMediaContent {
		for _, f := range textFields(s, n) {
			if sameText(f.sent, f.held) {
				continue
			}
			value := []any{}
			if trimText(f.sent) != "" {
				value = append(value, f.sent)
			}
			edits = append(edits, edit{Key: f.key, Value: value})
		}
		if author := h[s.Author]; author != nil && !h.is(n.Author, s.Author) {
			edits = append(edits, edit{Key: "createdBy", Value: []any{author.ID}, Operation: "replace"})
		}
	}
	if s.Type == stix.TypeRelationship {
		return nil
	}
	if e, ok := p.markingEdit(s, n); ok {
		edits = append(edits, e)
	}
	return edits
}

// markingEdit replaces the markings by those that were sent and those of other
// kinds, where one that was sent is not there.
func (p *Platform) markingEdit(s sent, n *node) (edit, bool) {
	if !slices.ContainsFunc(s.Markings, func(id stix.ID) bool { return !p.marked(n, id) }) {
		return edit{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var value []any
	for _, id := range s.Markings {
		m, ok := p.markings[id]
		if !ok {
			return edit{}, false // not looked up at the start: its internal id is unknown
		}
		value = append(value, m.InternalID)
	}
	for _, m := range n.Markings {
		replaced := slices.ContainsFunc(s.Markings, func(id stix.ID) bool {
			want := p.markings[id]
			return strings.EqualFold(m.Type, want.Type)
		})
		if !replaced {
			value = append(value, m.InternalID)
		}
	}
	return edit{Key: "objectMarking", Value: value, Operation: "replace"}, true
}

func (p *Platform) patch(ctx context.Context, s sent, edits []edit) error {
	op := opFieldPatch
	if s.Type != stix.TypeMediaContent {
		op = opDomainPatch
	}
	return p.client.do(ctx, op, map[string]any{"id": string(s.ID), "input": edits}, nil)
}

// Revise gives a Channel another name and description, each only if the platform still
// holds what was written; it gives what is to be remembered as written from now on. An
// analyst's own words stay. A rename by mutation leaves no alias behind, and aliases are
// what fuses rooms (opencti.md §12.3). A change that the platform refuses for good, as it
// does to a user of lower confidence than the object's, is logged and not made. An object
// that is absent is [stix.ErrGone].
func (p *Platform) Revise(ctx context.Context, c *stix.Channel, written stix.Written) (stix.Written, error) {
	h, err := p.read(ctx, []stix.ID{c.ID})
	if err != nil {
		return written, err
	}
	n := h[c.ID]
	if n == nil {
		return written, fmt.Errorf("revise %s: %w", c.ID, stix.ErrGone)
	}
	var edits []edit
	now := written
	if len([]rune(trimText(c.Name))) >= 2 { // the platform takes no shorter one
		switch {
		case sameText(n.Name, c.Name):
			now.Name = c.Name
		case sameText(n.Name, written.Name):
			edits = append(edits, edit{Key: "name", Value: []any{c.Name}})
			now.Name = c.Name
		}
	}
	switch digest := stix.Digest(c.Description); {
	case stix.Digest(n.About) == digest:
		now.Digest = digest
	case stix.Digest(n.About) == written.Digest:
		edits = append(edits, edit{Key: "description", Value: []any{c.Description}})
		now.Digest = digest
	}
	if len(edits) == 0 {
		return now, nil
	}
	err = p.client.do(ctx, opDomainPatch, map[string]any{"id": string(c.ID), "input": edits}, nil)
	switch {
	case ClassOf(err) == Permanent:
		p.config.Log.WarnContext(ctx, "the platform refuses new words of a Channel", slog.String("stix_id", string(c.ID)), slog.Any("err", err))
		return written, nil
	case err != nil:
		return written, fmt.Errorf("revise %s: %w", c.ID, err)
	}
	return now, nil
}
