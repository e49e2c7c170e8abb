package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// pinger shows the platform that the connector lives, and hears when an analyst
// resets its state there.
type pinger struct {
	ledger   *ledger.Ledger
	platform pinged
	log      *slog.Logger
	vitals   *vitals // nil: nothing is counted
	now      func() time.Time
	info     opencti.PingInfo
	judge    *judge    // of what the platform keeps, before each ping; nil: it may not be asked
	looked   time.Time // when the platform was last the one that it was
	reset    bool      // asked for and not carried out yet: the platform says so once
}

// pinged is what is pinged: an [opencti.Platform].
type pinged interface {
	State(ctx context.Context) (state []byte, reset bool, err error)
	Ping(ctx context.Context, state []byte, info opencti.PingInfo) (reset bool, err error)
}

// lastPing is how long a stop waits for the ping that tells how far the store came.
const lastPing = 2 * time.Second

// run pings until ctx ends, and once more then. Its error is a verdict about the store or
// the platform, for a person to act upon.
func (p *pinger) run(ctx context.Context) error {
	pace := pace{log: p.log, what: opPing, now: time.Now, vitals: p.vitals}
	for {
		err := p.ping(ctx)
		if judged(err) {
			return err
		}
		wait := opencti.PingEvery
		if ctx.Err() == nil {
			if failed := pace.after(ctx, err, classify(err)); failed > 0 {
				wait = min(failed, wait)
			}
		}
		if pause(ctx, wait, nil) {
			continue
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPing)
			defer cancel()
			_ = p.ping(ctx) // the next start tells
		}
		return nil
	}
}

// look finds out whether store and platform are still what they were: the platform may have
// been restored or replaced since the last ping.
func (p *pinger) look(ctx context.Context) error {
	if p.judge == nil {
		return nil
	}
	now := p.now()
	state, reset, err := p.platform.State(ctx)
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if !reset { // which the ping hears of
		err = p.judge.look(ctx, state)
	}
	if _, other := errors.AsType[*OtherPlatformError](err); other {
		// What landed meanwhile has landed in the wrong place.
		_, failed := p.ledger.Restored(ctx, p.looked)
		return errors.Join(err, failed)
	}
	if err == nil {
		p.looked = now
	}
	return err
}

func (p *pinger) ping(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		p.vitals.count().Pinged(err)
		return err
	}
	here, err := p.ledger.Mark(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(mark{Version: markVersion, Store: here.Store, Commits: here.Commits, At: p.now().UTC()})
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	reset, err := p.platform.Ping(ctx, text, p.info)
	p.vitals.count().Pinged(err)
	if p.reset = p.reset || reset; !p.reset {
		if err != nil {
			return err
		}
		return p.ledger.Tell(ctx, here.Commits)
	}
	// Also when the connector was told to stop meanwhile.
	if failed := startOver(context.WithoutCancel(ctx), p.ledger, p.log); failed != nil {
		return errors.Join(err, failed)
	}
	p.reset = false
	return err
}

// startOver carries out a reset: everything that is kept is due again, and history
// is walked again from the start date.
func startOver(ctx context.Context, l *ledger.Ledger, log *slog.Logger) error {
	log.WarnContext(ctx, "the platform asks for everything again")
	if err := l.Reset(ctx); err != nil {
		return fmt.Errorf("carry out reset: %w", err)
	}
	return nil
}
