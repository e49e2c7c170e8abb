package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Backfill has history read: by the connector that runs on the store of the settings or,
// where none does, by itself. It tells how far it is, also whether the running connector
// does the work, and gives what came of it. Whoever ends ctx, or kills the process, ends the
// watching alone: what was asked for stays, and is gone on with by the running connector, by
// the next start, or by the same command given again.
func Backfill(ctx context.Context, c Config, asked BackfillAsked, told func(s BackfillShown, running bool)) (shown BackfillShown, err error) {
	desk, err := OpenDesk(ctx, c.Settings, c.Now)
	if err != nil {
		return shown, err
	}
	defer func() { err = errors.Join(err, desk.Close()) }()
	number, err := desk.askOnce(ctx, request.KindBackfill, asked)
	if err != nil {
		return shown, err
	}
	tell := func(running bool) func(request.Request) {
		return func(r request.Request) {
			var s BackfillShown
			if (r.State == request.Open || r.State == request.Done) && r.Shows != nil && request.Into(r.Shows, &s) == nil {
				told(s, running)
			}
		}
	}
	err = desk.Wake(ctx)
	running := !errors.Is(err, control.ErrNobody)
	if !running {
		if err = backfillAside(ctx, c, number, tell(false)); err != nil {
			return shown, err
		}
	} else if err != nil {
		return shown, err
	}
	r, err := desk.Watch(ctx, number, tell(running))
	if errors.Is(err, control.ErrNobody) {
		return shown, &BackfillError{What: "the connector has stopped", Cure: "start it, and it goes on with the history; or give the same command again"}
	}
	if err != nil {
		return shown, err
	}
	if r.State != request.Done {
		return shown, &RequestError{r.State, r.Failure()}
	}
	return shown, request.Into(r.Shows, &shown)
}

// StopBackfills withdraws all requests of history, and gives how many there were. What was
// read stays.
func StopBackfills(ctx context.Context, c Config) (n int, err error) {
	desk, err := OpenDesk(ctx, c.Settings, c.Now)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, desk.Close()) }()
	pending, err := desk.Pending(ctx, request.KindBackfill)
	if err != nil {
		return 0, err
	}
	for _, r := range pending {
		if err := desk.Withdraw(ctx, r.ID); err == nil {
			n++
		} else if !errors.Is(err, request.ErrEnded) {
			return n, err
		}
	}
	if err := desk.Wake(ctx); err != nil && !errors.Is(err, control.ErrNobody) {
		return n, err
	}
	return n, nil // where nobody runs, the next start ends the walks
}

// askOnce submits a request, unless the same one is open already: then that one.
func (d *Desk) askOnce(ctx context.Context, kind request.Kind, asks any) (int64, error) {
	text, err := json.Marshal(asks)
	if err != nil {
		return 0, fmt.Errorf("write request: %w", err)
	}
	pending, err := d.Pending(ctx, kind)
	if err != nil {
		return 0, err
	}
	for _, r := range pending {
		if string(r.Asks) == string(text) {
			return r.ID, nil
		}
	}
	return d.Submit(ctx, kind, asks)
}

// backfillAside reads history without a running connector, until the request has ended.
func backfillAside(ctx context.Context, config Config, number int64, told func(request.Request)) (err error) {
	c, err := New(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.openAside(ctx); err != nil {
		return err
	}
	if err := c.openAccount(ctx); err != nil {
		return err
	}
	fill := &filler{ledger: c.ledger, account: c.account, log: c.log, vitals: c.vitals}
	b := c.backfiller()
	working, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	turn := func(ctx context.Context) (bool, error) {
		r, err := c.requests.Get(ctx, number)
		if err == nil && r.State == request.Open {
			_, err = b.carry(ctx, r)
			if err != nil && final(err) {
				err = c.requests.Fail(ctx, number, request.Failure{Error: err.Error(), Hint: Hint(err)})
			}
		}
		if err == nil {
			r, err = c.requests.Get(ctx, number)
		}
		if err != nil {
			return false, err
		}
		told(r)
		if r.State.Ended() {
			stop()
			return false, nil
		}
		more, err := fill.turn(ctx)
		if err != nil && ctx.Err() == nil && classify(err).class == "unauthorized" {
			failed = err
			stop()
		}
		return more, err
	}
	if err := c.loop("fill", turn).run(working); err != nil {
		return err
	}
	return errors.Join(failed, ctx.Err())
}

// openAside opens what reading needs, for a command that works while no connector runs.
func (c *Connector) openAside(ctx context.Context) (err error) {
	if err := c.openStore(ctx); err != nil {
		return err
	}
	if c.unlock, err = c.store.Lock("connector"); errors.Is(err, store.ErrLocked) {
		return &RunningError{Path: c.store.Path()}
	} else if err != nil {
		return err
	}
	c.requests = request.New(c.store, c.now)
	if err := c.requests.Open(ctx); err != nil {
		return err
	}
	if err := c.openLedger(ctx); err != nil {
		return err
	}
	if err := c.backfiller().begin(ctx); err != nil {
		return err
	}
	if err := c.ledger.Reconsider(ctx); err != nil {
		return fmt.Errorf("apply settings to the ledger: %w", err)
	}
	c.account, err = c.newAccount()
	return err
}
