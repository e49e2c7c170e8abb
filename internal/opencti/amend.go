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
// identity. Names are [Platform.Rename]'s.
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

// Rename gives a Channel or Individual a new name, if the platform still holds
// the name that we wrote; it reports whether the new name stands there now. An
// analyst's own name stays. A rename by mutation leaves no alias behind, and
// aliases are what fuses rooms (opencti.md §12.3). A rename that the platform
// refuses for good, as it does to a user of lower confidence than the object's, is
// logged and not made. An object that is absent is [stix.ErrGone].
func (p *Platform) Rename(ctx context.Context, id stix.ID, from, to string) (renamed bool, err error) {
	h, err := p.read(ctx, []stix.ID{id})
	if err != nil {
		return false, err
	}
	n := h[id]
	switch {
	case n == nil:
		return false, fmt.Errorf("rename %s: %w", id, stix.ErrGone)
	case sameText(n.Name, to):
		return true, nil
	case !sameText(n.Name, from):
		return false, nil
	case len([]rune(trimText(to))) < 2:
		return false, nil // the platform takes no such name
	}
	err = p.client.do(ctx, opDomainPatch, map[string]any{
		"id":    string(id),
		"input": []edit{{Key: "name", Value: []any{to}}},
	}, nil)
	if ClassOf(err) == Permanent {
		p.config.Log.WarnContext(ctx, "the platform refuses a new name", slog.String("stix_id", string(id)), slog.Any("err", err))
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("rename %s: %w", id, err)
	}
	return true, nil
}
