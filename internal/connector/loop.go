package connector

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
)

// idle is how long a loop sleeps at most when nothing calls it: a safety net for
// what no change announces.
const idle = 30 * time.Second

// calm is how long a loop that found nothing lets changes gather before it looks
// again. News comes many times a second, and nearly all of it is not for every loop.
const calm = 50 * time.Millisecond

// calmKeys is the same for the loop that keeps keys: a key is saved and looked for soon, and
// nothing waits for it.
const calmKeys = 2 * time.Second

// loop runs turns of one kind of work.
type loop struct {
	name   string
	ledger *ledger.Ledger
	log    *slog.Logger
	now    func() time.Time
	vitals *vitals // hears of every turn; nil: nobody does
	// wake gives the channel that calls the loop, as [ledger.Ledger.Changed] does; nil
	// is just that.
	wake func() <-chan struct{}
	// calm is the wait between a call and the turn that it leads to.
	calm time.Duration
	// turn does one piece of work. It reports whether there may be more to do at
	// once.
	turn func(ctx context.Context) (more bool, err error)
}

// run runs turns until ctx ends. Failures are logged here, and only here, and are
// followed by a pause. It always returns nil once ctx has ended.
func (l *loop) run(ctx context.Context) error {
	p := pace{log: l.log, what: l.name, now: l.now, vitals: l.vitals}
	for ctx.Err() == nil {
		changed := l.called()
		ended := l.vitals.turn(l.name)
		more, err := l.protected(ctx)
		ended()
		if wait := p.after(ctx, err, classify(err)); wait > 0 {
			if !pause(ctx, wait, nil) {
				break
			}
			continue
		}
		if more {
			continue
		}
		if !pause(ctx, l.untilDue(ctx), changed) || l.calm > 0 && !pause(ctx, l.calm, nil) {
			break
		}
	}
	return nil
}

func (l *loop) called() <-chan struct{} {
	if l.wake != nil {
		return l.wake()
	}
	return l.ledger.Changed()
}

// protected turns a panic into an error, so that one bad row does not end the
// process: the row is still there, and the stack is in the log.
func (l *loop) protected(ctx context.Context) (more bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			// The value of a panic may quote data; the stack does not.
			l.log.ErrorContext(ctx, "a loop panicked and goes on", slog.String("operation", l.name),
				slog.String("stack", string(debug.Stack())))
			err = errPanic
		}
	}()
	return l.turn(ctx)
}

var errPanic = errors.New("panic in a loop; see the log for its stack")

// untilDue is the time until something becomes due by itself, at most idle.
func (l *loop) untilDue(ctx context.Context) time.Duration {
	next, err := l.ledger.NextDue(ctx)
	if err != nil || next.IsZero() {
		return idle
	}
	return min(max(next.Sub(l.now()), 10*time.Millisecond), idle)
}
