package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// misses records an event that cannot be read.
func misses(room id.RoomID, event id.EventID, session id.SessionID, reason timeline.UndecryptedReason, cause string, at time.Time) timeline.Undecrypted {
	return timeline.Undecrypted{
		Event: timeline.Event{
			Room: room, ID: event, Sender: "@alice:example.org", Type: "m.room.encrypted", Sent: at, Received: at,
			Content: []byte(`{"algorithm":"m.megolm.v1.aes-sha2"}`), Raw: []byte(`{}`), Live: true,
		},
		Session: session, Reason: reason, Cause: cause,
	}
}

func TestWhatCannotBeReadIsCountedByReasonCauseAndRoom(t *testing.T) {
	s := open(t)
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	rooms := []timeline.Room{
		{ID: "!a:example.org", Name: "A", Membership: timeline.MembershipJoin}, {ID: "!b:example.org", Name: "B", Membership: timeline.MembershipJoin},
	}
	s.record(timeline.Batch{Rooms: rooms, Undecrypted: []timeline.Undecrypted{
		misses("!a:example.org", "$1", "s1", timeline.ReasonNoSession, "failed olm message of the sender at 2026-01-01T00:00:00Z: not_decrypted", at),
		misses("!b:example.org", "$2", "s2", timeline.ReasonNoSession, "failed olm message of the sender at 2026-01-02T00:00:00Z: not_decrypted", at.Add(time.Hour)),
		misses("!b:example.org", "$3", "s2", timeline.ReasonNoSession, "failed olm message of the sender at 2026-01-02T00:00:00Z: not_decrypted", at.Add(2*time.Hour)),
		misses("!a:example.org", "$4", "s3", timeline.ReasonWithheld, "m.unverified", at),
		misses("!a:example.org", "$5", "s4", timeline.ReasonReplay, "copy of $1", at),
	}})
	got, err := s.UndecryptedGroups(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []ledger.UndecryptedGroup{
		{Reason: "no_session", Cause: "failed_olm", Count: 3, Oldest: at, Newest: at.Add(2 * time.Hour), Rooms: []ledger.RoomCount{{"!b:example.org", "B", 2}}, More: 1},
		{Reason: "replay", Count: 1, Oldest: at, Newest: at, Rooms: []ledger.RoomCount{{"!a:example.org", "A", 1}}},
		{Reason: "withheld", Cause: "m.unverified", Count: 1, Oldest: at, Newest: at, Rooms: []ledger.RoomCount{{"!a:example.org", "A", 1}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestKeysAreNeededForJustTheEventsThatWait(t *testing.T) {
	s := open(t)
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	s.record(timeline.Batch{
		Rooms: []timeline.Room{
			{ID: "!a:example.org", Name: "A", Membership: timeline.MembershipJoin}, {ID: "!b:example.org", Name: "B", Membership: timeline.MembershipJoin},
		},
		Undecrypted: []timeline.Undecrypted{
			misses("!b:example.org", "$1", "s1", timeline.ReasonNoSession, "", at),
			misses("!a:example.org", "$2", "s1", timeline.ReasonUnknownIndex, "", at),
			misses("!a:example.org", "$3", "s1", timeline.ReasonNoSession, "", at),
			misses("!a:example.org", "$4", "s2", timeline.ReasonReplay, "", at),
			misses("!a:example.org", "$5", "s0", timeline.ReasonWithheld, "m.unverified", at),
			misses("!a:example.org", "$6", "", timeline.ReasonNoSession, "", at),
		},
	})
	var got []timeline.KeyNeed
	for after := (timeline.KeyNeed{}); ; {
		page, err := s.Needed(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
		after = page[1]
	}
	want := []timeline.KeyNeed{{Room: "!a:example.org", Session: "s0"}, {Room: "!a:example.org", Session: "s1"}, {Room: "!b:example.org", Session: "s1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, n := range []struct {
		timeline.KeyNeed
		waits bool
	}{{want[0], true}, {want[1], true}, {want[2], true}, {timeline.KeyNeed{Room: "!a:example.org", Session: "s2"}, false}, {timeline.KeyNeed{Room: "!b:example.org", Session: "s0"}, false}} {
		if waits, err := s.AwaitsKey(t.Context(), n.Room, n.Session); err != nil || waits != n.waits {
			t.Errorf("%v waits: %v, %v", n.KeyNeed, waits, err)
		}
	}
}

// What history brings from before the bot was in the room has no key for that reason, as
// far as nothing else is known.
func TestWhatWasSaidBeforeTheBotCameSaysSo(t *testing.T) {
	s := open(t)
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	s.record(timeline.Batch{
		Rooms: []timeline.Room{{ID: "!a:example.org", Name: "A", Membership: timeline.MembershipJoin}},
		Gaps:  []timeline.Gap{{Room: "!a:example.org", Kind: timeline.GapHistory, Opened: at}},
	})
	past := func(event id.EventID, reason timeline.UndecryptedReason, cause string, sent time.Time, live bool) timeline.Undecrypted {
		u := misses("!a:example.org", event, "s", reason, cause, sent)
		u.Event.Live = live
		return u
	}
	s.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{
		past("$early", timeline.ReasonNoSession, "", at.Add(-time.Hour), false),
		past("$index", timeline.ReasonUnknownIndex, "", at.Add(-time.Hour), false),
		past("$known", timeline.ReasonNoSession, "before_device", at.Add(-time.Hour), false),
		past("$live", timeline.ReasonNoSession, "", at.Add(-time.Hour), true), // a wrong clock
		past("$after", timeline.ReasonNoSession, "", at.Add(time.Hour), false),
		past("$mac", timeline.ReasonBadMAC, "", at.Add(-time.Hour), false),
	}})
	got := map[id.EventID]string{}
	for m, err := range s.Missing(t.Context(), ledger.Choice{}) {
		s.ok(err)
		got[m.Event] = m.Cause
	}
	want := map[id.EventID]string{"$early": "before_invite", "$index": "before_invite", "$known": "before_device", "$live": "", "$after": "", "$mac": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
