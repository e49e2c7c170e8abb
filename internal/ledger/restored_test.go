package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
)

func TestWhatLandedSinceABackupIsDueAgainAndNothingElse(t *testing.T) {
	d := open(t)
	land := func(n int) {
		d.news(message(n, alice, "text"), image(n+1, bob, "m"))
		d.deliver()
		for _, a := range d.wanted() {
			a.Spool, a.Bytes = a.Event.String(), 1
			d.ok(d.Fetched(t.Context(), a))
		}
		ready, err := d.ReadyToAttach(t.Context(), 10)
		d.ok(err)
		for _, a := range ready {
			_, err := d.Attached(t.Context(), a)
			d.ok(err)
		}
	}
	land(1)
	d.now = d.now.Add(time.Hour)
	backup := d.now
	land(3)
	d.news(message(5, alice, "deleted since"))
	d.deliver()
	d.ok(d.Leave(t.Context(), ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(5)}))
	n, err := d.Restored(t.Context(), backup)
	d.ok(err)
	if n != 2 {
		t.Errorf("%d posts are due again", n)
	}
	got := map[string]string{}
	for _, event := range []int{1, 2, 3, 4, 5} {
		got[eventID(event).String()] = d.postState(eventID(event))
	}
	if diff := cmp.Diff(map[string]string{
		eventID(1).String(): "landed 1/1", eventID(2).String(): "landed 1/1", eventID(3).String(): "due 1/0", eventID(4).String(): "due 1/0", eventID(5).String(): "landed 1/1",
	}, got); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
	if files := d.column("SELECT group_concat(state, ' ') FROM ledger_attachment"); files != "attached wanted" {
		t.Errorf("files are %s", files)
	}
	b := d.due(10)
	if len(b.Rooms) != 1 || len(b.Authors) != 2 {
		t.Errorf("%d rooms and %d authors are looked at before", len(b.Rooms), len(b.Authors))
	}
	if drafts := d.deliver(); len(drafts) != 2 {
		t.Errorf("%d posts are sent", len(drafts))
	}
}
