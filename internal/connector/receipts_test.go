package connector_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

const receiptsID = "7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11"

// delivery is a ledger that delivers to a stand-in platform through its API: all of the
// delivering half, but for the broker.
type delivery struct {
	*scene
	octi     *openctitest.Platform
	platform *opencti.Platform
	ping     *connector.Pinger
}

func newDelivery(t *testing.T, g openctitest.Generation, version string) *delivery {
	t.Helper()
	d := &delivery{scene: newScene(t)}
	var err error
	if d.octi, err = openctitest.New(openctitest.Config{Generation: g, Version: version, Now: d.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range d.octi.Violations() {
			t.Errorf("the platform complains: %s", v)
		}
		if err := d.octi.Close(); err != nil {
			t.Error(err)
		}
	})
	d.starts()
	return d
}

// starts is a new process.
func (d *delivery) starts() {
	d.t.Helper()
	p, err := opencti.New(opencti.Config{
		URL: d.octi.URL(), Token: d.octi.Token("connector"), ConnectorID: receiptsID, Name: "Matrix",
		Markings: []stix.ID{stix.TLPAmber.MarkingID()}, ThroughAPI: true, Clock: d.now,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := p.Close(d.ctx); err != nil {
			d.t.Error(err)
		}
	})
	if _, err := p.Start(d.ctx); err != nil {
		d.t.Fatal(err)
	}
	d.platform = p
	d.ping = connector.NewPinger(d.ledger, p)
	stands := d.now() // so that the deliverer does not wait for what time brings
	d.out = connector.NewDeliverer(d.ledger, d.store, p, d.mapper, func() time.Time { return stands })
}

// rests runs turns, some seconds apart, until nothing is on its way, and pings.
func (d *delivery) rests(until func() bool) {
	d.t.Helper()
	var last error
	for turn := range 600 {
		if until() {
			return
		}
		if turn%20 == 0 {
			if err := d.ping.Ping(d.ctx); err != nil {
				last = err
			}
		}
		if _, err := d.out.Turn(d.ctx); err != nil {
			last = err
		}
		d.waits(2 * time.Second)
	}
	d.t.Fatalf("it never comes to rest: %v; the last failure: %v", d.posts(), last)
}

func (d *delivery) settled() bool {
	posts := d.posts()
	return posts["due"]+posts["sent"] == 0
}

// work is the newest one.
func (d *delivery) work() string {
	works := d.octi.Works()
	if len(works) == 0 {
		return ""
	}
	newest := works[0]
	for _, w := range works {
		if w.ID > newest.ID {
			newest = w
		}
	}
	return newest.ID
}

// Every way on which a delivery can go wrong (opencti.md §2.5, §4.4, §4.5, §12.6, §12.9,
// §12.10) ends with the message landed, or visible with its reason. Those of the broker
// stand in package opencti.
func TestEveryPathOfADeliveryEndsLandedOrVisible(t *testing.T) {
	refuse := func(name string, times int) func(*delivery) func() {
		return func(d *delivery) func() {
			d.octi.Faults().Refuse(nil, times, openctitest.ItemError{Name: name, Message: "said by the platform"})
			return nil
		}
	}
	// held keeps what is published back, lets something happen, and then lets it go.
	held := func(then func(d *delivery)) func(*delivery) func() {
		return func(d *delivery) func() {
			h := d.octi.Faults().Hold(nil, 2)
			return func() { then(d); h.Release() }
		}
	}
	calls := func(name string, times int, how openctitest.Failure) func(*delivery) func() {
		return func(d *delivery) func() {
			d.octi.Faults().FailCalls(name, times, how)
			return nil
		}
	}
	lost := func(name string) func(*delivery) func() {
		return func(d *delivery) func() {
			d.octi.Faults().LoseAnswers(name, 1, openctitest.Disconnect)
			return nil
		}
	}
	paths := []struct {
		name string
		// fault is set up before the message is sent; what it gives is done once it is.
		fault func(*delivery) func()
		// ours: it is about a work of ours, which 6.4.3 does not take with what is pushed.
		ours bool
		// want is what is listed of the message in the end; empty: it has landed.
		want string
	}{
		{name: "nothing goes wrong"},
		{name: "the work is closed by force before its items are imported", fault: held(func(d *delivery) { d.octi.CloseWork(d.work()) })},
		{name: "the work is deleted before its items are imported", ours: true, fault: held(func(d *delivery) { d.octi.DeleteWork(d.work()) })},
		{name: "the work stands still: a worker died after the ack", fault: func(d *delivery) func() { d.octi.Faults().Drop(nil, 2); return nil }},
		{name: "one item of it is lost", fault: func(d *delivery) func() { d.octi.Faults().Drop(nil, 1); return nil }},
		{name: "an item is reported and not imported", fault: func(d *delivery) func() { d.octi.Faults().Lose(nil, 1); return nil }},
		{name: "an item is redelivered", fault: func(d *delivery) func() { d.octi.Faults().Repeat(nil, 2); return nil }},
		{name: "a report is given twice while another item waits", fault: func(d *delivery) func() {
			d.octi.Faults().ReportTwice(func(i openctitest.Item) bool { return strings.HasPrefix(i.ID, "media-content") }, 1)
			h := d.octi.Faults().Hold(func(i openctitest.Item) bool { return strings.HasPrefix(i.ID, "relationship") }, 1)
			return func() { h.Release() }
		}},
		{name: "a reset purges the queue", fault: func(d *delivery) func() {
			h := d.octi.Faults().Hold(nil, 2)
			return func() {
				h.Lift() // what it holds is purged
				// The reset brings back what had landed and is gone.
				gone := d.octi.Delete("admin", string(mapping.MessageID("$event1")))
				if err := errors.Join(gone, d.octi.ResetState(receiptsID), d.ping.Ping(d.ctx)); err != nil {
					d.t.Fatal(err)
				}
			}
		}},
		{name: "the connector is deleted on the page before", fault: func(d *delivery) func() {
			if err := d.octi.DeleteConnector(receiptsID); err != nil {
				d.t.Fatal(err)
			}
			return nil
		}},
		{name: "the connector is deleted on the page with what it sent", fault: func(d *delivery) func() {
			h := d.octi.Faults().Hold(nil, 2)
			return func() {
				h.Lift()
				if err := d.octi.DeleteConnector(receiptsID); err != nil {
					d.t.Fatal(err)
				}
			}
		}},
		{name: "a reference is missing for a while", fault: refuse("MISSING_REFERENCE_ERROR", 1)},
		{name: "the platform's database locks", fault: refuse("LOCK_ERROR", 2)},
		{name: "the platform's database fails", fault: refuse("DATABASE_ERROR", 2)},
		{name: "the worker gives up and moves it to the dead letters", fault: refuse("MAX_RETRY", 2)},
		{name: "the platform refuses for good", fault: refuse("FUNCTIONAL_ERROR", 0), want: "dead: refused: FUNCTIONAL_ERROR"},
		{name: "the platform asks for patience", fault: calls("", 5, openctitest.TooManyRequests)},
		{name: "the platform fails", fault: calls("", 5, openctitest.ServerError)},
		{name: "a proxy answers in its place", fault: calls("", 5, openctitest.BadGateway)},
		{name: "a login portal answers in its place", fault: calls("", 5, openctitest.HTMLPage)},
		{name: "connections break", fault: calls("", 5, openctitest.Disconnect)},
		{name: "nobody hears that the work was made", fault: lost("workAdd")},
		{name: "nobody hears that the items are expected", fault: lost("workEdit.addExpectations")},
		{name: "nobody hears that an item was taken", fault: lost("stixBundlePush")},
		{name: "nobody hears that the work is whole", fault: lost("workEdit.toProcessed")},
		{name: "the process dies with a batch on its way", fault: held(func(d *delivery) { d.starts() })},
		{name: "the process dies, and the batch was lost as well", fault: func(d *delivery) func() {
			d.octi.Faults().Drop(nil, 2)
			return func() { d.starts() }
		}},
	}
	for _, on := range []struct {
		gen     openctitest.Generation
		version string
	}{{openctitest.Gen6, "6.4.3"}, {openctitest.Gen6, "6.7.5"}, {openctitest.Gen7, ""}} {
		for _, path := range paths {
			if path.ours && on.version == "6.4.3" {
				continue
			}
			t.Run(fmt.Sprintf("generation %d %s/%s", on.gen, on.version, path.name), func(t *testing.T) {
				t.Parallel()
				d := newDelivery(t, on.gen, on.version)
				d.says("room and author land first")
				d.rests(d.settled)
				var then func()
				if path.fault != nil {
					then = path.fault(d)
				}
				event := d.says("the message")
				if then != nil {
					d.rests(func() bool { return d.posts()["sent"] > 0 || d.settled() })
					then()
				}
				d.rests(d.settled)
				d.ends(event, path.want)
			})
		}
	}
}

// ends asserts what became of a message.
func (d *delivery) ends(event id.EventID, want string) {
	d.t.Helper()
	if got := d.why(event); got != want {
		// A platform that takes no work of ours tells no reasons.
		if want == "" || !strings.HasPrefix(got, "dead: ") {
			d.t.Errorf("it is listed as %q, want %q", got, want)
		}
	}
	o, there := d.octi.Object(string(mapping.MessageID(event)))
	if want != "" {
		return
	}
	switch {
	case !there:
		d.t.Error("it counts as landed, and is not there")
	case o.Text("content") != "the message" || o.Author == "":
		d.t.Errorf("it is %+v", o)
	case len(d.octi.Relations(string(channelOf(den)), string(mapping.MessageID(event)), "publishes")) != 1:
		d.t.Error("its room does not publish it once")
	}
	if n := len(d.octi.Objects("Media-Content")); n != 2 {
		d.t.Errorf("%d messages are there", n)
	}
}
