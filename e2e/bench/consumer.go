package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"maunium.net/go/mautrix/id"
)

// Consumer takes messages from the connector's queue as the broker gives them,
// notes when each event came, and lets the platform import them, so that the
// connector sees its works go on. It stands in for the platform's workers.
type Consumer struct {
	s *Stage

	mu   sync.Mutex // guards what follows
	came map[id.EventID]time.Time
	err  error
}

// Consumes takes from the queue until the benchmark ends. The connector must have
// been started: its registration makes the queue.
func (s *Stage) Consumes() *Consumer {
	s.b.Helper()
	connection, err := amqp.Dial(s.Broker.URL())
	s.must(err)
	deliveries, err := s.subscribe(connection)
	s.must(err)
	c := &Consumer{s: s, came: map[id.EventID]time.Time{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for d := range deliveries {
			c.take(d)
		}
	}()
	s.b.Cleanup(func() {
		_ = connection.Close()
		<-ended
		if c.err != nil {
			s.b.Error(c.err)
		}
	})
	return c
}

// subscribe waits for the queue.
func (s *Stage) subscribe(connection *amqp.Connection) (<-chan amqp.Delivery, error) {
	ctx, cancel := context.WithTimeout(s.b.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		channel, err := connection.Channel()
		if err != nil {
			return nil, err
		}
		deliveries, err := channel.Consume(s.Queue(), "", false, false, false, false, nil)
		if err == nil {
			return deliveries, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("consume %s: %w", s.Queue(), err)
		}
	}
}

func (c *Consumer) take(d amqp.Delivery) {
	at := time.Now()
	e, err := eventIn(d.Body)
	c.mu.Lock()
	if _, again := c.came[e]; e != "" && !again {
		c.came[e] = at
	}
	c.mu.Unlock()
	if err == nil {
		err = c.s.Platform.Ingest(d.Body)
	}
	if err == nil {
		err = d.Ack(false)
	}
	if err != nil {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
}

// At is when an event came; false: it has not.
func (c *Consumer) At(e id.EventID) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.came[e]
	return at, ok
}

// Count is how many events came.
func (c *Consumer) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.came)
}

// eventIn is the event that a message of the queue imports; empty for one that
// imports something else.
func eventIn(body []byte) (id.EventID, error) {
	var envelope struct {
		Content []byte `json:"content"`
	}
	var bundle struct {
		Objects []struct {
			Type, URL string
		} `json:"objects"`
	}
	err := json.Unmarshal(body, &envelope)
	if err == nil {
		err = json.Unmarshal(envelope.Content, &bundle)
	}
	if err != nil {
		return "", fmt.Errorf("read a message of the queue: %w", err)
	}
	for _, o := range bundle.Objects {
		if o.Type == "media-content" && strings.HasPrefix(o.URL, "$") {
			return id.EventID(o.URL), nil
		}
	}
	return "", nil
}
