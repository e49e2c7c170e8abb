package ledger_test

import (
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestAClockThatIsCorrectedMakesNothingWaitForIt: the machine came up with a date of next
// year, things failed, and then it asked a time server.
func TestAClockThatIsCorrectedMakesNothingWaitForIt(t *testing.T) {
	for name, notices := range map[string]func(*desk){
		"while it runs": func(d *desk) {
			_, err := d.NextDue(t.Context()) // as each loop asks before it sleeps
			d.ok(err)
		},
		"at the next start": func(d *desk) { d.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			d.now = noon.AddDate(1, 0, 0)
			d.news(message(1, alice, "said under a wrong clock"))
			d.record(timeline.Batch{Gaps: []timeline.Gap{{Room: room, Kind: timeline.GapLimited, From: "t1", Opened: d.now}}})
			for _, r := range d.due(50).Rooms {
				d.ok(d.Defer(t.Context(), ledger.RoomRef(r), "temporary", "platform_away"))
			}
			gaps, err := d.Gaps(t.Context(), 10)
			d.ok(err)
			for _, g := range gaps {
				d.ok(d.DeferGap(t.Context(), g.ID, "temporary", "homeserver_away"))
			}
			_, err = d.NextDue(t.Context())
			d.ok(err)

			d.now = noon
			if got := d.due(50).Rooms; len(got) > 0 {
				t.Fatalf("%d rooms are due before anybody has noticed", len(got))
			}
			notices(d)
			if got := d.deliver(); len(got) != 1 {
				t.Errorf("%d messages were delivered after the correction, want 1", len(got))
			}
			if gaps, err := d.Gaps(t.Context(), 10); err != nil || len(gaps) != 1 {
				t.Errorf("%d gaps to read after the correction, %v; want 1", len(gaps), err)
			}
		})
	}
}

func TestAClockThatGoesBackALittleChangesNothing(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "said"))
	for _, r := range d.due(50).Rooms {
		d.ok(d.Defer(t.Context(), ledger.RoomRef(r), "temporary", "platform_away"))
	}
	before, err := d.NextDue(t.Context())
	d.ok(err)
	d.now = d.now.Add(-2 * time.Second)
	after, err := d.NextDue(t.Context())
	d.ok(err)
	if !after.Equal(before) || len(d.due(50).Rooms) > 0 {
		t.Errorf("due at %s, before the correction at %s", after, before)
	}
}
