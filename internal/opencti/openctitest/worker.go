package openctitest

import (
	"context"
	"slices"
	"sync"
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
	w := &worker{p: p}
	if p.broker.enabled() && !p.cfg.ForeignWorker {
		stops, end := p.faults.attend()
		defer end()
		w.stops = stops
	}
	defer w.drop()
	const look = 10 * time.Millisecond
	timer := time.NewTicker(look)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rounds:
			p.CloseOlderWorks()
		case done := <-w.stops:
			w.drop()
			close(done)
		case d := <-w.in:
			w.took(d)
		case <-timer.C:
			if p.broker.enabled() && !p.cfg.ForeignWorker {
				w.tend(ctx)
			}
		}
	}
}

// prefetch is how many messages the broker hands out before they are
// acknowledged.
const prefetch = 100

// worker consumes the push queues. Only Run's goroutine uses it.
type worker struct {
	p     *Platform
	stops chan chan struct{} // asks to hand everything back to the broker

	ch    *amqp.Channel
	on    map[string]bool // connectors whose queue is consumed
	in    chan delivery   // of the consumers
	ended chan struct{}   // closed when the consumers are to end
	open  sync.WaitGroup  // the consumers
}

// delivery is a message, or the end of a connector's consumer.
type delivery struct {
	amqp.Delivery

	connector string
	ended     bool
}

// tend sees to it that every registered connector's queue is consumed, as far as
// the faults let it be.
func (w *worker) tend(ctx context.Context) {
	window, paused := w.p.faults.worker()
	if window > 0 || paused {
		w.drop()
	}
	if paused {
		return
	}
	for _, id := range w.p.registered() {
		if w.on[id] {
			continue
		}
		if w.ch == nil || w.ch.IsClosed() {
			w.drop()
			ch, err := w.p.broker.channel()
			if err != nil {
				return
			}
			w.ch, w.on, w.in, w.ended = ch, map[string]bool{}, make(chan delivery), make(chan struct{})
		}
		if window > 0 {
			w.backwards(ctx, id, window)
			continue
		}
		if !w.consume(id) {
			// The queue or the broker has gone; a ping declares it again.
			w.drop()
			return
		}
	}
}

// drop hands everything that is not acknowledged back to the broker.
func (w *worker) drop() {
	if w.ch == nil {
		return
	}
	close(w.ended)
	// The channel may be dead; nothing depends on its end.
	_ = w.ch.Close()
	w.open.Wait()
	w.ch, w.on, w.in = nil, nil, nil
}

func (w *worker) consume(id string) bool {
	if err := w.ch.Qos(prefetch, 0, false); err != nil {
		return false
	}
	deliveries, err := w.ch.Consume(w.p.broker.push(id), "", false, false, false, false, nil)
	if err != nil {
		return false
	}
	w.on[id] = true
	in, ended := w.in, w.ended
	w.open.Go(func() {
		for d := range deliveries {
			select {
			case in <- delivery{Delivery: d, connector: id}:
			case <-ended:
			}
		}
		select {
		case in <- delivery{connector: id, ended: true}:
		case <-ended:
		}
	})
	return true
}

// took works one delivery off.
func (w *worker) took(d delivery) {
	if d.ended {
		delete(w.on, d.connector)
		return
	}
	w.p.consume(d.Delivery)
}

// backwards takes up to n waiting messages at once and imports them in reverse,
// until none waits.
func (w *worker) backwards(ctx context.Context, id string, n int) {
	for ctx.Err() == nil {
		var batch []amqp.Delivery
		for len(batch) < n {
			d, ok, err := w.ch.Get(w.p.broker.push(id), false)
			if err != nil {
				w.drop()
				return
			}
			if !ok {
				break
			}
			batch = append(batch, d)
		}
		if len(batch) == 0 {
			return
		}
		slices.Reverse(batch)
		for _, d := range batch {
			w.p.consume(d)
		}
	}
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
