package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// sendAll takes everything that is due to sent, once rooms and authors have landed.
func (d *desk) sendAll() ledger.Batch {
	d.t.Helper()
	b := d.due(100)
	if len(b.Drafts) == 0 { // ends first
		d.ok(d.LandAll(d.t.Context(), refs(b)))
		b = d.due(100)
	}
	d.sends++
	d.ok(d.Send(d.t.Context(), "delivery", b))
	return b
}

func TestManyRowsLandAsOneByOne(t *testing.T) {
	d := open(t)
	elsewhere := message(4, bob, "elsewhere")
	elsewhere.Room = "!other:example.org"
	d.news(message(1, alice, "one"), message(2, alice, "two"), reply(3, bob, "three", eventID(9)), elsewhere)
	d.now = d.now.Add(d.conf.Hold).Add(3 * 60e9) // nobody waits for the target any more
	b := d.sendAll()
	if len(b.Drafts) != 4 {
		t.Fatalf("%d posts sent", len(b.Drafts))
	}
	// The second one says something newer by now, and the target of the third has come.
	d.ok(d.Record(t.Context(), timeline.Batch{Events: []timeline.Event{message(9, bob, "nine")}}))
	if _, err := d.store.DB().Exec(t.Context(), "UPDATE ledger_post SET revision = 2 WHERE event = ?", eventID(2)); err != nil {
		t.Fatal(err)
	}
	d.ok(d.LandAll(t.Context(), refs(b)))
	for n, want := range map[int]string{1: "landed 1/1", 2: "sent 2/1", 3: "landed 1/1", 4: "landed 1/1"} {
		if diff := cmp.Diff(want, d.postState(eventID(n))); diff != "" {
			t.Errorf("post %d (-want +got):\n%s", n, diff)
		}
	}
	d.deliver()
	if got := d.postState(eventID(3)); got != "landed 2/2" {
		t.Errorf("the reply to what landed later is %s, want its relation said", got)
	}
}

func TestAPostThatIsNotThereLandsNone(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "one"))
	all := append(refs(d.sendAll()), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(7), Revision: 1})
	if err := d.LandAll(t.Context(), all); !errors.Is(err, ledger.ErrUnknown) {
		t.Fatalf("err = %v, want %v", err, ledger.ErrUnknown)
	}
	if got := d.postState(eventID(1)); got != "sent 1/0" {
		t.Errorf("post = %s, want it as it was", got)
	}
}
