package ledger_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestANoticeOfTheHomeserverIsSkippedAndListed tells it from what anybody can send.
func TestANoticeOfTheHomeserverIsSkippedAndListed(t *testing.T) {
	d := open(t)
	const server = id.UserID("@server:example.org")
	notice := func(n int, sender id.UserID) timeline.Event {
		return event(n, sender, map[string]any{"msgtype": "m.server_notice", "body": "limit"})
	}
	d.record(timeline.Batch{
		Rooms:  []timeline.Room{{ID: room, Name: "Notices", Server: "example.org", Creator: server, Membership: timeline.MembershipJoin}},
		Events: []timeline.Event{notice(1, server), notice(2, alice), notice(3, "@server:evil.example"), message(4, server, "hello")},
	})
	for event, want := range map[id.EventID]string{eventID(1): "skipped server_notice", eventID(2): "read ", eventID(3): "read ", eventID(4): "read "} {
		if got := d.eventState(event); got != want {
			t.Errorf("%s is %q, want %q", event, got, want)
		}
	}
	d.restart() // the room rules are asked again, and do not take it in
	if got := d.eventState(eventID(1)); got != "skipped server_notice" {
		t.Errorf("after a restart it is %q", got)
	}
	if drafts := d.deliver(); len(drafts) != 3 {
		t.Errorf("%d posts, want those of the others", len(drafts))
	}
}
