package openctitest

import (
	"context"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Run drains the push queues of the registered connectors into the graph and
// lets the connector manager do its rounds, until ctx ends. It survives a loss
// of the broker. Without a broker, or with a worker of someone else's, only the
// rounds remain.
func (p *Platform) Run(ctx context.Context) error {
	var rounds <-chan time.Time
	if p.cfg.ManagerPeriod > 0 {
		t := time.NewTicker(p.cfg.ManagerPeriod)
		defer t.Stop()
		rounds = t.C
	}
	// Idle waits grow from five to forty milliseconds.
	const least, most = 5 * time.Millisecond, 40 * time.Millisecond
	wait := least
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var ch *amqp.Channel
	defer func() {
		if ch != nil {
			_ = ch.Close()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rounds:
			p.CloseOlderWorks()
		case <-timer.C:
			busy := false
			if p.broker.enabled() && !p.cfg.ForeignWorker {
				ch, busy = p.drain(ctx, ch)
			}
			if wait = min(2*wait, most); busy {
				wait = least
			}
			timer.Reset(wait)
		}
	}
}

// drain works off what waits. It returns the channel to go on with, nil after a
// loss, and whether there was anything.
func (p *Platform) drain(ctx context.Context, ch *amqp.Channel) (*amqp.Channel, bool) {
	busy := false
	for _, id := range p.registered() {
		for ctx.Err() == nil {
			window, paused := p.faults.worker()
			if paused {
				return ch, busy
			}
			if ch == nil || ch.IsClosed() {
				c, err := p.broker.channel()
				if err != nil {
					return nil, busy
				}
				ch = c
			}
			batch, err := take(ch, p.broker.push(id), max(window, 1))
			if err != nil {
				// The queue or the broker has gone; a ping declares it again.
				ch = nil
				break
			}
			if len(batch) == 0 {
				break
			}
			busy = true
			slices.Reverse(batch)
			for _, d := range batch {
				p.consume(d)
			}
		}
	}
	return ch, busy
}

func (p *Platform) registered() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for id, c := range p.connectors {
		if c.deleted == nil {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func take(ch *amqp.Channel, queue string, n int) ([]amqp.Delivery, error) {
	var out []amqp.Delivery
	for len(out) < n {
		d, ok, err := ch.Get(queue, false)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		out = append(out, d)
	}
	return out, nil
}

// consume imports one delivery and acknowledges it afterwards, so that a worker
// that dies in between sees it again.
func (p *Platform) consume(d amqp.Delivery) {
	p.mu.Lock()
	if d.DeliveryMode != amqp.Persistent {
		p.violate("envelope", "the message is not persistent")
	}
	if len(d.Headers) > 0 {
		p.violate("envelope", "the message has headers")
	}
	// What cannot be read is acknowledged and lost, as the oldest workers do, and
	// stands among the violations; what a fault holds back is the fault's.
	_ = p.ingest(d.Body, true)
	p.touch()
	p.mu.Unlock()
	_ = d.Ack(false)
}
