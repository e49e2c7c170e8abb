package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/matrix-connector/matrix-connector/internal/request"
)

// requests carries out what commands ask for (see package request). Each turn gives
// every open request a piece of work, so that a long one does not hold up the others.
type requests struct {
	table *request.Table
	log   *slog.Logger
	// carriers say how each kind is carried out. One that is not known here was made by
	// another version of this program.
	carriers map[request.Kind]carrier
	// sweep is told which requests are open; nil: nobody needs to know.
	sweep func(ctx context.Context, open []request.Request) error
}

// carrier does a piece of what is asked for. It must be short, and safe to repeat: the
// process may be killed between the piece and its noting.
//
// It ends the request itself ([request.Table.Finish]). A failure that a person has to
// cure, or that will not pass, ends it too; after any other the request stays open.
type carrier func(ctx context.Context, r request.Request) (more bool, err error)

func (q *requests) turn(ctx context.Context) (more bool, err error) {
	pending, err := q.table.Pending(ctx)
	if err != nil {
		return false, err
	}
	var failures []error
	if q.sweep != nil {
		if err := q.sweep(ctx, pending); err != nil {
			failures = append(failures, err)
		}
	}
	for _, r := range pending {
		again, err := q.carry(ctx, r)
		more = more || again
		switch {
		case err == nil, errors.Is(err, request.ErrEnded): // withdrawn meanwhile
		case ctx.Err() != nil:
			return false, ctx.Err()
		case final(err):
			q.log.WarnContext(ctx, "a request cannot be carried out", slog.String("operation", string(r.Kind)), slog.Any("err", err))
			if err := q.table.Fail(ctx, r.ID, request.Failure{Error: err.Error(), Hint: Hint(err)}); err != nil && !errors.Is(err, request.ErrEnded) {
				failures = append(failures, err)
			}
		default:
			failures = append(failures, fmt.Errorf("request %s: %w", r.Kind, err))
		}
	}
	return more && len(failures) == 0, errors.Join(failures...)
}

// errOtherVersion is a request that this program does not know.
var errOtherVersion = errors.New("the running connector does not know this request: it is of another version than the command")

func (q *requests) carry(ctx context.Context, r request.Request) (bool, error) {
	carry, ok := q.carriers[r.Kind]
	if !ok {
		return false, errOtherVersion
	}
	return carry(ctx, r)
}

// final reports whether trying again would not help.
func final(err error) bool {
	if errors.Is(err, errOtherVersion) || Hint(err) != "" {
		return true
	}
	class := classify(err).class
	return class == "permanent" || class == "unauthorized"
}

// requestLoop is the loop that carries requests out. Commands call it through the
// control socket, and verifications when something came.
func (c *Connector) requestLoop() *loop {
	f := &verifier{
		verifications: c.account.Verifications(c.invites.MayInvite, c.call), account: c.account, table: c.requests,
		may: c.invites.MayInvite, now: c.now, wake: c.call, held: map[int64]*held{},
	}
	b := c.backfiller()
	sweep := func(ctx context.Context, open []request.Request) error {
		return errors.Join(f.sweep(ctx, open), b.sweep(ctx, open))
	}
	q := &requests{table: c.requests, log: c.log, sweep: sweep, carriers: map[request.Kind]carrier{
		request.KindKeys: c.carryKeys, request.KindRequeue: c.carryRequeue, request.KindVerify: f.carry, request.KindBackfill: b.carry,
	}}
	l := c.loop("request", func(ctx context.Context) (bool, error) { return f.turn(ctx, q.turn) })
	l.wake, l.calm = func() <-chan struct{} { return c.asked }, 0
	return l
}

// call says that there is a request. It never waits.
func (c *Connector) call() {
	select {
	case c.asked <- struct{}{}:
	default: // called already
	}
}
