package opencti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

const connectorID = "c0ffee00-0000-4000-8000-000000000001"

var sentAt = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// scene is a connector, a stand-in platform, and a broker between them that
// hands every message over at once unless it is told to keep it.
type scene struct {
	t        testing.TB
	octi     *openctitest.Platform
	platform *opencti.Platform
	broker   *rabbit
	clock    *clock
	log      *bytes.Buffer
}

// generations are the behaviours that most tests are run against.
var generations = map[string]openctitest.Generation{"generation 6": openctitest.Gen6, "generation 7": openctitest.Gen7}

func users() []openctitest.User {
	return []openctitest.User{
		{Name: "connector", Token: "connector-token"},
		{Name: "lower", Token: "lower-token", MaxConfidence: 50},
		{Name: "amber", Token: "amber-token", Markings: []string{"TLP:CLEAR", "TLP:GREEN", "TLP:AMBER"}},
		{Name: "blind", Token: "blind-token", Capabilities: []string{"CONNECTORAPI", "APIACCESS_USETOKEN", "KNOWLEDGE_KNUPDATE"}},
		{Name: "powerless", Token: "powerless-token", Capabilities: []string{"APIACCESS_USETOKEN"}},
		{Name: "admin", Token: "admin-token", Capabilities: []string{openctitest.Admin}},
	}
}

// connect makes a connector of a configuration and closes it after the test.
func connect(tb testing.TB, c opencti.Config) *opencti.Platform {
	tb.Helper()
	p, err := opencti.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// newScene sets everything up without starting the connector.
func newScene(tb testing.TB, g openctitest.Generation, change func(*opencti.Config)) *scene {
	tb.Helper()
	return newSceneOn(tb, openctitest.Config{Generation: g}, change)
}

// newSceneOn sets everything up at a platform of its own kind.
func newSceneOn(tb testing.TB, on openctitest.Config, change func(*opencti.Config)) *scene {
	tb.Helper()
	s := &scene{t: tb, clock: &clock{now: sentAt.Add(time.Hour)}, log: &bytes.Buffer{}}
	on.Users, on.Now = users(), s.clock.Now
	octi, err := openctitest.New(on)
	if err != nil {
		tb.Fatal(err)
	}
	s.octi = octi
	config := opencti.Config{
		URL: octi.URL(), Token: octi.Token("connector"), ConnectorID: connectorID, Name: "Matrix",
		Markings: []stix.ID{stix.TLPAmber.MarkingID(), stix.TLPGreen.MarkingID()},
		Clock:    s.clock.Now,
		Log:      slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if change != nil {
		change(&config)
	}
	s.platform, err = opencti.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	s.broker = &rabbit{t: tb, octi: octi, limit: 16 << 20}
	s.platform.DialWith(s.broker.dial)
	tb.Cleanup(func() {
		if err := s.platform.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
		for _, v := range octi.Violations() {
			tb.Errorf("the platform complains: %s", v)
		}
		if err := octi.Close(); err != nil {
			tb.Error(err)
		}
		s.noSecrets(s.log.String())
	})
	return s
}

// started sets everything up and starts the connector.
func started(tb testing.TB, g openctitest.Generation) *scene {
	tb.Helper()
	s := newScene(tb, g, nil)
	if _, err := s.platform.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

// noSecrets checks that a line that people see holds no token and nobody's words.
func (s *scene) noSecrets(text string) {
	s.t.Helper()
	for _, secret := range []string{"connector-token", "canary"} {
		if strings.Contains(text, secret) {
			s.t.Errorf("%q stands in %q", secret, text)
		}
	}
}

// deliver sends a bundle and returns the verdicts.
func (s *scene) deliver(b stix.Bundle) stix.Verdicts {
	s.t.Helper()
	receipt := s.publish(b)
	v, err := s.settle(receipt, b)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *scene) begin(b stix.Bundle) string {
	s.t.Helper()
	receipt, err := s.platform.Begin(s.t.Context(), len(b.Objects))
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

func (s *scene) publish(b stix.Bundle) string {
	s.t.Helper()
	receipt := s.begin(b)
	if err := s.platform.Publish(s.t.Context(), receipt, b); err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

// settle asks until there is an answer, moving the clock as the caller would
// wait.
func (s *scene) settle(receipt string, b stix.Bundle) (stix.Verdicts, error) {
	s.t.Helper()
	for n := range 1000 {
		v, err := s.platform.Settle(s.t.Context(), receipt, b)
		if !errors.Is(err, stix.ErrPending) {
			return v, err
		}
		s.clock.advance(opencti.Poll(n))
	}
	s.t.Fatal("still pending after a thousand polls")
	return nil, nil
}

// want compares the states of verdicts.
func (s *scene) want(got stix.Verdicts, want map[stix.ID]stix.VerdictState) {
	s.t.Helper()
	for id, state := range want {
		if got[id].State != state {
			s.t.Errorf("%s: verdict %+v, want %s", id, got[id], state)
		}
	}
	if len(got) != len(want) {
		s.t.Errorf("%d verdicts for %d objects: %v", len(got), len(want), got)
	}
	for _, v := range got {
		s.noSecrets(v.Reason)
	}
}

// landed wants every object of a bundle to have landed.
func (s *scene) landed(got stix.Verdicts, b stix.Bundle) {
	s.t.Helper()
	want := map[stix.ID]stix.VerdictState{}
	for _, o := range b.Objects {
		want[o.ObjectID()] = stix.Landed
	}
	s.want(got, want)
}

// The people and rooms of most scenes.
func room() *stix.Channel {
	return &stix.Channel{
		ID: stix.ChannelID("!lobby:example.org"), Name: "Lobby (!lobby:example.org)", Aliases: []string{"!lobby:example.org"},
		Types: []string{"Matrix"}, Markings: amber(), Created: sentAt, Modified: sentAt,
	}
}

func alice() *stix.Identity {
	return &stix.Identity{
		ID: stix.IndividualID("@alice:example.org"), Name: "@alice:example.org", Class: stix.ClassIndividual,
		Markings: amber(), Created: sentAt, Modified: sentAt,
	}
}

func amber() []stix.ID { return []stix.ID{stix.TLPAmber.MarkingID()} }

// says is a message of Alice in the room, with its relation.
func says(event, text string) (*stix.MediaContent, *stix.Relationship) {
	m := &stix.MediaContent{
		ID: stix.MediaContentID(event), URL: event, Title: "@alice:example.org in Lobby: " + text, Content: text,
		Category: "matrix", Published: sentAt, Author: alice().ID, Markings: amber(),
	}
	return m, stix.NewRelationship(stix.Publishes, room().ID, m.ID, sentAt, sentAt, amber()...)
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rabbit is a broker whose queue is drained by the platform's worker at once, or
// when the test says so. It complains of what a real one would not take.
type rabbit struct {
	t    testing.TB
	octi *openctitest.Platform

	mu       sync.Mutex
	limit    int  // bytes of a message; a larger one closes the channel
	keep     bool // messages wait until drained
	gone     bool // the queue is not there: messages come back
	refuse   int  // so many messages are not confirmed
	cut      int  // the connection breaks at this message, counted from 1
	down     bool // nobody answers
	waiting  [][]byte
	received [][]byte
	dials    int
	dialled  opencti.Broker // the last one
}

func (r *rabbit) dial(_ context.Context, b opencti.Broker) (opencti.Wire, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials++
	r.dialled = b
	if r.down {
		return nil, opencti.ClassifyAMQP("dial", errors.New("connection refused"))
	}
	if b.Host == "" || b.Port == 0 {
		r.t.Errorf("dialled without an address: %q, %d", b.Host, b.Port)
	}
	return &line{r: r}, nil
}

// drain lets the worker take everything that waits.
func (r *rabbit) drain() {
	r.mu.Lock()
	waiting := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	for _, body := range waiting {
		_ = r.octi.Ingest(body) // what it holds back it says itself
	}
}

func (r *rabbit) set(change func(*rabbit)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// line is one connection to the rabbit.
type line struct {
	r        *rabbit
	returned int
	closed   error
}

func (l *line) Publish(_ context.Context, exchange, key string, body []byte) (func(context.Context) (bool, error), error) {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.closed != nil {
		return nil, opencti.ClassifyAMQP("publish", amqp.ErrClosed)
	}
	if exchange == "" || key != "push_routing_"+connectorID {
		r.t.Errorf("published to %q with key %q", exchange, key)
	}
	if !json.Valid(body) {
		r.t.Errorf("a message is no JSON")
	}
	no := func(context.Context) (bool, error) { return false, nil }
	yes := func(context.Context) (bool, error) { return true, nil }
	r.received = append(r.received, body)
	switch {
	case len(body) > r.limit:
		l.closed = opencti.ClassifyAMQP("publish", &amqp.Error{Code: 406, Reason: fmt.Sprintf("PRECONDITION_FAILED - message size %d is larger than configured max size %d", len(body), r.limit)})
		return no, nil
	case r.cut > 0 && len(r.received) == r.cut:
		l.closed = opencti.ClassifyAMQP("publish", amqp.ErrClosed)
		return no, nil
	case r.refuse > 0:
		r.refuse--
		return no, nil
	case r.gone:
		l.returned++
		return yes, nil
	}
	r.waiting = append(r.waiting, body)
	if !r.keep {
		body := r.waiting[len(r.waiting)-1]
		r.waiting = r.waiting[:len(r.waiting)-1]
		_ = r.octi.Ingest(body)
	}
	return yes, nil
}

func (l *line) Returned() int { return l.returned }

func (l *line) Depth(_ context.Context, queue string) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if queue != "push_"+connectorID {
		l.r.t.Errorf("asked for the queue %q", queue)
	}
	if l.r.gone {
		return 0, opencti.ClassifyAMQP("queue", &amqp.Error{Code: 404, Reason: "NOT_FOUND - no queue"})
	}
	return len(l.r.waiting), nil
}

func (l *line) Closed() error { return l.closed }
func (l *line) Close() error  { return nil }
