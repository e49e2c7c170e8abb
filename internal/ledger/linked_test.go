package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const (
	former = id.RoomID("!former:example.org")
	later  = id.RoomID("!LaterHasNoServer")
)

// spokenIn records rooms, each with a message so that it becomes a Channel.
func (d *desk) spokenIn(rooms ...timeline.Room) {
	d.t.Helper()
	for i, r := range rooms {
		e := message(500+d.sends*10+i, alice, "said in "+string(r.ID))
		e.Room = r.ID
		d.record(timeline.Batch{Rooms: []timeline.Room{r}, Events: []timeline.Event{e}})
	}
}

// links shows a room's links as they would be said.
func (d *desk) links(room id.RoomID) string {
	d.t.Helper()
	r, err := d.Room(d.t.Context(), room)
	d.ok(err)
	var parts []string
	if r.Old != nil {
		parts = append(parts, fmt.Sprintf("replaces %s (landed: %t)", r.Old.Key, r.Old.Landed))
	}
	if r.New != nil {
		parts = append(parts, "is replaced by "+string(r.New.ID))
	}
	for _, s := range r.Spaces {
		parts = append(parts, "in "+s.Name)
	}
	return strings.Join(parts, ", ")
}

// dueRooms are the rooms that have something new to say.
func (d *desk) dueRooms() []id.RoomID {
	d.t.Helper()
	var rooms []id.RoomID
	for _, r := range d.due(50).Rooms {
		rooms = append(rooms, r.Room.ID)
	}
	return rooms
}

func TestAnUpgradeIsALinkOnceBothRoomsSaySo(t *testing.T) {
	for name, order := range map[string][]timeline.Room{
		"the tombstone first": {{ID: former, Name: "Former", Successor: later}, {ID: later, Name: "Later", Predecessor: former}},
		"the new room first":  {{ID: later, Name: "Later", Predecessor: former}, {ID: former, Name: "Former", Successor: later}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			d.spokenIn(timeline.Room{ID: former, Name: "Former"}, timeline.Room{ID: later, Name: "Later"})
			d.deliver()
			d.record(timeline.Batch{Rooms: order[:1]})
			if got := d.links(former) + d.links(later); got != "" {
				t.Errorf("one room's word makes a link: %s", got)
			}
			d.deliver()
			d.restart()
			d.record(timeline.Batch{Rooms: order[1:]})
			if got, want := d.links(former), "is replaced by "+string(later); got != want {
				t.Errorf("the former room %s, want %s", got, want)
			}
			if got, want := d.links(later), "replaces "+string(former)+" (landed: true)"; got != want {
				t.Errorf("the later room %s, want %s", got, want)
			}
			if got := d.dueRooms(); len(got) != 2 {
				t.Errorf("due: %q, want both rooms", got)
			}
			d.deliver()
			d.record(timeline.Batch{Rooms: order})
			if got := d.dueRooms(); len(got) != 0 {
				t.Errorf("what was said before makes %q due", got)
			}
		})
	}
}

// What rooms --explain shows is what would be sent.
func TestASampleShowsTheLinksOfItsRoom(t *testing.T) {
	d := open(t)
	d.spokenIn(timeline.Room{ID: former, Name: "Former", Successor: later}, timeline.Room{ID: later, Name: "Later", Predecessor: former})
	d.deliver()
	drafts, err := d.Sample(t.Context(), later, 5)
	d.ok(err)
	if len(drafts) != 1 || drafts[0].Room.Old == nil || !drafts[0].Room.Old.Landed {
		t.Errorf("sample %+v", drafts)
	}
}

func TestARoomThatIsNotMeantIsNoReplacement(t *testing.T) {
	d := open(t)
	const hostile = id.RoomID("!hostile:evil.example")
	d.spokenIn(
		timeline.Room{ID: former, Name: "Former", Successor: later}, timeline.Room{ID: later, Name: "Later"},
		timeline.Room{ID: hostile, Name: "Former", Predecessor: former},
		timeline.Room{ID: room, Name: "Itself", Predecessor: room, Successor: room},
	)
	d.deliver()
	for _, r := range []id.RoomID{former, later, hostile, room} {
		if got := d.links(r); got != "" {
			t.Errorf("%s %s", r, got)
		}
	}
}

// The relation between two rooms goes with the later one, and needs both Channels. It is
// never lost: who lands last raises the other, in the same transaction.
func TestAReplacementIsRaisedWhenTheFormerRoomLands(t *testing.T) {
	d := open(t)
	before := timeline.Room{ID: former, Name: "Former", Successor: later}
	d.record(timeline.Batch{Rooms: []timeline.Room{before}}) // nothing is said there: no Channel
	d.spokenIn(timeline.Room{ID: later, Name: "Later", Predecessor: former})
	d.deliver()
	if got, want := d.links(later), "replaces "+string(former)+" (landed: false)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.spokenIn(before)
	d.ok(d.Send(t.Context(), "former", d.due(50)))
	d.restart() // a crash: only the ledger knows
	_, b, _, err := d.InFlight(t.Context())
	d.ok(err)
	d.land(b)
	if diff := cmp.Diff([]id.RoomID{later}, d.dueRooms()); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	if r := d.due(50).Rooms[0]; r.Old == nil || !r.Old.Landed {
		t.Errorf("due without its link: %+v", r)
	}
	d.deliver()

	// The platform lost a Channel: both are looked for again.
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: later, Name: "Later", Topic: "again", Predecessor: former}}})
	b = d.due(50)
	d.ok(d.Send(t.Context(), "lost", b))
	d.ok(d.MissingEnd(t.Context(), ledger.RoomRef(b.Rooms[0])))
	if diff := cmp.Diff([]id.RoomID{former}, d.dueRooms()); diff != "" {
		t.Errorf("due at once (-want +got):\n%s", diff)
	}
	d.now = d.now.Add(ledger.Delay(1))
	d.deliver()
	if got, want := d.links(later), "replaces "+string(former)+" (landed: true)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestASpaceIsALinkOnceBothSaySo(t *testing.T) {
	d := open(t)
	const other = id.RoomID("!other:example.org")
	space := timeline.Room{ID: "!space:example.org", Name: "Ops", Type: "m.space", Children: timeline.JoinRoomIDs([]id.RoomID{room})}
	in := timeline.JoinRoomIDs([]id.RoomID{space.ID, "!unknown:x", other})
	child := timeline.Room{ID: room, Name: "Incidents", Parents: in}
	d.spokenIn(child, timeline.Room{ID: other, Name: "No space", Children: timeline.JoinRoomIDs([]id.RoomID{room})})
	d.deliver()
	if got := d.links(room); got != "" {
		t.Errorf("a space that nobody knows: %s", got)
	}
	says := func(want string) {
		t.Helper()
		if got := d.links(room); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if diff := cmp.Diff([]id.RoomID{room}, d.dueRooms()); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
		d.deliver()
	}
	d.record(timeline.Batch{Rooms: []timeline.Room{space}})
	says("in Ops")
	space.Name = "Operations"
	d.record(timeline.Batch{Rooms: []timeline.Room{space}})
	says("in Operations")
	space.Children = timeline.JoinRoomIDs([]id.RoomID{other, room})
	d.record(timeline.Batch{Rooms: []timeline.Room{space}})
	if got := d.dueRooms(); len(got) != 0 {
		t.Errorf("a room beside it makes %q due", got)
	}
	space.Children = timeline.JoinRoomIDs([]id.RoomID{other})
	d.record(timeline.Batch{Rooms: []timeline.Room{space}})
	says("")
	if got := d.column("SELECT state FROM ledger_room WHERE room = ?", space.ID); got != "idle" {
		t.Errorf("the space, in which nobody spoke, is %s", got)
	}
}

func TestTheWordsOfAChannelAreRememberedAsTheyLand(t *testing.T) {
	d := open(t)
	d.spokenIn(timeline.Room{ID: room, Name: "Old"})
	words := func(wantName, wantText string) {
		t.Helper()
		r, err := d.Room(t.Context(), room)
		d.ok(err)
		if r.SentName != wantName || r.SentText != wantText {
			t.Errorf("remembered %q %q, want %q %q", r.SentName, r.SentText, wantName, wantText)
		}
	}
	b := d.due(50)
	b.Rooms[0].Text = "digest of old"
	d.ok(d.Send(t.Context(), "first", b))
	words("", "")
	_, b, _, err := d.InFlight(t.Context())
	d.ok(err)
	d.land(b)
	words("Old", "digest of old")
	for n, change := range []timeline.Room{
		{ID: room, Name: "Old", Topic: "t"},
		{ID: room, Name: "Old", Topic: "t", Alias: "#a:x"},
		{ID: room, Name: "Old", Topic: "t", Alias: "#a:x", Avatar: "mxc://x/y"},
		{ID: room, Name: "Old", Membership: timeline.MembershipLeave},
		{ID: room, Name: "Old", Membership: timeline.MembershipLeave, Removed: alice},
		{ID: room, Name: "Old", Membership: timeline.MembershipBan, Removed: alice},
		{ID: room, Name: "Old", Membership: timeline.MembershipJoin},
	} {
		d.record(timeline.Batch{Rooms: []timeline.Room{change}})
		b = d.due(50)
		if len(b.Rooms) != 1 || b.Rooms[0].SentText == "" {
			t.Fatalf("change %d: due %+v", n, b.Rooms)
		}
		// The platform held an analyst's words, or did not.
		d.ok(d.Revised(t.Context(), ledger.RoomRef(b.Rooms[0]), b.Rooms[0].Revision, "Old", fmt.Sprint("digest ", n)))
		words("Old", fmt.Sprint("digest ", n))
	}
	d.ok(d.SetRoomKey(t.Context(), room, ledger.TwinKey(string(room))))
	words("", "")
	if got := d.column("SELECT typeof(landed_text_sealed) || typeof(said_text_sealed) FROM ledger_room"); got != "nullblob" {
		t.Errorf("columns are %s", got)
	}
}
