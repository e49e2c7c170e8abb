package opencti_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestAHalfDonePublicationLapsesAndItsWorkIsDeleted(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(*rabbit)
	}{
		{"the connection breaks at the second message", func(r *rabbit) { r.cut = 4 }},
		{"the broker refuses a message", func(r *rabbit) { r.refuse = 1 }},
		{"the queue is gone and messages come back", func(r *rabbit) { r.gone = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, g := range generations {
				t.Run(name, func(t *testing.T) {
					s := settled(t, g)
					m, rel := says("$one", "hello")
					n, nrel := says("$two", "canary")
					b := stix.NewBundle(m, n, rel, nrel)
					receipt := s.begin(b)
					s.broker.set(c.fault)
					err := s.platform.Publish(t.Context(), receipt, b)
					if !errors.Is(err, stix.ErrLapsed) || opencti.ClassOf(err) != opencti.Temporary {
						t.Fatalf("class %s: %v", opencti.ClassOf(err), err)
					}
					s.noSecrets(err.Error())
					for _, w := range s.octi.Works() {
						if w.ID == receipt {
							t.Error("the work is still there")
						}
					}
					s.broker.set(func(r *rabbit) { r.gone, r.cut, r.refuse = false, 0, 0 })
					s.landed(s.deliver(b), b)
				})
			}
		})
	}
}

func TestAQueueThatIsGoneMakesTheConnectorRegisterAgain(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, _ := says("$one", "hello")
	b := stix.NewBundle(m)
	receipt := s.begin(b)
	s.broker.set(func(r *rabbit) { r.gone = true })
	before := s.octi.Calls("registerConnector")
	if err := s.platform.Publish(t.Context(), receipt, b); !errors.Is(err, stix.ErrLapsed) {
		t.Fatal(err)
	}
	s.broker.set(func(r *rabbit) { r.gone = false })
	s.landed(s.deliver(b), b)
	if n := s.octi.Calls("registerConnector") - before; n != 1 {
		t.Errorf("registered again %d times", n)
	}
}

func TestADeletedConnectorIsRegisteredAgainByTheNextWork(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			if err := s.octi.DeleteConnector(connectorID); err != nil {
				t.Fatal(err)
			}
			// For some seconds the platform refuses it with a lock in the text only.
			_, err := s.platform.Begin(t.Context(), 1)
			if opencti.ClassOf(err) != opencti.Temporary {
				t.Fatalf("class %s: %v", opencti.ClassOf(err), err)
			}
			s.clock.advance(6 * time.Second)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			s.landed(s.deliver(b), b)
		})
	}
}

func TestALostAnswerToTheExpectationsIsNeverRepeated(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			receipt := s.begin(b)
			s.octi.Faults().LoseAnswers("workEdit.addExpectations", 1, openctitest.Disconnect)
			calls, received := s.octi.Calls("workEdit.addExpectations"), len(s.broker.received)
			err := s.platform.Publish(t.Context(), receipt, b)
			if !errors.Is(err, stix.ErrLapsed) {
				t.Fatal(err)
			}
			if n := s.octi.Calls("workEdit.addExpectations") - calls; n != 1 {
				t.Errorf("announced %d times", n)
			}
			if n := len(s.broker.received) - received; n != 0 {
				t.Errorf("%d messages were published all the same", n)
			}
			s.landed(s.deliver(b), b)
		})
	}
}

func TestALostToProcessedDoesNotMatter(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			s.octi.Faults().FailCalls("workEdit.toProcessed", 1, openctitest.ServerError)
			s.landed(s.deliver(b), b)
		})
	}
}

func TestAnObjectLargerThanTheBrokersLimitIsRefusedAloneAndNotSent(t *testing.T) {
	s := newScene(t, openctitest.Gen7, func(c *opencti.Config) { c.MaxMessageBytes = 100_000 })
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, _ := says("$large", strings.Repeat("canary ", 15_000))
	n, rel := says("$small", "fine")
	got := s.deliver(stix.NewBundle(room(), alice(), m, n, rel))
	s.want(got, map[stix.ID]stix.VerdictState{
		room().ID: stix.Landed, alice().ID: stix.Landed, m.ID: stix.Refused, n.ID: stix.Landed, rel.ID: stix.Landed,
	})
	for _, body := range s.broker.received {
		if len(body) > 100_000 {
			t.Errorf("a message of %d bytes was sent", len(body))
		}
	}
	// Brackets take no more room than other letters.
	k, _ := says("$brackets", strings.Repeat("<", 30_000))
	s.want(s.deliver(stix.NewBundle(k)), map[stix.ID]stix.VerdictState{k.ID: stix.Landed})
	// Alone it is refused without anything sent at all.
	got = s.deliver(stix.NewBundle(m))
	s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Refused})
}

func TestASmallerLimitThanExpectedIsLearnedFromTheBroker(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	s.broker.set(func(r *rabbit) { r.limit = 50_000 })
	m, _ := says("$large", strings.Repeat("canary ", 15_000))
	n, rel := says("$small", "fine")
	b := stix.NewBundle(m, n, rel)
	receipt := s.begin(b)
	err := s.platform.Publish(t.Context(), receipt, b)
	if !errors.Is(err, stix.ErrLapsed) {
		t.Fatal(err)
	}
	if got := s.platform.MessageLimit(); got != 50_000 {
		t.Errorf("limit %d", got)
	}
	s.want(s.deliver(b), map[stix.ID]stix.VerdictState{m.ID: stix.Refused, n.ID: stix.Landed, rel.ID: stix.Landed})
}

func TestNoWorkIsOpenedWhileTheBrokerIsDown(t *testing.T) {
	s := newScene(t, openctitest.Gen7, nil)
	s.broker.set(func(r *rabbit) { r.down = true })
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.log.String(), "the broker cannot be reached yet") {
		t.Error("the start does not tell of it")
	}
	_, err := s.platform.Begin(t.Context(), 1)
	if err == nil || opencti.ClassOf(err) != opencti.Temporary {
		t.Fatalf("class %s: %v", opencti.ClassOf(err), err)
	}
	if w := s.octi.Works(); len(w) != 0 {
		t.Errorf("works %+v", w)
	}
	s.broker.set(func(r *rabbit) { r.down = false })
	c := room()
	s.want(s.deliver(stix.NewBundle(c)), map[stix.ID]stix.VerdictState{c.ID: stix.Landed})
}

func TestAnEndedContextDeletesTheWorkAllTheSame(t *testing.T) {
	s := started(t, openctitest.Gen7)
	b := stix.NewBundle(room())
	receipt := s.begin(b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.platform.Publish(ctx, receipt, b)
	if !errors.Is(err, stix.ErrLapsed) || opencti.ClassOf(err) != opencti.Cancelled {
		t.Fatalf("class %s: %v", opencti.ClassOf(err), err)
	}
	if w := s.octi.Works(); len(w) != 0 {
		t.Errorf("works %+v", w)
	}
}

func TestAMessageNamesTheConnectorsUserAndOneObject(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	var envelope struct {
		Applicant string `json:"applicant_id"`
		Work      string `json:"work_id"`
		Update    *bool  `json:"update"`
		Content   string `json:"content"`
	}
	if err := json.Unmarshal(s.broker.received[0], &envelope); err != nil {
		t.Fatal(err)
	}
	if envelope.Applicant != s.octi.UserID("connector") {
		t.Errorf("applicant %q is not the connector's user", envelope.Applicant)
	}
	if envelope.Update == nil || *envelope.Update {
		t.Errorf("update %v", envelope.Update)
	}
	content, err := base64.StdEncoding.DecodeString(envelope.Content)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Objects []json.RawMessage `json:"objects"`
	}
	if err := json.Unmarshal(content, &bundle); err != nil || len(bundle.Objects) != 1 {
		t.Errorf("%d objects in a message, %v", len(bundle.Objects), err)
	}
}
