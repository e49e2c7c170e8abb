package opencti

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// The queue protocol "api" hands bundles to the platform, which puts them into
// the connector's queue itself (stixBundlePush, opencti.md §2.6). It is for where
// the broker cannot be reached, and weaker than AMQP:
//
//   - nobody shows the broker's confirm: the platform's answer counts for it;
//   - the queue's length is the platform's count, which lags behind by seconds, so
//     absence is believed later ([queueLag]), and what an earlier process left is
//     given up later ([abandonPushAfter]);
//   - every object is a call of its own;
//   - the platform marks its messages with update: true, which would merge what
//     several ids of one object match; ours match one (opencti.md §6.7);
//   - a platform before 6.5.7 takes no work of ours: it makes one of its own for
//     each push and tells nobody which, so that what it refuses is only seen to be
//     missing.
//
// What is sure stays sure: nothing counts as landed that is not read back, and
// what may be lost is sent again under the same ids.

const (
	// queueLag is how long the platform's count of a queue may be behind.
	queueLag = 15 * time.Second
	// abandonPushAfter is patience with what an earlier process may have pushed.
	abandonPushAfter = time.Minute
	// wholeBytes bounds a bundle of several objects: a proxy's limit for a request,
	// and the broker's for a message, are above it.
	wholeBytes = 4 << 20
)

// byPlatform carries through the platform's API.
type byPlatform struct{ platform *Platform }

var _ carrier = byPlatform{}

// open asks the platform for its version: while it is away no batch begins. The
// version tells whether a push takes a work, and an upgrade changes it.
func (c byPlatform) open(ctx context.Context) error {
	version, err := c.platform.version(ctx)
	if err != nil {
		return err
	}
	c.platform.setVersion(version)
	return nil
}

// pack makes a message of each object; without a work of ours one of them all, as
// far as it is not too large, for a worker to split: each push makes a work there.
func (byPlatform) pack(_ home, receipt string, objects []encoded) ([]message, error) {
	parts, err := bundleParts(objects)
	if err != nil {
		return nil, err
	}
	var messages []message
	var whole [][]byte
	var size int
	flush := func() {
		if len(whole) > 0 {
			messages = append(messages, message{Body: appendBundle(nil, bundleID(receipt), 0, whole...)})
		}
		whole, size = nil, 0
	}
	for _, p := range parts {
		if !workless(receipt) {
			messages = append(messages, message{ID: p.id, Body: appendBundle(nil, bundleID(receipt), p.sequence, p.object)})
			continue
		}
		if size+len(p.object) > wholeBytes {
			flush()
		}
		whole, size = append(whole, p.object), size+len(p.object)
	}
	flush()
	return messages, nil
}

// carry pushes one message after the other. One whose answer is lost is pushed
// once more: at worst it is imported twice, which changes nothing, and counted
// twice, which [Platform.Settle] bears.
func (c byPlatform) carry(ctx context.Context, _ home, receipt string, messages []message) error {
	for _, m := range messages {
		err := c.push(ctx, receipt, m)
		if ClassOf(err) == Temporary && ctx.Err() == nil && err != nil {
			err = c.push(ctx, receipt, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c byPlatform) push(ctx context.Context, receipt string, m message) error {
	op, variables := opBundlePush, map[string]any{"id": c.platform.config.ConnectorID, "bundle": string(m.Body)}
	if !workless(receipt) {
		op, variables["work"] = opBundlePushWork, receipt
	}
	var out struct {
		Taken bool `json:"stixBundlePush"`
	}
	if err := c.platform.client.do(ctx, op, variables, &out); err != nil {
		return err
	}
	if !out.Taken {
		return &Error{Class: Temporary, Op: op, Code: codeNacked}
	}
	return nil
}

// waiting is the platform's count of the queue. A user who may not ask is told
// nothing, and time alone decides.
func (c byPlatform) waiting(ctx context.Context, _ home) (bool, error) {
	var out struct {
		Connector *struct {
			Queue struct {
				Messages float64 `json:"messages_number"`
			} `json:"connector_queue_details"`
		} `json:"connector"`
	}
	err := c.platform.client.do(ctx, opQueueDetails, map[string]any{"id": c.platform.config.ConnectorID}, &out)
	switch {
	case ClassOf(err) == Unauthorized && err != nil:
		return false, nil //nolint:nilerr // a right that is missing is no failure
	case err != nil:
		return false, err
	case out.Connector == nil:
		return false, &Error{Class: Gone, Op: opQueueDetails, Code: codeUnroutable}
	}
	return out.Connector.Queue.Messages > 0, nil
}

// worklessPrefix begins a receipt that stands for no work on the platform.
const worklessPrefix = "push--"

func newWorkless() string { return worklessPrefix + uuid.NewString() }

func workless(receipt string) bool { return strings.HasPrefix(receipt, worklessPrefix) }

// setVersion remembers what the platform's version decides.
func (p *Platform) setVersion(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushTakesWork = atLeast(version, 6, 5, 7)
}

// withoutWork reports whether a batch begins without a work of ours.
func (p *Platform) withoutWork() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.ThroughAPI && !p.pushTakesWork
}

// judgeWorkless decides by what is read back alone: as long as more lands, or
// messages wait, the rest is awaited.
func (p *Platform) judgeWorkless(ctx context.Context, receipt string, w watch, got stix.Verdicts) error {
	landed := 0
	for _, v := range got {
		if v.State != stix.Missing {
			landed++
		}
	}
	if landed == len(got) {
		return nil
	}
	now := p.config.Clock()
	if seen := (tracking{Processed: &landed}); !seen.equal(w.seen) {
		p.note(receipt, func(w *watch) { w.seen, w.moved = seen, now })
		return stix.ErrPending
	}
	if now.Sub(w.moved) < p.patience(w) {
		return stix.ErrPending
	}
	waiting, err := p.waiting(ctx)
	if errors.Is(err, stix.ErrPending) {
		return err
	}
	if err != nil || waiting {
		p.note(receipt, func(w *watch) { w.moved = now })
		if err != nil {
			return err
		}
		return stix.ErrPending
	}
	if landed == 0 {
		return fmt.Errorf("push %s: nothing of it came: %w", receipt, stix.ErrLapsed)
	}
	return nil
}

// emptyFor answers ErrPending until the queue of the open receipt was found empty
// for so long, time after time.
func (p *Platform) emptyFor(long time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.config.Clock()
	// What was found empty long ago says nothing: it is asked for at every poll.
	if p.watch.empty.IsZero() || now.Sub(p.watch.asked) > long {
		p.watch.empty = now
	}
	p.watch.asked = now
	if now.Sub(p.watch.empty) < long {
		return stix.ErrPending
	}
	return nil
}

// warnWeaker tells once what the queue protocol costs.
func (p *Platform) warnWeaker(ctx context.Context) {
	if !p.config.ThroughAPI {
		return
	}
	p.config.Log.WarnContext(ctx, "messages go through the platform's API instead of its broker, which is weaker: "+
		"no confirm of the broker, a count of the queue that lags behind, and one call for each object",
		slog.String("setting", "CONNECTOR_QUEUE_PROTOCOL"))
	if p.withoutWork() {
		p.config.Log.WarnContext(ctx, "this platform takes no work with a pushed bundle: what it refuses is seen to be missing, without a reason; version 6.5.7 cures it",
			slog.String("setting", "CONNECTOR_QUEUE_PROTOCOL"))
	}
}
