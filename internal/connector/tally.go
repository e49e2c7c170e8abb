package connector

import (
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// counts is where the deliverer counts; nil counts nothing.
func (d *deliverer) counts() *telemetry.Metrics { return d.vitals.count() }

// tally counts what became of a row, and how long a live message was on its way.
func (d *deliverer) tally(p parcel, v stix.Verdict) {
	outcome := map[stix.VerdictState]string{
		stix.Landed: "landed", stix.Differs: "differs", stix.Missing: "missing", stix.MissingEnd: "missing_end", stix.Refused: "refused",
	}[v.State]
	if v.Reason == reasonGone {
		outcome = "gone"
	}
	d.counts().Delivered(string(p.ref.Kind), outcome)
	if v.State == stix.Landed && p.draft != nil && p.landed == 0 && p.draft.Live && !p.draft.Post.Sent.IsZero() {
		d.counts().Landed(d.now().Sub(p.draft.Post.Sent))
	}
}
