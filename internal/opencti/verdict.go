package opencti

import (
	"context"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// reasonTooLarge is the verdict's reason for an object that no broker message can
// hold.
const reasonTooLarge = "larger than the broker's limit for a message"

// verdicts reads the objects of a batch and all that they refer to, and compares
// them with what was sent.
func (p *Platform) verdicts(ctx context.Context, b stix.Bundle, errs []workError) (stix.Verdicts, error) {
	h, err := p.read(ctx, refsOf(b))
	if err != nil {
		return nil, err
	}
	named, unnamed := refusals(errs)
	own := map[stix.ID]bool{}
	for _, o := range b.Objects {
		own[o.ObjectID()] = true
	}
	verdicts := stix.Verdicts{}
	var unexplained []stix.ID
	for _, o := range b.Objects {
		id := o.ObjectID()
		v := p.compare(readSent(o), h)
		r, explained := named[id]
		switch {
		case h[id] != nil:
		case explained:
			v.Reason = r.reason()
			if r.final() {
				v.State = stix.Refused
			}
		default:
			unexplained = append(unexplained, id)
		}
		if end := absentEnd(o, h); h[id] == nil && v.State != stix.Refused {
			v.State = stix.Missing
			if end != "" && !own[end] {
				v.State = stix.MissingEnd
			}
			if end != "" && v.Reason == "" {
				v.Reason = end.Type() + " is absent"
			}
		}
		verdicts[id] = v
	}
	// An item above 100 kB is not named. Its error is known to be its own only
	// when there are as many of them as absent objects and all say the same.
	if r, ok := sameRefusal(unnamed); ok && len(unnamed) == len(unexplained) {
		for _, id := range unexplained {
			if verdicts[id].State == stix.Missing && r.final() {
				verdicts[id] = stix.Verdict{State: stix.Refused, Reason: r.reason()}
			}
		}
	}
	return verdicts, nil
}

func sameRefusal(rs []refusal) (refusal, bool) {
	if len(rs) == 0 {
		return refusal{}, false
	}
	for _, r := range rs[1:] {
		if r != rs[0] {
			return refusal{}, false
		}
	}
	return rs[0], true
}

// absentEnd is an object that another one refers to and that the platform does
// not hold; empty when all are there. Whoever misses an end that is in the batch
// itself only follows it.
func absentEnd(o stix.Object, h held) stix.ID {
	for _, ref := range o.Refs() {
		if ref != "" && ref.Type() != stix.TypeMarking && h[ref] == nil {
			return ref
		}
	}
	return ""
}

// compare gives the verdict on one object from what the platform holds.
func (p *Platform) compare(s sent, h held) stix.Verdict {
	n := h[s.ID]
	if n == nil {
		return stix.Verdict{State: stix.Missing}
	}
	diff := p.differences(s, n, h)
	switch {
	case len(diff) == 0:
		return stix.Verdict{State: stix.Landed}
	case len(diff) == 1 && diff[0] == "author" && h[s.Author] == nil:
		return stix.Verdict{State: stix.MissingEnd, Reason: "author is absent"}
	}
	return stix.Verdict{State: stix.Differs, Reason: strings.Join(diff, ", ")}
}

// encoded is an object with its JSON.
type encoded struct {
	object stix.Object
	text   []byte
}

// fitting encodes the objects of a bundle, leaving out what is larger than the
// broker's limit for a message.
func (p *Platform) fitting(b stix.Bundle) (fit []encoded, large []stix.ID, err error) {
	limit := p.queue.messageLimit()
	fit = make([]encoded, 0, len(b.Objects))
	for _, o := range b.Objects {
		text, err := stix.Marshal(o)
		if err != nil {
			return nil, nil, err
		}
		if envelopeBytes(text) > limit {
			large = append(large, o.ObjectID())
			continue
		}
		fit = append(fit, encoded{o, text})
	}
	return fit, large, nil
}

// refuseLarge takes what no message can hold out of a bundle, with the verdict on it.
func refuseLarge(b stix.Bundle, large []stix.ID) (stix.Bundle, stix.Verdicts) {
	refused := stix.Verdicts{}
	if len(large) == 0 {
		return b, refused
	}
	var rest stix.Bundle
	for _, o := range b.Objects {
		if slices.Contains(large, o.ObjectID()) {
			refused[o.ObjectID()] = stix.Verdict{State: stix.Refused, Reason: reasonTooLarge}
			continue
		}
		rest.Objects = append(rest.Objects, o)
	}
	return rest, refused
}
