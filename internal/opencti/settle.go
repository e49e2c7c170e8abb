package opencti

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Settle asks once what became of a receipt, and answers [stix.ErrPending] while
// that is open; [Poll] says when to ask again. Then it reads back every object of
// the bundle, and what the platform holds is the verdict. The work's own errors
// only explain what is absent.
//
// It answers [stix.ErrLapsed] when the receipt leads to nothing any more: its
// queue was purged by a reset, it was never published, or its work is deleted or
// stands still with the queue empty and none of its objects there.
func (p *Platform) Settle(ctx context.Context, receipt string, b stix.Bundle) (stix.Verdicts, error) {
	p.mu.Lock()
	w, canRead := *p.follow(receipt), p.canRead
	p.mu.Unlock()
	var state outcome
	switch {
	case w.void:
		p.deleteWork(ctx, receipt)
		return nil, fmt.Errorf("work %s: reset on the platform: %w", receipt, stix.ErrLapsed)
	case canRead && workless(receipt): // there is no work to ask
	case canRead:
		var err error
		if state, err = p.askWork(ctx, receipt, w); err != nil {
			return nil, err
		}
	case !w.published:
		// Nobody can tell how far an earlier process came.
		p.deleteWork(ctx, receipt)
		return nil, fmt.Errorf("work %s: publication unknown: %w", receipt, stix.ErrLapsed)
	}
	large := w.large
	if !w.published {
		// An earlier process has sent it, if anybody has.
		var err error
		if _, large, err = p.fitting(b); err != nil {
			return nil, &Error{Class: Permanent, Op: opReadBack, Code: "unencodable", cause: err}
		}
	}
	sent, verdicts := refuseLarge(b, large)
	if len(sent.Objects) == 0 {
		return verdicts, nil
	}
	if !canRead {
		reason := "confirmed by the broker, not read back"
		if p.config.ThroughAPI {
			reason = "taken by the platform, not read back"
		}
		for _, o := range sent.Objects {
			verdicts[o.ObjectID()] = stix.Verdict{State: stix.Landed, Reason: reason}
		}
		return verdicts, nil
	}
	got, err := p.verdicts(ctx, sent, state.errors)
	switch {
	case err != nil && workless(receipt):
		// While the platform cannot be asked, workers cannot work either.
		p.note(receipt, func(w *watch) { w.moved = p.config.Clock() })
	case err == nil && workless(receipt):
		err = p.judgeWorkless(ctx, receipt, w, got)
	case err == nil:
		err = p.judge(ctx, receipt, state, got)
	}
	if err != nil {
		return nil, err
	}
	maps.Copy(verdicts, got)
	return verdicts, nil
}

// outcome is the end of a work.
type outcome struct {
	errors []workError
	// stalled: the work is open but nothing can happen to it any more.
	stalled bool
	// deleted: the platform does not know the work.
	deleted bool
}

// askWork reads the work and answers ErrPending while it is open and may move.
func (p *Platform) askWork(ctx context.Context, receipt string, w watch) (outcome, error) {
	now := p.config.Clock()
	work, found, err := p.readWork(ctx, receipt)
	if err != nil {
		// While the platform cannot be asked, workers cannot work either.
		p.note(receipt, func(w *watch) { w.moved = now })
		return outcome{}, err
	}
	switch {
	case !found:
		return outcome{deleted: true}, nil
	case work.closed():
		// Its errors are whole only now: a work may show all its items processed
		// and be in progress for one poll more.
		return outcome{errors: work.Errors}, nil
	case !w.published && work.Tracking.Expected == nil:
		p.deleteWork(ctx, receipt)
		return outcome{}, fmt.Errorf("work %s: nothing was published: %w", receipt, stix.ErrLapsed)
	case !work.Tracking.equal(w.seen) || len(work.Errors) != w.errors:
		p.note(receipt, func(w *watch) { w.seen, w.errors, w.moved = work.Tracking, len(work.Errors), now })
		return outcome{}, stix.ErrPending
	case now.Sub(w.moved) < p.patience(w):
		return outcome{}, stix.ErrPending
	}
	waiting, err := p.waiting(ctx)
	if errors.Is(err, stix.ErrPending) {
		return outcome{}, err
	}
	if err != nil || waiting {
		p.note(receipt, func(w *watch) { w.moved = now })
		if err != nil {
			return outcome{}, err
		}
		return outcome{}, stix.ErrPending
	}
	return outcome{errors: work.Errors, stalled: true}, nil
}

// patience is how long a work may stand still. What an earlier process may have
// left half published is given up sooner: most often nothing more will come, and
// sending it again does no harm.
func (p *Platform) patience(w watch) time.Duration {
	switch {
	case w.published:
		return p.config.StallAfter
	case p.config.ThroughAPI:
		return min(p.config.StallAfter, abandonPushAfter)
	}
	return min(p.config.StallAfter, abandonAfter)
}

const abandonAfter = 15 * time.Second

// grace is how long absence has to last until it is believed.
func (p *Platform) grace() time.Duration {
	if p.config.ThroughAPI {
		return max(p.config.SettleGrace, queueLag)
	}
	return p.config.SettleGrace
}

// note changes what is known of a receipt.
func (p *Platform) note(receipt string, change func(*watch)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch.receipt == receipt {
		change(&p.watch)
	}
}

// waiting asks whether messages wait in the connector's own queue: the broker where
// it can be reached, since the platform's count of them lags by seconds.
// While that may be so it answers ErrPending.
func (p *Platform) waiting(ctx context.Context) (bool, error) {
	h, err := p.ready(ctx)
	if err != nil {
		return false, err
	}
	waiting, err := p.carrier.waiting(ctx, h)
	if err != nil || waiting {
		p.mu.Lock()
		p.watch.empty = time.Time{}
		p.mu.Unlock()
	}
	if err != nil {
		p.forgetUnroutable(err)
		return false, fmt.Errorf("ask for the queue: %w", err)
	}
	if waiting || !p.config.ThroughAPI {
		return waiting, nil
	}
	return false, p.emptyFor(queueLag)
}

// judge decides whether what was read back is final. Absence is believed when
// nothing of the connector waits in its queue and it has lasted for the grace: a
// forced end, a report given twice and an older platform's deleted work all leave
// items that still land.
func (p *Platform) judge(ctx context.Context, receipt string, o outcome, got stix.Verdicts) error {
	missing := 0
	for _, v := range got {
		if v.State == stix.Missing {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	nothing := missing == len(got)
	if o.stalled {
		p.deleteWork(ctx, receipt)
		if nothing {
			return fmt.Errorf("work %s: stands still with an empty queue: %w", receipt, stix.ErrLapsed)
		}
		return nil
	}
	now := p.config.Clock()
	p.mu.Lock()
	w := p.follow(receipt)
	if w.absent.IsZero() {
		w.absent = now
	}
	since := now.Sub(w.absent)
	p.mu.Unlock()
	if since < p.grace() {
		return stix.ErrPending
	}
	if since >= p.config.StallAfter {
		return nil
	}
	waiting, err := p.waiting(ctx)
	if err != nil {
		return err
	}
	switch {
	case waiting:
		return stix.ErrPending
	case nothing && o.deleted:
		return fmt.Errorf("work %s: deleted on the platform: %w", receipt, stix.ErrLapsed)
	}
	return nil
}
