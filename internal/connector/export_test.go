package connector

import (
	"context"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Deliverer is the deliverer for tests: one turn at a time.
type Deliverer struct{ d *deliverer }

func NewDeliverer(l *ledger.Ledger, st *store.Store, s Sink, m *mapping.Mapper, now func() time.Time) *Deliverer {
	return &Deliverer{&deliverer{
		ledger: l, store: st, sink: s, mapper: m, log: slog.New(slog.DiscardHandler), now: now, rows: maxRows,
	}}
}

func (d *Deliverer) Turn(ctx context.Context) (more bool, err error) { return d.d.turn(ctx) }

// Asked is how often the sink was asked about the batch in hand.
func (d *Deliverer) Asked() int { return d.d.flight.asked }

// Attacher is the attacher for tests.
type Attacher struct{ t *attacher }

func NewAttacher(l *ledger.Ledger, st *store.Store, s Sink, m *mapping.Mapper) *Attacher {
	return &Attacher{&attacher{ledger: l, store: st, sink: s, mapper: m, log: slog.New(slog.DiscardHandler)}}
}

func (a *Attacher) Turn(ctx context.Context) (more bool, err error) { return a.t.turn(ctx) }

// Pinger is the pinger for tests: one ping at a time.
type Pinger struct{ p *pinger }

func NewPinger(l *ledger.Ledger, platform pinged) *Pinger {
	return &Pinger{&pinger{ledger: l, platform: platform, log: slog.New(slog.DiscardHandler), now: time.Now}}
}

func (p *Pinger) Ping(ctx context.Context) error { return p.p.ping(ctx) }

// Requests carries requests out for tests: one turn at a time.
type Requests struct{ q *requests }

func NewRequests(t *request.Table, carriers map[request.Kind]func(context.Context, request.Request) (bool, error)) *Requests {
	q := &requests{table: t, log: slog.New(slog.DiscardHandler), carriers: map[request.Kind]carrier{}}
	for k, c := range carriers {
		q.carriers[k] = c
	}
	return &Requests{q}
}

func (r *Requests) Turn(ctx context.Context) (more bool, err error) { return r.q.turn(ctx) }

func ForeignRoom(f stix.Found, room, key string) bool   { return foreignRoom(f, room, key) }
func ForeignPerson(f stix.Found, user, key string) bool { return foreignPerson(f, user, key) }

// Rhythm is when to ask.
type Rhythm struct{ r rhythm }

func (r *Rhythm) Wait(objects int, since time.Duration, asked int) time.Duration {
	return r.r.wait(objects, since, asked)
}

func (r *Rhythm) Done(objects int, took, last time.Duration, asked int) {
	r.r.done(objects, took, last, asked)
}

type Pace = pace

func NewPace(log *slog.Logger, now func() time.Time) *Pace {
	return &pace{log: log, what: "test", now: now}
}

func (p *pace) After(err error, class string, delay time.Duration) time.Duration {
	return p.after(context.Background(), err, classified{class: class, delay: delay})
}

// BecauseOf and DeviceOf say what a snapshot says of causes and of the device.
var (
	BecauseOf = becauseOf
	DeviceOf  = deviceOf
)

// Judge judges what the platform keeps for tests.
type Judge struct{ j *judge }

func NewJudge(l *ledger.Ledger, st *store.Store, s Sink, m *mapping.Mapper) *Judge {
	return &Judge{&judge{ledger: l, store: st, find: s.Find, mapper: m, log: slog.New(slog.DiscardHandler), path: "store", url: "http://octi"}}
}

func (j *Judge) Look(ctx context.Context, state []byte) error { return j.j.look(ctx, state) }

// Admit gives the files for which there is room in a quota.
func Admit(most int64, usage func() (store.Usage, error), wanted []timeline.Attachment) ([]timeline.Attachment, string, error) {
	return quota{most: most, usage: usage}.admit(wanted)
}
