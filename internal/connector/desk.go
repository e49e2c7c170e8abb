package connector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Desk is where a command asks the running connector for something.
type Desk struct {
	*request.Table
	store  *store.Store
	folder string
}

// OpenDesk opens the store of the settings, beside the connector that works on it.
func OpenDesk(ctx context.Context, s *config.Config, now func() time.Time) (*Desk, error) {
	seen, err := store.Look(s.Matrix.StorePath)
	if err != nil {
		return nil, fmt.Errorf("look at store: %w", err)
	}
	if !seen.Database {
		return nil, &UnseenError{Path: s.Matrix.StorePath}
	}
	d := &Desk{folder: s.Matrix.StorePath}
	if d.store, err = store.Open(ctx, store.Config{Path: s.Matrix.StorePath, Key: []byte(s.Matrix.StoreKey.Reveal())}); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := request.Ready(ctx, d.store); err != nil {
		if errors.Is(err, request.ErrTables) {
			err = &UnseenError{Path: s.Matrix.StorePath, Older: true}
		}
		return nil, errors.Join(err, d.store.Close())
	}
	d.Table = request.New(d.store, now)
	return d, nil
}

// Close closes the store.
func (d *Desk) Close() error { return d.store.Close() }

// Wake has the running connector look at its requests. Where none is running the error
// is control.ErrNobody.
func (d *Desk) Wake(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://connector"+wakePath, nil)
	if err != nil {
		return err
	}
	res, err := control.Client(d.folder).Do(r)
	if err != nil {
		return err
	}
	_ = res.Body.Close() // it is empty
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("wake the running connector: it answered %s", res.Status)
	}
	return nil
}

// ask has the running connector carry a request out, and reads what came of it into shows.
// Where the connector goes away meanwhile, or nobody waits any more, the request is
// withdrawn: left open, it would be carried out by a start that nobody expects that of. The
// error is control.ErrNobody, a [*RequestError], or that of ctx.
func (d *Desk) ask(ctx context.Context, kind request.Kind, asks, shows any) error {
	number, err := d.Submit(ctx, kind, asks)
	if err != nil {
		return err
	}
	r, err := d.Watch(ctx, number, nil)
	switch {
	case errors.Is(err, control.ErrNobody), err != nil && ctx.Err() != nil:
		return errors.Join(err, d.Withdraw(context.WithoutCancel(ctx), number))
	case err != nil:
		return err
	case r.State != request.Done:
		return &RequestError{r.State, r.Failure()}
	}
	return request.Into(r.Shows, shows)
}

// Between two looks at a request, and how often its watcher makes sure that somebody
// works on it.
const (
	lookEvery = 200 * time.Millisecond
	wakeEvery = 5 * time.Second
)

// Watch waits until the request has ended, telling of every change, and gives it. It
// touches an interactive one. When the connector that should carry the request out has
// gone, the error is control.ErrNobody, and the request stays open.
func (d *Desk) Watch(ctx context.Context, id int64, told func(request.Request)) (request.Request, error) {
	var before string
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for n := 0; ; n++ {
		r, err := d.Get(ctx, id)
		if err != nil {
			return r, err
		}
		if text := string(r.State) + string(r.Shows); text != before && told != nil {
			before = text
			told(r)
		}
		if r.State.Ended() {
			return r, nil
		}
		if n%int(wakeEvery/lookEvery) == 0 {
			if err := d.Wake(ctx); err != nil {
				return r, err
			}
			if r.Interactive {
				if err := d.Touch(ctx, id); errors.Is(err, request.ErrEnded) {
					continue // just now: it is read again
				} else if err != nil {
					return r, err
				}
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
}
