package opencti

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Poll is how long to wait before the n-th call of [Platform.Settle] for one
// receipt, n from 0. It begins at 30 ms and grows by half each time up to one
// second: 30 ms, 45 ms, 67 ms, 101 ms, 151 ms, … An object costs the platform
// 100–150 ms, so a single message is seen to land within a tenth of a second.
func Poll(n int) time.Duration {
	d := 30 * time.Millisecond
	for range min(n, 16) {
		d = min(d*3/2, time.Second)
	}
	return d
}

// watch is what the process knows of the open work.
type watch struct {
	receipt string
	// published: every message of it was confirmed by the broker.
	published bool
	large     []stix.ID // left out then, since no message can hold them
	// void: a reset purged the queue that it waited in.
	void bool

	seen   tracking
	errors int
	moved  time.Time // when one of the two last changed, or could not be asked
	// empty is since when the platform has counted nothing in the queue, and asked
	// when it was asked last.
	empty, asked time.Time
	// absent is when an object was first missing although the work is closed.
	absent time.Time
}

// follow gives the watch of a receipt, a new one when another was watched. The
// lock is held.
func (p *Platform) follow(receipt string) *watch {
	if p.watch.receipt != receipt {
		p.watch = watch{receipt: receipt, void: p.voidForeign, moved: p.config.Clock()}
	}
	return &p.watch
}

// tracking is the count of a work; nil where the platform has not counted yet.
type tracking struct {
	Expected  *int `json:"import_expected_number"`
	Processed *int `json:"import_processed_number"`
}

func (t tracking) equal(o tracking) bool {
	return number(t.Expected) == number(o.Expected) && number(t.Processed) == number(o.Processed)
}

func number(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

// work is a work as the platform shows it.
type work struct {
	ID       string      `json:"id"`
	Status   string      `json:"status"`
	Tracking tracking    `json:"tracking"`
	Errors   []workError `json:"errors"`
}

// closed reports whether the platform will do no more for it.
func (w work) closed() bool { return w.Status == "complete" || w.Status == "timeout" }

// Begin opens a work and gives its id as the receipt. The broker is dialled before:
// while it is away no work is opened and no row leaves its place, so everything goes
// on as soon as it is back.
func (p *Platform) Begin(ctx context.Context, objects int) (receipt string, err error) {
	if _, err := p.ready(ctx); err != nil {
		return "", err
	}
	if err := p.carrier.open(ctx); err != nil {
		p.forgetUnroutable(err)
		return "", fmt.Errorf("reach the queue: %w", err)
	}
	if p.withoutWork() {
		return p.begun(newWorkless()), nil
	}
	receipt, err = p.addWork(ctx, objects)
	if ClassOf(err) == Gone {
		p.forget()
		if _, err := p.ready(ctx); err != nil {
			return "", err
		}
		receipt, err = p.addWork(ctx, objects)
	}
	if err != nil {
		return "", fmt.Errorf("open a work: %w", err)
	}
	return p.begun(receipt), nil
}

// begun watches a new receipt.
func (p *Platform) begun(receipt string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch = watch{receipt: receipt, moved: p.config.Clock()}
	p.voidForeign = false // one work at a time: earlier ones are settled
	return receipt
}

// forget makes the next call register the connector again.
func (p *Platform) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = true
}

// forgetUnroutable makes the next call register the connector again when its
// queue turned out to be gone, or its broker to be somewhere else.
func (p *Platform) forgetUnroutable(err error) {
	e, ok := errors.AsType[*Error](err)
	if ok && e.Op == opDial {
		p.mu.Lock()
		p.unreached = err
		p.mu.Unlock()
	}
	if ok && (e.Code == codeUnroutable || e.Op == opDial || e.Class == Gone && (e.Op == opBundlePush || e.Op == opBundlePushWork)) {
		p.forget()
	}
}

func (p *Platform) addWork(ctx context.Context, objects int) (string, error) {
	var out struct {
		Work struct {
			ID string `json:"id"`
		} `json:"workAdd"`
	}
	err := p.client.do(ctx, opWorkAdd, map[string]any{
		"connector": p.config.ConnectorID,
		"name":      fmt.Sprintf("%s: %d objects", p.config.Name, objects),
	}, &out)
	if err == nil && out.Work.ID == "" {
		err = &Error{Class: Temporary, Op: opWorkAdd, Code: "unexpected_shape"}
	}
	return out.Work.ID, err
}

// deleteWork takes a work off the platform's page. On newer platforms its items
// are skipped from then on. What is gone already is fine.
func (p *Platform) deleteWork(ctx context.Context, receipt string) {
	if workless(receipt) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := p.client.do(ctx, opWorkDelete, map[string]any{"id": receipt}, nil)
	if err != nil && ClassOf(err) != Gone {
		p.config.Log.WarnContext(ctx, "work could not be deleted", slog.String("work_id", receipt), slog.Any("err", err))
	}
}

// readWork gives the work of a receipt; false when the platform has none.
func (p *Platform) readWork(ctx context.Context, receipt string) (work, bool, error) {
	var out struct {
		Work *work `json:"work"`
	}
	if err := p.client.do(ctx, opWork, map[string]any{"id": receipt}, &out); err != nil {
		return work{}, false, fmt.Errorf("read work: %w", err)
	}
	if out.Work == nil {
		return work{}, false, nil
	}
	return *out.Work, true, nil
}

// Publish tells the platform how many objects to expect, sends each in a message
// of its own, in the order of the bundle, and returns once the broker has
// confirmed all of them. What is too large for the broker is left out; Settle
// reports it as refused.
//
// A publication that fails half-way is not mended: its work is deleted and the
// error is also [stix.ErrLapsed], so that the batch is sent again under a new
// receipt. Every id is deterministic, so what went through before is an update.
func (p *Platform) Publish(ctx context.Context, receipt string, b stix.Bundle) error {
	h, err := p.ready(ctx)
	if err == nil {
		err = p.publish(ctx, receipt, h, b)
	}
	if err == nil {
		return nil
	}
	p.deleteWork(ctx, receipt)
	p.forgetUnroutable(err)
	return fmt.Errorf("publish %s: %w (%w)", receipt, err, stix.ErrLapsed)
}

func (p *Platform) publish(ctx context.Context, receipt string, h home, b stix.Bundle) error {
	sent, large, err := p.fitting(b)
	if err != nil {
		return &Error{Class: Permanent, Op: opPublish, Code: "unencodable", cause: err}
	}
	messages, err := p.carrier.pack(h, receipt, sent)
	if err != nil {
		return &Error{Class: Permanent, Op: opPublish, Code: "unencodable", cause: err}
	}
	if len(messages) == 0 {
		p.deleteWork(ctx, receipt)
		p.published(receipt, large)
		return nil
	}
	if workless(receipt) {
		if err := p.carrier.carry(ctx, h, receipt, messages); err != nil {
			return err
		}
		p.published(receipt, large)
		return nil
	}
	// Never twice on one work: when the answer is lost, nobody knows what the work
	// expects.
	err = p.client.do(ctx, opAddExpectations, map[string]any{"id": receipt, "n": len(messages)}, nil)
	if err != nil {
		return err
	}
	if err := p.carrier.carry(ctx, h, receipt, messages); err != nil {
		return err
	}
	p.published(receipt, large)
	// Without it the work is completed by its counts.
	err = p.client.do(ctx, opToProcessed, map[string]any{"id": receipt, "message": fmt.Sprintf("%d objects", len(messages))}, nil)
	if err != nil {
		p.config.Log.DebugContext(ctx, "work was not marked as sent", slog.String("work_id", receipt), slog.Any("err", err))
	}
	return nil
}

// published remembers that every message of a receipt is the broker's, and which
// objects were too large for one.
func (p *Platform) published(receipt string, large []stix.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.follow(receipt)
	w.published, w.large, w.moved = true, large, p.config.Clock()
}
