package connector_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/request"
)

// hinted is an error that a person can cure.
type hinted struct{}

func (hinted) Error() string { return "no such room" }
func (hinted) Hint() string  { return "name another" }

func TestRequestsAreCarriedOutBesideOneAnother(t *testing.T) {
	s := newScene(t)
	table := request.New(s.store, s.now)
	if err := table.Open(s.ctx); err != nil {
		t.Fatal(err)
	}
	submit := func(kind request.Kind) int64 {
		id, err := table.Submit(s.ctx, kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	failing, long, cured := submit(request.KindRequeue), submit(request.KindBackfill), submit(request.KindKeys)
	unknown := submit("something newer")
	pieces := 0
	q := connector.NewRequests(table, map[request.Kind]func(context.Context, request.Request) (bool, error){
		request.KindRequeue: func(context.Context, request.Request) (bool, error) { return true, errors.New("for now") },
		request.KindBackfill: func(ctx context.Context, r request.Request) (bool, error) {
			if pieces++; pieces < 3 {
				return true, nil
			}
			return false, table.Finish(ctx, r.ID, pieces)
		},
		request.KindKeys: func(context.Context, request.Request) (bool, error) { return false, hinted{} },
	})
	for range 3 {
		if more, err := q.Turn(s.ctx); err == nil || more {
			t.Errorf("a failure that may pass is told, and waited for: %v, %v", more, err)
		}
	}
	states := map[int64]request.State{}
	for _, id := range []int64{failing, long, cured, unknown} {
		r, err := table.Get(s.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		states[id] = r.State
		if id == cured && r.Failure() != (request.Failure{Error: "no such room", Hint: "name another"}) {
			t.Errorf("what is told of a failure: %+v", r.Failure())
		}
		if id == unknown && !strings.Contains(r.Failure().Error, "another version") {
			t.Errorf("what is told of an unknown kind: %+v", r.Failure())
		}
	}
	if diff := cmp.Diff(map[int64]request.State{
		failing: request.Open, long: request.Done, cured: request.Failed, unknown: request.Failed,
	}, states); diff != "" {
		t.Error(diff)
	}
}

func TestACommandAsksTheRunningConnector(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hs := homeserver(t)
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + t.TempDir(), "MATRIX_STORE_KEY=" + strings.Repeat("k", 32),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connector.OpenDesk(ctx, settings, nil); err == nil {
		t.Error("there is nothing to ask yet")
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	c, err := connector.New(connector.Config{Settings: settings, Output: t.TempDir(), Follow: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- c.Run(running) }()
	for {
		// The socket opens when the store is the connector's.
		res, err := control.Client(settings.Matrix.StorePath).Get("http://connector/healthz")
		if err == nil {
			_ = res.Body.Close() // it is not read
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	desk, err := connector.OpenDesk(ctx, settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close() //nolint:errcheck // nothing depends on it
	id, err := desk.Submit(ctx, "something newer", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := desk.Watch(ctx, id, nil)
	if err != nil || r.State != request.Failed {
		t.Errorf("the request ended as %s: %v", r.State, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if id, err = desk.Submit(ctx, request.KindRequeue, nil); err != nil {
		t.Fatal(err)
	}
	if r, err = desk.Watch(ctx, id, nil); !errors.Is(err, control.ErrNobody) || r.State != request.Open {
		t.Errorf("with nobody there: %s, %v", r.State, err)
	}
}
