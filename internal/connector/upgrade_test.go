package connector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const (
	lair = id.RoomID("!lair")
	bob  = id.UserID("@bob:example.org")
)

// the two rooms as they are after an upgrade.
var (
	denBefore = timeline.Room{ID: den, Name: "The den", Membership: timeline.MembershipJoin, Server: "example.org", Successor: lair}
	lairAfter = timeline.Room{ID: lair, Name: "The den", Membership: timeline.MembershipJoin, Server: "example.org", Predecessor: den}
)

// upgraded records an upgrade, with a message in either room.
func (s *scene) upgraded() {
	s.t.Helper()
	s.says("before")
	s.hears(lair, bob, map[string]any{"msgtype": "m.text", "body": "after"})
	s.record(timeline.Batch{Rooms: []timeline.Room{denBefore, lairAfter}})
}

// derived are the relations between Channels that the sink holds.
func (s *scene) derived() []string {
	var list []string
	for _, o := range s.sink.objects {
		if r, ok := o.(*stix.Relationship); ok && r.Kind == stix.DerivedFrom {
			list = append(list, string(r.Source)+" from "+string(r.Target))
		}
	}
	return list
}

func (s *scene) wantDerived() {
	s.t.Helper()
	want := []string{string(channelOf(lair)) + " from " + string(channelOf(den))}
	if diff := cmp.Diff(want, s.derived()); diff != "" {
		s.t.Errorf("relations between rooms (-want +got):\n%s", diff)
	}
	// Said once.
	if n := strings.Count(strings.Join(s.sink.sent, ";"), "channel"); n != 2 {
		s.t.Errorf("%d channels were sent: %q", n, s.sink.sent)
	}
}

func TestAnUpgradedRoomIsDerivedFromTheFormerOne(t *testing.T) {
	for name, when := range map[string]func(*scene){
		"upgraded before anything landed": func(s *scene) { s.upgraded(); s.delivers() },
		"upgraded after both landed": func(s *scene) {
			s.says("before")
			s.hears(lair, bob, map[string]any{"msgtype": "m.text", "body": "after"})
			s.delivers()
			s.record(timeline.Batch{Rooms: []timeline.Room{lairAfter}})
			s.delivers()
			if got := s.derived(); len(got) != 0 {
				s.t.Errorf("one room's word made %q", got)
			}
			s.record(timeline.Batch{Rooms: []timeline.Room{denBefore}})
			s.delivers()
		},
		"with Channels that are there already": func(s *scene) {
			for _, room := range []timeline.Room{{ID: den, Name: "x"}, {ID: lair, Name: "y"}} {
				c := s.mapper.Channel(timeline.RoomState{Room: room, Key: string(room.ID)})
				s.sink.objects[c.ID], s.sink.found[c.ID] = c, stix.Found{ID: c.ID, Type: "channel", Name: c.Name, Aliases: c.Aliases}
			}
			s.upgraded()
			s.delivers()
			s.sink.sent = append(s.sink.sent, "channel channel") // which were there
		},
		"with a crash at every step": func(s *scene) {
			s.upgraded()
			for range 50 {
				if _, err := s.out.Turn(s.ctx); err != nil {
					s.t.Fatal(err)
				}
				s.restart()
			}
			s.delivers()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			when(s)
			s.wantDerived()
			s.record(timeline.Batch{Rooms: []timeline.Room{denBefore, lairAfter}})
			s.delivers()
			s.wantDerived()
		})
	}
}

func TestARoomThatOnlyClaimsAnotherIsDerivedFromNothing(t *testing.T) {
	s := newScene(t)
	s.says("before")
	s.hears(lair, bob, map[string]any{"msgtype": "m.text", "body": "after"})
	false1, false2 := denBefore, lairAfter
	false1.Successor, false2.Predecessor = "!third:x", "!third:x"
	for _, rooms := range [][]timeline.Room{{denBefore, false2}, {false1, lairAfter}} {
		s.record(timeline.Batch{Rooms: rooms})
		s.delivers()
		if got := s.derived(); len(got) != 0 {
			t.Errorf("%q", got)
		}
	}
}

func TestAChannelsDescriptionFollowsTheRoomUnlessAnAnalystWroteIt(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.delivers()
	room := timeline.Room{ID: den, Name: "The den", Membership: timeline.MembershipJoin, Server: "example.org"}
	text := func() string { return s.sink.objects[channelOf(den)].(*stix.Channel).Description }
	changes := func(change func(*timeline.Room), want string) {
		t.Helper()
		change(&room)
		s.record(timeline.Batch{Rooms: []timeline.Room{room}})
		s.restart() // what was written is remembered on disk
		s.delivers()
		if !strings.Contains(text(), want) {
			t.Errorf("the description is %q, want %q in it", text(), want)
		}
	}
	changes(func(r *timeline.Room) { r.Topic = "phishing" }, "Topic: phishing")
	changes(func(r *timeline.Room) { r.Alias = "#den:example.org" }, "Address: #den:example.org")
	changes(func(r *timeline.Room) { r.Encrypted = true }, "End-to-end encrypted: yes")
	changes(func(r *timeline.Room) { r.Membership, r.Removed = timeline.MembershipLeave, alice }, "No longer read: removed by @alice:example.org")
	changes(func(r *timeline.Room) { r.Membership, r.Removed = timeline.MembershipJoin, "" }, "Topic: phishing")
	if strings.Contains(text(), "No longer read") {
		t.Errorf("the room is read again, but its description says %q", text())
	}
	own := *s.sink.objects[channelOf(den)].(*stix.Channel)
	own.Description = "An analyst's words"
	s.sink.objects[own.ID] = &own
	changes(func(r *timeline.Room) { r.Topic = "something else" }, "An analyst's words")
	changes(func(r *timeline.Room) { r.Name = "The lair" }, "An analyst's words")
	if got := s.sink.objects[own.ID].(*stix.Channel).Name; got != "The lair (!den:example.org)" {
		t.Errorf("the name, which is ours still, is %q", got)
	}
	if n := strings.Count(strings.Join(slices.Concat(s.sink.sent), ";"), "channel"); n != 1 {
		t.Errorf("the channel was sent %d times", n)
	}
}
