package opencti

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/crash"
)

// broker is the address of a RabbitMQ server with what it takes to get in.
type broker struct {
	Host     string
	Port     int
	VHost    string
	User     string
	Password string
	UseSSL   bool
	TLS      *tls.Config // nil: the system's authorities
}

// wire is one connection to the broker, with one channel in confirm mode.
type wire interface {
	// Publish hands a persistent, mandatory message to the broker. The returned
	// function waits for the broker's confirm; false is a refusal.
	Publish(ctx context.Context, exchange, key string, body []byte) (confirmed func(context.Context) (bool, error), err error)
	// Returned counts the messages that the broker gave back as unroutable. A
	// message is given back before it is confirmed.
	Returned() int
	// Depth counts the messages that wait in a queue; those that a worker holds
	// unacknowledged are not among them.
	Depth(ctx context.Context, queue string) (int, error)
	// Closed says why the wire is dead; nil while it lives.
	Closed() error
	Close() error
}

// queue publishes to the connector's queue over a wire that it keeps and dials
// again when it is dead.
type queue struct {
	dial    func(context.Context, broker) (wire, error)
	timeout time.Duration // for all confirms of a batch

	mu     sync.Mutex // held while publishing: one batch at a time
	broker broker
	wire   wire
	limit  int // bytes of a message
}

func newQueue(dial func(context.Context, broker) (wire, error), timeout time.Duration, limit int) *queue {
	return &queue{dial: dial, timeout: timeout, limit: limit}
}

// target sets where to dial. A wire to another place is dropped.
func (q *queue) target(b broker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broker != b {
		q.drop()
		q.broker = b
	}
}

// drop closes the wire, if there is one. The lock is held.
func (q *queue) drop() {
	if q.wire != nil {
		_ = q.wire.Close() // dead or about to be; nothing depends on it
		q.wire = nil
	}
}

func (q *queue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.wire
	q.wire = nil
	if w == nil {
		return nil
	}
	return w.Close()
}

// messageLimit is the broker's limit for one message as far as it is known.
func (q *queue) messageLimit() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit
}

// connected gives a living wire. The lock is held.
func (q *queue) connected(ctx context.Context) (wire, error) {
	if q.wire != nil && q.wire.Closed() == nil {
		return q.wire, nil
	}
	q.drop()
	crash.At("broker:", "before the connection")
	w, err := q.dial(ctx, q.broker)
	crash.At("broker:", "after the connection")
	if err != nil {
		return nil, err
	}
	q.wire = w
	return w, nil
}

// open makes sure of a living wire.
func (q *queue) open(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, err := q.connected(ctx)
	return err
}

// publish sends the messages in their order and returns once the broker has
// confirmed every one. After an error it is unknown which ones it has taken.
func (q *queue) publish(ctx context.Context, exchange, key string, messages []message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	w, err := q.connected(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	err = publishAll(ctx, w, exchange, key, messages)
	if err == nil {
		return nil
	}
	if limit := tooLarge(err, messages); limit > 0 {
		q.limit = min(q.limit, limit)
	}
	q.drop()
	return err
}

func publishAll(ctx context.Context, w wire, exchange, key string, messages []message) error {
	before := w.Returned()
	crash.At("broker:", "before the first message")
	waits := make([]func(context.Context) (bool, error), 0, len(messages))
	for _, m := range messages {
		wait, err := w.Publish(ctx, exchange, key, m.Body)
		if err != nil {
			return errors.Join(w.Closed(), err)
		}
		waits = append(waits, wait)
		crash.At("broker:", "after a message")
	}
	for _, wait := range waits {
		ok, err := wait(ctx)
		if err != nil {
			return errors.Join(w.Closed(), &Error{Class: cancelledOr(err, Temporary), Op: opPublish, Code: "unconfirmed", cause: err})
		}
		if ok {
			crash.At("broker:", "after a confirm")
			continue
		}
		if err := w.Closed(); err != nil {
			return err
		}
		return &Error{Class: Temporary, Op: opPublish, Code: codeNacked}
	}
	crash.At("broker:", "confirmed")
	// An unroutable message is confirmed all the same.
	if n := w.Returned() - before; n > 0 {
		return fmt.Errorf("%d of %d messages came back: %w", n, len(messages), &Error{Class: Temporary, Op: opPublish, Code: codeUnroutable})
	}
	return nil
}

// depth counts the messages waiting in a queue.
func (q *queue) depth(ctx context.Context, name string) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w, err := q.connected(ctx)
	if err != nil {
		return 0, err
	}
	n, err := w.Depth(ctx, name)
	if err != nil {
		if w.Closed() != nil {
			q.drop()
		}
		return 0, err
	}
	return n, nil
}

// tooLarge gives the limit that a broker showed by closing the channel over a
// message; 0 where it closed for another reason.
func tooLarge(err error, messages []message) int {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != codeTooLarge {
		return 0
	}
	if e.Status > 0 {
		return e.Status
	}
	largest := 0
	for _, m := range messages {
		largest = max(largest, len(m.Body))
	}
	return largest - 1
}

func cancelledOr(err error, class Class) Class {
	if errors.Is(err, context.Canceled) {
		return Cancelled
	}
	return class
}
