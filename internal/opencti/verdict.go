package opencti

import (
	"context"
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
		s, err := readSent(o)
		if err != nil {
			return nil, &Error{Class: Permanent, Op: opReadBack, Code: "unencodable"}
		}
		v := p.compare(s, h)
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
	case len(diff) == 1 && diff[0] == "author" && h[s.author()] == nil:
		return stix.Verdict{State: stix.MissingEnd, Reason: "author is absent"}
	}
	return stix.Verdict{State: stix.Differs, Reason: strings.Join(diff, ", ")}
}

// fitting leaves out what is larger than the broker's limit for a message, with
// the verdict on it.
func (p *Platform) fitting(b stix.Bundle) (stix.Bundle, stix.Verdicts) {
	out := stix.Bundle{Objects: make([]stix.Object, 0, len(b.Objects))}
	refused := stix.Verdicts{}
	limit := p.queue.messageLimit()
	for _, o := range b.Objects {
		if text, err := stix.Marshal(o); err == nil && envelopeBytes(text) > limit {
			refused[o.ObjectID()] = stix.Verdict{State: stix.Refused, Reason: reasonTooLarge}
			continue
		}
		out.Objects = append(out.Objects, o)
	}
	return out, refused
}
