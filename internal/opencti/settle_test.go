package opencti_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// only matches one object.
func only(id stix.ID) openctitest.Match {
	return func(i openctitest.Item) bool { return i.ID == string(id) }
}

// settled lets the room and Alice land first.
func settled(t *testing.T, g openctitest.Generation) *scene {
	t.Helper()
	s := started(t, g)
	b := stix.NewBundle(room(), alice())
	s.landed(s.deliver(b), b)
	return s
}

func TestWhatTheWorkRefusesIsRefusedAndTheRestLands(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			good, goodRel := says("$good", "fine")
			bad, _ := says("$bad", "canary")
			bad.URL = "" // the platform wants one
			orphan := stix.NewRelationship(stix.RelatedTo, good.ID, stix.MediaContentID("$absent"), sentAt, sentAt, amber()...)
			short := &stix.Channel{ID: stix.ChannelID("z"), Name: "z", Types: []string{"Matrix"}, Markings: amber(), Created: sentAt, Modified: sentAt}
			wrong := stix.NewRelationship("uses", room().ID, good.ID, sentAt, sentAt, amber()...)
			got := s.deliver(stix.NewBundle(good, goodRel, bad, orphan, short, wrong))
			s.want(got, map[stix.ID]stix.VerdictState{
				good.ID: stix.Landed, goodRel.ID: stix.Landed,
				bad.ID: stix.Refused, short.ID: stix.Refused, wrong.ID: stix.Refused,
				orphan.ID: stix.MissingEnd,
			})
			for id, reason := range map[stix.ID]string{
				bad.ID: "BAD_USER_INPUT: Expected non-nullable type", wrong.ID: "FUNCTIONAL_ERROR: is not allowed between",
				short.ID: "BAD_USER_INPUT: Must be at least 2 characters", orphan.ID: "MISSING_REFERENCE_ERROR: Element(s) not found",
			} {
				if got[id].Reason != reason {
					t.Errorf("%s: reason %q, want %q", id, got[id].Reason, reason)
				}
			}
		})
	}
}

func TestATemporaryErrorOfAWorkerMeansMissing(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, rel := says("$one", "hello")
	s.octi.Faults().Refuse(only(m.ID), 1, openctitest.ItemError{Name: "LOCK_ERROR", Message: "Execution timeout, too many concurrent call on the same entities"})
	got := s.deliver(stix.NewBundle(m, rel))
	s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Missing, rel.ID: stix.Missing})
	if !strings.HasPrefix(got[m.ID].Reason, "LOCK_ERROR") {
		t.Errorf("reason %q", got[m.ID].Reason)
	}
}

func TestALargeItemsErrorIsItsOwnWhenNoOtherIsUnexplained(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, _ := says("$large", strings.Repeat("canary ", 20_000))
	n, _ := says("$small", "fine")
	s.octi.Faults().Refuse(only(m.ID), 1, openctitest.ItemError{Name: "BAD_USER_INPUT", Message: "DateTime cannot represent an invalid date-time-string canary."})
	got := s.deliver(stix.NewBundle(m, n))
	s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Refused, n.ID: stix.Landed})
}

func TestAnUnknownAuthorIsAMissingEnd(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			b := stix.NewBundle(room())
			s.landed(s.deliver(b), b)
			m, rel := says("$one", "hello")
			got := s.deliver(stix.NewBundle(m, rel)) // the platform accepts it without its author
			s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.MissingEnd, rel.ID: stix.Landed})
			// Once the author has landed the message is amended.
			b = stix.NewBundle(alice())
			s.landed(s.deliver(b), b)
			got, err := s.platform.Amend(t.Context(), stix.NewBundle(m))
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, stix.NewBundle(m))
			if o, _ := s.octi.Object(string(m.ID)); o.Author != string(alice().ID) {
				t.Errorf("author %q", o.Author)
			}
		})
	}
}

func TestATextThatIsIgnoredInSilenceDiffers(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, g, func(c *opencti.Config) { c.Token = "lower-token" })
			if _, err := s.platform.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := stix.NewBundle(room(), alice())
			s.landed(s.deliver(b), b)
			// Another connector, of higher confidence, was first.
			if err := s.octi.Import("admin", fmt.Sprintf(`{"type":"media-content","spec_version":"2.1","id":%q,"url":"$one","content":"older text"}`, stix.MediaContentID("$one"))); err != nil {
				t.Fatal(err)
			}
			m, rel := says("$one", "newer text")
			got := s.deliver(stix.NewBundle(m, rel))
			if v := got[m.ID]; v.State != stix.Differs || !strings.Contains(v.Reason, "content") {
				t.Fatalf("verdict %+v", v)
			}
			got, err := s.platform.Amend(t.Context(), stix.NewBundle(m))
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, stix.NewBundle(m))
			if o, _ := s.octi.Object(string(m.ID)); o.Text("content") != "newer text" || o.Author != string(alice().ID) {
				t.Errorf("content %q, author %q", o.Text("content"), o.Author)
			}
		})
	}
}

func TestAForcedEndIsReadBack(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			n, nrel := says("$two", "world")
			b := stix.NewBundle(m, n, rel, nrel)
			hold := s.octi.Faults().Hold(func(i openctitest.Item) bool { return i.ID == string(n.ID) || i.ID == string(nrel.ID) }, 0)
			receipt := s.publish(b)
			s.octi.CloseWork(receipt)
			got, err := s.settle(receipt, b)
			if err != nil {
				t.Fatal(err)
			}
			s.want(got, map[stix.ID]stix.VerdictState{
				m.ID: stix.Landed, rel.ID: stix.Landed, n.ID: stix.Missing, nrel.ID: stix.Missing,
			})
			hold.Release()
		})
	}
}

func TestAReportGivenTwiceIsNotBelievedWhileSomethingWaits(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, _ := says("$one", "hello")
			n, _ := says("$two", "world")
			b := stix.NewBundle(m, n)
			s.broker.set(func(r *rabbit) { r.keep = true })
			s.octi.Faults().ReportTwice(only(m.ID), 1)
			receipt := s.publish(b)
			// The worker takes the first message only; its work is complete.
			s.broker.set(func(r *rabbit) { r.waiting, r.cut = r.waiting[:1:1], 0 })
			rest := s.broker.received[len(s.broker.received)-1]
			s.broker.drain()
			s.broker.set(func(r *rabbit) { r.waiting = append(r.waiting, rest) })
			for n := range 20 {
				if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrPending) {
					t.Fatalf("poll %d: %v", n, err)
				}
				s.clock.advance(time.Second)
			}
			if g == openctitest.Gen7 {
				return // it would be skipped: its work is closed
			}
			s.broker.drain()
			got, err := s.settle(receipt, b)
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, b)
		})
	}
}

func TestAbsenceIsNotBelievedAtOnce(t *testing.T) {
	s := settled(t, openctitest.Gen6) // which imports what comes after the end of a work
	m, _ := says("$one", "hello")
	n, _ := says("$two", "world")
	b := stix.NewBundle(m, n)
	late := s.octi.Faults().Hold(only(n.ID), 1)
	s.octi.Faults().ReportTwice(only(m.ID), 1)
	receipt := s.publish(b)
	// The work is complete and the queue is empty: a worker holds the other one.
	for range 3 {
		if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrPending) {
			t.Fatal(err)
		}
		s.clock.advance(500 * time.Millisecond)
	}
	late.Release()
	got, err := s.settle(receipt, b)
	if err != nil {
		t.Fatal(err)
	}
	s.landed(got, b)
}

func TestAWorkThatMovesSlowlyIsWaitedFor(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			var objects []stix.Object
			var held []*openctitest.Fault
			for i := range 5 {
				m, _ := says(fmt.Sprintf("$%d", i), "hello")
				objects = append(objects, m)
				held = append(held, s.octi.Faults().Hold(only(m.ID), 1))
			}
			b := stix.NewBundle(objects...)
			receipt := s.publish(b)
			for _, h := range held { // each takes a worker almost as long as is waited
				for range 11 {
					if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrPending) {
						t.Fatal(err)
					}
					s.clock.advance(10 * time.Second)
				}
				h.Release()
			}
			got, err := s.settle(receipt, b)
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, b)
		})
	}
}

func TestADeletedWorkIsReadBack(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			receipt := s.publish(b)
			s.octi.DeleteWork(receipt)
			got, err := s.settle(receipt, b)
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, b)
		})
	}
}

func TestADeletedWorkOfWhichNothingIsThereLapses(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			s.octi.Faults().Drop(nil, 0)
			receipt := s.publish(b)
			s.octi.DeleteWork(receipt)
			if _, err := s.settle(receipt, b); !errors.Is(err, stix.ErrLapsed) {
				t.Fatal(err)
			}
		})
	}
}

func TestAResetLapsesTheOpenReceipt(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			s.broker.set(func(r *rabbit) { r.keep = true })
			receipt := s.publish(b)
			if err := s.octi.ResetState(connectorID); err != nil {
				t.Fatal(err)
			}
			s.broker.set(func(r *rabbit) { r.waiting = nil })
			reset, err := s.platform.Ping(t.Context(), []byte(`{"since":"s1"}`), opencti.PingInfo{})
			if err != nil || !reset {
				t.Fatalf("reset %v, %v", reset, err)
			}
			if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrLapsed) {
				t.Fatalf("%v", err)
			}
			for _, w := range s.octi.Works() {
				if w.ID == receipt {
					t.Error("the work is left in progress")
				}
			}
		})
	}
}

func TestAResetWhileTheConnectorWasDownLapsesWhatItLeft(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, rel := says("$one", "hello")
	b := stix.NewBundle(m, rel)
	s.broker.set(func(r *rabbit) { r.keep = true })
	receipt := s.publish(b)
	if err := s.octi.ResetState(connectorID); err != nil {
		t.Fatal(err)
	}
	s.broker.set(func(r *rabbit) { r.waiting, r.keep = nil, false })
	s.platform = connect(t, opencti.Config{
		URL: s.octi.URL(), Token: "connector-token", ConnectorID: connectorID, Name: "Matrix", Markings: amber(), Clock: s.clock.Now,
	})
	s.platform.DialWith(s.broker.dial)
	reg, err := s.platform.Start(t.Context())
	if err != nil || !reg.Reset {
		t.Fatal(reg, err)
	}
	if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrLapsed) {
		t.Fatal(err)
	}
	s.landed(s.deliver(b), b)
}

func TestAWorkThatStandsStillLapsesOnceTheQueueIsEmpty(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(m, rel)
			s.broker.set(func(r *rabbit) { r.keep = true })
			receipt := s.publish(b)
			// As long as the messages wait, nothing is lost, however long it takes.
			for range 10 {
				s.clock.advance(time.Hour)
				if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrPending) {
					t.Fatal(err)
				}
			}
			s.octi.Faults().Drop(nil, 0) // acknowledged and forgotten
			s.broker.drain()
			start := s.clock.Now()
			_, err := s.settle(receipt, b)
			if !errors.Is(err, stix.ErrLapsed) {
				t.Fatal(err)
			}
			if took := s.clock.Now().Sub(start); took < 2*time.Minute {
				t.Errorf("given up after %s", took)
			}
		})
	}
}

func TestOneLostMessageOfAWorkThatStandsStillIsMissingAlone(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, _ := says("$one", "hello")
	n, _ := says("$two", "world")
	b := stix.NewBundle(m, n)
	s.octi.Faults().Drop(only(n.ID), 1)
	got := s.deliver(b)
	s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Landed, n.ID: stix.Missing})
}

func TestAnItemReportedButNotImportedIsMissing(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, _ := says("$one", "hello")
	n, _ := says("$two", "world")
	s.octi.Faults().Lose(only(n.ID), 1)
	got := s.deliver(stix.NewBundle(m, n))
	s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Landed, n.ID: stix.Missing})
}

func TestAReceiptThatWasNeverPublishedLapsesAtOnce(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			m, _ := says("$one", "hello")
			b := stix.NewBundle(m)
			receipt := s.begin(b)
			// As after a crash: another process asks.
			again := connect(t, opencti.Config{
				URL: s.octi.URL(), Token: "connector-token", ConnectorID: connectorID, Name: "Matrix", Markings: amber(), Clock: s.clock.Now,
			})
			again.DialWith(s.broker.dial)
			if _, err := again.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := again.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrLapsed) {
				t.Fatal(err)
			}
		})
	}
}

func TestAReceiptThatAnEarlierProcessOnlyAnnouncedLapsesSoon(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, _ := says("$one", "hello")
	b := stix.NewBundle(m)
	s.octi.Faults().Drop(nil, 0) // as though nothing had been published
	receipt := s.publish(b)
	s.platform = connect(t, opencti.Config{
		URL: s.octi.URL(), Token: "connector-token", ConnectorID: connectorID, Name: "Matrix", Markings: amber(), Clock: s.clock.Now,
	})
	s.platform.DialWith(s.broker.dial)
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := s.clock.Now()
	if _, err := s.settle(receipt, b); !errors.Is(err, stix.ErrLapsed) {
		t.Fatal(err)
	}
	if took := s.clock.Now().Sub(start); took < 15*time.Second || took > 20*time.Second {
		t.Errorf("given up after %s", took)
	}
}

func TestAReceiptOfAnEarlierProcessIsSettled(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	m, rel := says("$one", "hello")
	b := stix.NewBundle(m, rel)
	receipt := s.publish(b)
	again := connect(t, opencti.Config{
		URL: s.octi.URL(), Token: "connector-token", ConnectorID: connectorID, Name: "Matrix", Markings: amber(), Clock: s.clock.Now,
	})
	again.DialWith(s.broker.dial)
	if _, err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.platform = again
	got, err := s.settle(receipt, b)
	if err != nil {
		t.Fatal(err)
	}
	s.landed(got, b)
}

func TestWithoutTheRightToReadTheConfirmIsTheReceipt(t *testing.T) {
	s := newScene(t, openctitest.Gen7, func(c *opencti.Config) { c.Token = "blind-token" })
	reg, err := s.platform.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if reg.CanRead {
		t.Error("the user has no right to read works")
	}
	if !strings.Contains(s.log.String(), "level=ERROR") {
		t.Error("nothing was said loudly")
	}
	m, _ := says("$one", "hello")
	b := stix.NewBundle(room(), alice(), m)
	s.broker.set(func(r *rabbit) { r.keep = true })
	receipt := s.publish(b)
	got, err := s.platform.Settle(t.Context(), receipt, b)
	if err != nil {
		t.Fatal(err)
	}
	s.landed(got, b)
	if _, err := s.platform.Settle(t.Context(), "work_of_an_earlier_process", b); !errors.Is(err, stix.ErrLapsed) {
		t.Errorf("a receipt that nobody can read: %v", err)
	}
}

func TestErrorsAreReadOnlyOnceTheWorkIsComplete(t *testing.T) {
	// The stand-in shows 2/2, in progress and without the last error, for one
	// poll, as real platforms do.
	s := settled(t, openctitest.Gen7)
	m, _ := says("$one", "hello")
	n, _ := says("$two", "world")
	s.octi.Faults().Refuse(only(n.ID), 1, openctitest.ItemError{Name: "FUNCTIONAL_ERROR", Message: "canary"})
	b := stix.NewBundle(m, n)
	s.broker.set(func(r *rabbit) { r.keep = true })
	receipt := s.publish(b)
	s.broker.drain()
	if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrPending) {
		t.Fatalf("first poll: %v", err)
	}
	got, err := s.settle(receipt, b)
	if err != nil {
		t.Fatal(err)
	}
	s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Landed, n.ID: stix.Refused})
}

func TestPollingBeginsWithTensOfMillisecondsAndBacksOff(t *testing.T) {
	if d := opencti.Poll(0); d != 30*time.Millisecond {
		t.Errorf("first wait %s", d)
	}
	for n := range 100 {
		if opencti.Poll(n+1) < opencti.Poll(n) || opencti.Poll(n) > time.Second {
			t.Errorf("wait %d is %s, the next %s", n, opencti.Poll(n), opencti.Poll(n+1))
		}
	}
}
