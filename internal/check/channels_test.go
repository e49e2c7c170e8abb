package check_test

import (
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// The Python connector makes one Channel of rooms with equal names. The room that
// found it taken has one of its own, and the check names both.
func TestRoomsWithAChannelOfTheirOwnAreNamed(t *testing.T) {
	s := newScene(t, openctitest.Config{Users: []openctitest.User{
		{Name: "connector", Token: "canary-token", MaxConfidence: 60}, {Name: "boss", Token: "canary-boss"},
	}})
	fused := s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{Name: "General"})
	plain := s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{Name: "Ours"})
	for _, room := range []*matrixtest.Room{fused, plain} {
		room.Join(s.bot)
		room.Say(s.alice, "canary-chat")
	}
	own := ledger.TwinKey(string(fused.ID))
	for user, channels := range map[string][]string{
		"boss":      {fmt.Sprintf(`{"type":"channel","id":%q,"name":"General (!elsewhere:test.example)","aliases":["!elsewhere:test.example"]}`, stix.ChannelID(string(fused.ID)))},
		"connector": {fmt.Sprintf(`{"type":"channel","id":%q,"name":"General (%s)","aliases":[%q]}`, stix.ChannelID(own), own, own)},
	} {
		if err := s.platform.Import(user, channels...); err != nil {
			t.Fatal(err)
		}
	}
	err := s.platform.Import("boss", fmt.Sprintf(`{"type":"channel","id":%q,"name":"Ours (%s)","aliases":[%q],"confidence":90}`, stix.ChannelID(string(plain.ID)), plain.ID, plain.ID))
	if err != nil {
		t.Fatal(err)
	}
	s.starts()
	s.landed(own, fused.ID, plain.ID)

	r := s.checks()
	r.noneFails()
	r.is(check.Channels, check.Warning, string(fused.ID), string(plain.ID), "higher confidence", "OPENCTI_TOKEN")
	facts := r.line(check.Channels).Facts
	list, ok := facts["own"].([]map[string]any)
	if !ok || len(list) != 1 || list[0]["room_id"] != string(fused.ID) || list[0]["key"] != own || list[0]["other_channel"] == nil {
		t.Errorf("facts are %v", facts)
	}
}

// landed tells the ledger that the rooms were delivered, the first under a key of
// its own.
func (s *scene) landed(key string, rooms ...id.RoomID) {
	s.t.Helper()
	st, err := store.Open(s.t.Context(), store.Config{Path: s.env["MATRIX_STORE_PATH"], Key: []byte(s.env["MATRIX_STORE_KEY"])})
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Close() //nolint:errcheck // committed
	l := ledger.New(ledger.Config{Store: st, Self: s.bot})
	if err := l.SetRoomKey(s.t.Context(), rooms[0], key); err != nil {
		s.t.Fatal(err)
	}
	for _, room := range rooms {
		state, err := l.Room(s.t.Context(), room)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := l.Land(s.t.Context(), ledger.Ref{Kind: ledger.KindRoom, Room: room}, state.Revision); err != nil {
			s.t.Fatal(err)
		}
	}
}
