package opencti_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// pushed sets up a connector that reaches no broker, at a platform of a version;
// empty is the generation's own.
func pushed(t *testing.T, g openctitest.Generation, version string) *scene {
	t.Helper()
	s := newSceneOn(t, openctitest.Config{Generation: g, Version: version}, func(c *opencti.Config) { c.ThroughAPI = true })
	s.platform.DialWith(func(context.Context, opencti.Broker) (opencti.Wire, error) {
		t.Error("the broker was dialled")
		return nil, errors.New("no route")
	})
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// ways are the platforms that a pushed bundle meets.
var ways = []struct {
	name    string
	gen     openctitest.Generation
	version string
	work    bool // the platform takes a work with the bundle
}{
	{"6.4.3 makes a work of its own", openctitest.Gen6, "", false},
	{"6.5.6 does, too", openctitest.Gen6, "6.5.6", false},
	{"6.5.7 takes ours", openctitest.Gen6, "6.5.7", true},
	{"6.7.5 does", openctitest.Gen6, "6.7.5", true},
	{"7 does", openctitest.Gen7, "", true},
}

func TestABatchLandsWithoutABroker(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			m, rel := says("$one", "canary <b>&\u2028 \"quoted\"")
			b := stix.NewBundle(rel, m, alice(), room())
			s.landed(s.deliver(b), b)
			o, ok := s.octi.Object(string(m.ID))
			if !ok || o.Text("content") != m.Content || o.Author != string(alice().ID) {
				t.Errorf("the message is %+v", o)
			}
			works := s.octi.Works()
			if len(works) != 1 {
				t.Fatalf("%d works, want one", len(works))
			}
			if w := works[0]; w.Status != "complete" || w.Expected != 4 || w.Processed != 4 || strings.HasPrefix(w.Name, "Matrix: 4") != way.work {
				t.Errorf("work %+v", w)
			}
			if n, want := s.octi.Calls("stixBundlePush"), map[bool]int{true: 4, false: 1}[way.work]; n != want {
				t.Errorf("%d pushes, want %d", n, want)
			}
			one, _ := says("$two", "alone")
			single := stix.NewBundle(one)
			s.landed(s.deliver(single), single)
			if n := strings.Count(s.log.String(), "which is weaker"); n != 1 {
				t.Errorf("told %d times that this is weaker", n)
			}
			if got := strings.Contains(s.log.String(), "without a reason"); got == way.work {
				t.Errorf("told that refusals have no reason: %v", got)
			}
		})
	}
}

func TestWhatThePlatformRefusesIsSaidWhereItCanBe(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			people := stix.NewBundle(room(), alice())
			s.landed(s.deliver(people), people)
			m, rel := says("$one", "hello")
			n, nrel := says("$two", "hello again")
			s.octi.Faults().Refuse(func(i openctitest.Item) bool { return i.ID == string(n.ID) }, -1,
				openctitest.ItemError{Name: "FUNCTIONAL_ERROR", Message: "Must be at least 2 characters"})
			b := stix.NewBundle(m, rel, n, nrel)
			got := s.deliver(b)
			if got[m.ID].State != stix.Landed || got[rel.ID].State != stix.Landed {
				t.Errorf("the other message: %v", got)
			}
			want := stix.Missing
			if way.work {
				want = stix.Refused
			}
			if got[n.ID].State != want {
				t.Errorf("the refused message: %+v, want %s", got[n.ID], want)
			}
		})
	}
}

func TestWhatWaitsUnseenIsAwaitedAndNotSentAgain(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(rel, m, alice(), room())
			held := s.octi.Faults().Hold(nil, -1)
			receipt := s.publish(b)
			for range 60 {
				if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrPending) {
					t.Fatalf("while all of it waits: %v", err)
				}
				s.clock.advance(10 * time.Second)
			}
			held.Release()
			got, err := s.settle(receipt, b)
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, b)
		})
	}
}

func TestWhatIsLostBehindThePlatformIsSentAgain(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(rel, m, alice(), room())
			lost := s.octi.Faults().Drop(nil, -1)
			receipt := s.publish(b)
			lost.Lift()
			from := s.clock.Now()
			if _, err := s.settle(receipt, b); !errors.Is(err, stix.ErrLapsed) {
				t.Fatalf("all of it lost: %v", err)
			}
			if took := s.clock.Now().Sub(from); took < 2*time.Minute || took > 3*time.Minute {
				t.Errorf("it was given up after %s", took)
			}
			s.landed(s.deliver(b), b)
		})
	}
}

func TestAPushThatFailsLapsesOrIsMended(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(rel, m, alice(), room())
			s.octi.Faults().FailCalls("stixBundlePush", 1, openctitest.BadGateway)
			s.landed(s.deliver(b), b)
			s.octi.Faults().LoseAnswers("stixBundlePush", 1, openctitest.BadGateway)
			s.landed(s.deliver(b), b)

			receipt := s.begin(b)
			s.octi.Faults().FailCalls("stixBundlePush", 2, openctitest.BadGateway)
			err := s.platform.Publish(t.Context(), receipt, b)
			if !errors.Is(err, stix.ErrLapsed) || opencti.ClassOf(err) != opencti.Temporary {
				t.Fatalf("class %s: %v", opencti.ClassOf(err), err)
			}
			for _, w := range s.octi.Works() {
				if w.ID == receipt {
					t.Error("the work is still there")
				}
			}
			s.landed(s.deliver(b), b)
		})
	}
}

func TestAConnectorThatIsDeletedIsRegisteredAgainWithoutABroker(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			people := stix.NewBundle(room(), alice())
			s.landed(s.deliver(people), people)
			m, _ := says("$one", "hello")
			b := stix.NewBundle(m)
			receipt := s.begin(b)
			if err := s.octi.DeleteConnector(connectorID); err != nil {
				t.Fatal(err)
			}
			if err := s.platform.Publish(t.Context(), receipt, b); !errors.Is(err, stix.ErrLapsed) {
				t.Fatal(err)
			}
			s.clock.advance(6 * time.Second) // an id is refused for so long
			s.landed(s.deliver(b), b)
		})
	}
}

func TestAResetVoidsWhatWasPushed(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			ping := func() bool {
				reset, err := s.platform.Ping(t.Context(), []byte(`{"x":1}`), opencti.PingInfo{})
				if err != nil {
					t.Fatal(err)
				}
				return reset
			}
			ping()
			m, _ := says("$one", "hello")
			b := stix.NewBundle(m)
			s.octi.Faults().Hold(nil, -1)
			receipt := s.publish(b)
			if err := s.octi.ResetState(connectorID); err != nil {
				t.Fatal(err)
			}
			if !ping() {
				t.Fatal("the reset was not seen")
			}
			if _, err := s.platform.Settle(t.Context(), receipt, b); !errors.Is(err, stix.ErrLapsed) {
				t.Errorf("after a reset: %v", err)
			}
		})
	}
}

func TestAnotherProcessFindsOutWhatBecameOfAPush(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := pushed(t, way.gen, way.version)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(rel, m, alice(), room())
			receipt := s.publish(b)
			unsent, _ := says("$two", "never pushed")
			open := stix.NewBundle(unsent)
			began := s.begin(open)

			next := connect(t, opencti.Config{
				URL: s.octi.URL(), Token: s.octi.Token("connector"), ConnectorID: connectorID, Name: "Matrix",
				Markings: amber(), Clock: s.clock.Now, ThroughAPI: true,
			})
			if _, err := next.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.platform = next
			got, err := s.settle(receipt, b)
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, b)
			from := s.clock.Now()
			if _, err := s.settle(began, open); !errors.Is(err, stix.ErrLapsed) {
				t.Errorf("what was never pushed: %v", err)
			}
			if took := s.clock.Now().Sub(from); took > 2*time.Minute {
				t.Errorf("it was given up after %s", took)
			}
		})
	}
}

func TestABlindUsersPushIsItsReceipt(t *testing.T) {
	s := newSceneOn(t, openctitest.Config{Generation: openctitest.Gen7}, func(c *opencti.Config) {
		c.ThroughAPI, c.Token = true, "blind-token"
	})
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, _ := says("$one", "hello")
	b := stix.NewBundle(m)
	got := s.deliver(b)
	if v := got[m.ID]; v.State != stix.Landed || !strings.Contains(v.Reason, "platform, not read back") {
		t.Errorf("verdict %+v", v)
	}
}

func TestALargeBundleOfAnOldPlatformIsCut(t *testing.T) {
	s := pushed(t, openctitest.Gen6, "")
	people := stix.NewBundle(room(), alice())
	s.landed(s.deliver(people), people)
	var objects []stix.Object
	for _, event := range []string{"$one", "$two", "$three"} {
		m, rel := says(event, "long")
		m.Content = strings.Repeat("words ", 400_000)
		objects = append(objects, m, rel)
	}
	b := stix.NewBundle(objects...)
	before := s.octi.Calls("stixBundlePush")
	s.landed(s.deliver(b), b)
	if n := s.octi.Calls("stixBundlePush") - before; n != 2 && n != 3 {
		t.Errorf("%d pushes", n)
	}
}

func TestWhileThePlatformIsAwayNoBatchBegins(t *testing.T) {
	s := pushed(t, openctitest.Gen6, "")
	s.octi.Faults().FailCalls("about", 1, openctitest.BadGateway)
	if _, err := s.platform.Begin(t.Context(), 1); opencti.ClassOf(err) != opencti.Temporary || err == nil {
		t.Errorf("a batch began: %v", err)
	}
}

func TestDocumentsForNewerPlatformsAreRefusedByOlderOnes(t *testing.T) {
	for name, schema := range schemas(t) {
		for op, text := range opencti.NewerOperations() {
			doc, err := parser.ParseQuery(&ast.Source{Name: op, Input: text})
			if err != nil {
				t.Fatal(err)
			}
			fails := len(validator.ValidateWithRules(schema, doc, rules.NewDefaultRules())) > 0
			if old := strings.Contains(name, "6.4"); fails != old {
				t.Errorf("%s in %s: refused %v, want %v: else it belongs to the others", op, name, fails, old)
			}
		}
	}
}
