package connector

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// pace decides how long a loop waits after a failure, and what of it is logged.
//
// It holds no work: what failed is due in the ledger, or is asked for again with
// the same token. The waits are 1, 2, 4, 8 and then 15 seconds for what may pass by
// itself: who is back is soon noticed, and one attempt costs nobody anything. Towards
// a side that refuses they go on to 16, 32 and 60 seconds. What the other side asks
// for is obeyed, up to an hour.
type pace struct {
	log      *slog.Logger
	what     string // constant phrase for the log, e.g. "sync"
	failures int
	last     string // class of the last failure that was logged
	loggedAt time.Time
	now      func() time.Time
	vitals   *vitals // hears of every outcome; nil: nobody does
}

// The curve of [pace], and how often a failure that goes on is logged again.
const (
	firstWait   = time.Second
	longestWait = 15 * time.Second
	refusedWait = time.Minute // after a refusal: rate limits, rights, what is permanent
	longestAsk  = time.Hour   // a date with a wrong year would end the loop
	logAgain    = 10 * time.Minute
)

// classified is what an error of matrix or opencti says about itself.
type classified struct {
	class string        // "temporary", "rate_limited", "unauthorized", "permanent", "cancelled"
	delay time.Duration // asked for by the other side, 0 when it did not
}

// after notes the outcome of one turn and returns how long to wait before the
// next: nothing after a success.
func (p *pace) after(ctx context.Context, err error, c classified) time.Duration {
	if err == nil {
		p.vitals.worked(p.what)
		if p.failures > 0 {
			p.log.InfoContext(ctx, "works again", slog.String("operation", p.what), slog.Int("attempts", p.failures))
		}
		p.failures, p.last = 0, ""
		return 0
	}
	if errors.Is(err, context.Canceled) && c.class == "cancelled" {
		return 0
	}
	p.vitals.failed(p.what, err, c.class)
	wait := firstWait << min(p.failures, 6)
	if c.class == "temporary" {
		wait = min(wait, longestWait)
	}
	wait = min(wait, refusedWait)
	if c.delay > 0 {
		wait = min(c.delay, longestAsk)
	}
	p.failures++
	now := p.now()
	if c.class != p.last || now.Sub(p.loggedAt) >= logAgain {
		p.last, p.loggedAt = c.class, now
		level := slog.LevelWarn
		if c.class == "unauthorized" || c.class == "permanent" {
			level = slog.LevelError
		}
		attrs := []slog.Attr{
			slog.String("operation", p.what), slog.String("class", c.class), slog.Duration("delay", wait), slog.Any("err", err),
		}
		if hint := Hint(err); hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		p.log.LogAttrs(ctx, level, "failed, will try again", attrs...)
	}
	return wait
}

// pause waits until the time is over, a wake-up comes, or ctx ends. It reports
// whether ctx is still alive.
func pause(ctx context.Context, wait time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return false
	}
	return true
}
