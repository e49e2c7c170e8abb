package opencti

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// BrokerAddress is where a broker is said to be.
type BrokerAddress struct {
	Told string // what the platform says, host:port; empty where it has not
	Used string // with the settings MQ_… over it
	TLS  bool
	User string
	// VHost is the virtual host.
	VHost string
	// Overridden: host or port come from the settings.
	Overridden bool
}

// Broker is where the connector would deliver to. It reports false where neither
// the platform nor the settings name a broker: the platform tells its address only
// to a connector that is registered.
func (p *Probe) Broker() (BrokerAddress, bool) {
	mq := p.platform.config.MQ
	told := registered{}
	b := BrokerAddress{Overridden: mq.Host != "" || mq.Port != 0}
	if p.answer != nil {
		told = *p.answer
		c := told.Config.Connection
		b.Told = net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	} else if mq.Host == "" || mq.Port == 0 {
		return b, false
	}
	use := mq.override(&told)
	b.Used = net.JoinHostPort(use.Host, strconv.Itoa(use.Port))
	b.TLS, b.User, b.VHost = use.UseSSL, use.User, use.VHost
	return b, true
}

// BrokerSecret is the password that the platform told, for an output to hide.
func (p *Probe) BrokerSecret() string {
	if p.answer == nil {
		return ""
	}
	return p.answer.Config.Connection.Pass
}

// BrokerStep is how far a connection to the broker came (closed set).
type BrokerStep string

// The steps, in their order.
const (
	StepConnect BrokerStep = "connect" // TCP
	StepTLS     BrokerStep = "tls"
	StepAMQP    BrokerStep = "amqp" // the protocol is spoken there
	StepLogin   BrokerStep = "login"
	StepVHost   BrokerStep = "vhost"
	StepQueue   BrokerStep = "queue"
)

// StepError is a connection that failed, and where.
type StepError struct {
	Step BrokerStep
	Err  error
}

// Error names the step.
func (e *StepError) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap gives the failure.
func (e *StepError) Unwrap() error { return e.Err }

// QueueState is the connector's queue as the broker shows it.
type QueueState struct {
	Name      string
	Messages  int // that wait
	Consumers int // workers that read it
}

// DialBroker connects to the broker, logs in, opens the virtual host and asks for
// the connector's queue, then hangs up. Without a registration it connects, over
// TLS where that is set, and gives no queue. Its errors are [*StepError].
func (p *Probe) DialBroker(ctx context.Context) (QueueState, error) {
	if p.answer == nil {
		return QueueState{}, p.reachBroker(ctx)
	}
	w, err := dialer(p.platform.config.MQ.Explain)(ctx, p.platform.config.MQ.override(p.answer))
	if err != nil {
		return QueueState{}, &StepError{Step: stepOf(err), Err: err}
	}
	defer func() { _ = w.Close() }() // nothing was said that could be lost
	q := QueueState{Name: p.answer.Config.Push}
	wire, ok := w.(*amqpWire)
	if !ok {
		return q, &StepError{Step: StepQueue, Err: errors.New("not an AMQP connection")}
	}
	stop := context.AfterFunc(ctx, func() { _ = wire.raw.Close() })
	defer stop()
	state, err := wire.channel.QueueDeclarePassive(q.Name, true, false, false, false, nil)
	if err != nil {
		return q, &StepError{Step: StepQueue, Err: brokerError(opQueue, err)}
	}
	q.Messages, q.Consumers = state.Messages, state.Consumers
	return q, nil
}

// reachBroker connects and, over TLS, shakes hands.
func (p *Probe) reachBroker(ctx context.Context) error {
	b := p.platform.config.MQ.override(&registered{})
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(b.Host, strconv.Itoa(b.Port)))
	if err != nil {
		return &StepError{Step: StepConnect, Err: p.explained(ctx, err)}
	}
	defer func() { _ = conn.Close() }() // nothing was said
	if !b.UseSSL {
		return nil
	}
	if err := tls.Client(conn, b.tlsConfig()).HandshakeContext(ctx); err != nil {
		return &StepError{Step: StepTLS, Err: p.explained(ctx, err)}
	}
	return nil
}

// explained is a failure to connect, with what the one who configured it makes of it.
func (p *Probe) explained(ctx context.Context, err error) error {
	if explain := p.platform.config.MQ.Explain; ctx.Err() == nil && explain != nil {
		err = explain(err)
	}
	return transportError(opDial, err)
}

// stepOf says where dialBroker failed.
func stepOf(err error) BrokerStep {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return StepConnect
	} else if ok && (op.Op == "remote error" || op.Op == "local error") {
		return StepTLS // an alert
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return StepConnect
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || untrusted(err) {
		return StepTLS
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && (e.Phrase == phraseVHost || e.Status == amqp.NotAllowed || e.Status == amqp.NotFound):
		return StepVHost
	case ok && e.Status == amqp.AccessRefused:
		return StepLogin
	}
	return StepAMQP
}
