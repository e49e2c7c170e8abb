package opencti

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// heartbeat is the period that the platform's own clients ask for.
const heartbeat = 10 * time.Second

// dialTimeout bounds connecting, TLS and the handshake of the protocol.
const dialTimeout = 30 * time.Second

// amqpWire is a wire over AMQP 0-9-1.
type amqpWire struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	raw     net.Conn // closed to unblock a write that the broker does not take
	line    *gatherer
	returns chan amqp.Return

	mu       sync.Mutex
	returned int           // taken from returns so far
	reason   error         // why the wire is dead
	dead     chan struct{} // closed once reason is set
}

var _ wire = (*amqpWire)(nil)

// dialer gives what dials the broker; explain, if there is one, makes more of why
// it cannot be reached.
func dialer(explain func(error) error) func(context.Context, broker) (wire, error) {
	if explain == nil {
		explain = func(err error) error { return err }
	}
	return func(ctx context.Context, b broker) (wire, error) { return dialBroker(ctx, b, explain) }
}

// dialBroker connects, opens a channel and puts it into confirm mode.
func dialBroker(ctx context.Context, b broker, explain func(error) error) (wire, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	w := &amqpWire{dead: make(chan struct{})}
	// The library's handshake knows no context.
	stop := func() bool { return false }
	defer func() { stop() }()
	line := &keeper{}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("matrix-connector")
	config := amqp.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		Vhost:      b.VHost,
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: b.User, Password: b.Password}},
		Dial: func(network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			w.raw = conn
			stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			// The library clears the deadline once the protocol is open.
			deadline, _ := ctx.Deadline()
			if line.Conn = conn; b.UseSSL {
				secure := tls.Client(conn, b.tlsConfig())
				if err := secure.HandshakeContext(ctx); err != nil {
					return nil, err
				}
				line.Conn = secure
			}
			w.line = &gatherer{Conn: line}
			return w.line, conn.SetDeadline(deadline)
		},
	}
	// Name and password travel in SASL, not in the address, which errors repeat.
	conn, err := amqp.DialConfig("amqp://"+net.JoinHostPort(b.Host, strconv.Itoa(b.Port)), config)
	if err != nil {
		if w.raw != nil {
			_ = w.raw.Close() // the library leaves it open after a refused password
		}
		if ended := ctx.Err(); ended != nil && (w.raw != nil || errors.Is(ended, context.Canceled)) {
			err = ended
		} else {
			err = line.reason(err)
		}
		return nil, brokerError(opDial, explain(err))
	}
	w.conn = conn
	if err := w.open(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

// keeper remembers why a connection could not be read: of that the library tells
// the text alone. With TLS 1.3 a broker refuses our certificate only there.
type keeper struct {
	net.Conn

	mu     sync.Mutex
	failed error
}

// Read reads from the connection.
func (k *keeper) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	if err != nil {
		k.mu.Lock()
		k.failed = cmp.Or(k.failed, err)
		k.mu.Unlock()
	}
	return n, err
}

// reason gives why the connection broke in place of what the library makes of it.
func (k *keeper) reason(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := errors.AsType[*amqp.Error](err)
	if k.failed != nil && (errors.Is(err, amqp.ErrClosed) || ok && e.Code == amqp.FrameError) {
		return k.failed
	}
	return err
}

// tlsConfig is the configuration of a connection to the broker's host.
func (b broker) tlsConfig() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if b.TLS != nil {
		c = b.TLS.Clone()
	}
	c.ServerName = b.Host
	return c
}

// open opens the channel and starts the goroutine that waits for its end.
func (w *amqpWire) open() error {
	channel, err := w.conn.Channel()
	if err != nil {
		return brokerError(opDial, err)
	}
	if err := channel.Confirm(false); err != nil {
		return brokerError(opDial, err)
	}
	w.channel = channel
	// With room for every message of a batch the library hands a return over
	// before it looks at the confirm that follows.
	w.returns = channel.NotifyReturn(make(chan amqp.Return, 4096))
	channelClosed := channel.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		reason := <-channelClosed // nil when closed by us
		w.mu.Lock()
		if reason != nil {
			w.reason = brokerError(opPublish, reason)
		} else {
			w.reason = &Error{Class: Temporary, Op: opPublish, Code: "closed"}
		}
		w.mu.Unlock()
		close(w.dead)
	}()
	return nil
}

// Publish implements wire. The message leaves when the first confirm is waited for, or
// when many have gathered.
func (w *amqpWire) Publish(ctx context.Context, exchange, key string, body []byte) (func(context.Context) (bool, error), error) {
	// A broker under alarm stops reading, and the library's write knows no context.
	stop := context.AfterFunc(ctx, func() { _ = w.raw.Close() })
	defer stop()
	w.line.hold()
	confirm, err := w.channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, amqp.Publishing{
		DeliveryMode:    amqp.Persistent,
		ContentEncoding: "utf-8",
		Body:            body,
	})
	if err != nil {
		w.awaitReason(ctx)
		return nil, brokerError(opPublish, err)
	}
	return func(ctx context.Context) (bool, error) {
		if err := w.release(ctx); err != nil {
			w.awaitReason(ctx)
			return false, brokerError(opPublish, err)
		}
		ok, err := confirm.WaitContext(ctx)
		if err == nil && !ok {
			w.awaitReason(ctx)
		}
		return ok, err
	}, nil
}

// release lets go what Publish has gathered.
func (w *amqpWire) release(ctx context.Context) error {
	if !w.line.holds() {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = w.raw.Close() })
	defer stop()
	return w.line.release()
}

// awaitReason waits a moment for the reason why the channel has closed, if it
// has: a closing channel first refuses everything that is open.
func (w *amqpWire) awaitReason(ctx context.Context) {
	if !w.channel.IsClosed() {
		return
	}
	select {
	case <-w.dead:
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}

// Returned implements wire.
func (w *amqpWire) Returned() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		select {
		case _, open := <-w.returns:
			if !open {
				return w.returned
			}
			w.returned++
		default:
			return w.returned
		}
	}
}

// Depth implements wire. It asks on a channel of its own, since a queue that is
// not there closes it.
func (w *amqpWire) Depth(ctx context.Context, queue string) (int, error) {
	stop := context.AfterFunc(ctx, func() { _ = w.raw.Close() })
	defer stop()
	channel, err := w.conn.Channel()
	if err != nil {
		return 0, brokerError(opQueue, err)
	}
	defer func() { _ = channel.Close() }()
	q, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return 0, brokerError(opQueue, err)
	}
	return q.Messages, nil
}

// Closed implements wire.
func (w *amqpWire) Closed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil && w.conn.IsClosed() {
		return &Error{Class: Temporary, Op: opPublish, Code: "closed"}
	}
	return w.reason
}

// Close implements wire.
func (w *amqpWire) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = w.release(ctx) // of a batch that failed half-way; the connection may be dead
	err := w.conn.CloseDeadline(time.Now().Add(5 * time.Second))
	_ = w.raw.Close()
	if err != nil && !errors.Is(err, amqp.ErrClosed) {
		return brokerError("close", err)
	}
	return nil
}

// sizeLimit finds the limit in RabbitMQ's "message size 20000000 is larger than
// configured max size 16777216".
var sizeLimit = regexp.MustCompile(`max size (\d+)`)

// brokerError classifies a failure of the broker. Its own words are codes of the
// protocol and names of exchanges and queues.
func brokerError(op string, err error) *Error {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok {
		return transportError(op, err)
	}
	out := &Error{Class: Temporary, Op: op, Status: e.Code, Code: fmt.Sprintf("amqp_%d", e.Code)}
	switch e.Code {
	case amqp.PreconditionFailed:
		if m := sizeLimit.FindStringSubmatch(e.Reason); m != nil {
			out.Class, out.Code = Permanent, codeTooLarge
			out.Status, _ = strconv.Atoi(m[1])
		}
	case amqp.AccessRefused, amqp.NotAllowed:
		out.Class = Unauthorized
		if errors.Is(err, amqp.ErrVhost) {
			out.Phrase = phraseVHost // it has the code of a wrong password
		}
	case amqp.NotFound:
		out.Code = codeUnroutable // exchange or queue: the connector is not known any more
	}
	return out
}
