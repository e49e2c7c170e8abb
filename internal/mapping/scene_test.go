package mapping_test

import (
	"encoding/json"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// matrixEvent is an event as a homeserver sends it.
type matrixEvent struct {
	Type     string          `json:"type"`
	ID       id.EventID      `json:"event_id"`
	Sender   id.UserID       `json:"sender"`
	Sent     int64           `json:"origin_server_ts"`
	StateKey *string         `json:"state_key"`
	Content  json.RawMessage `json:"content"`
}

// scene is all that mapping sees beside the events: the room, the names of that
// time, what the ledger decided and the settings.
type scene struct {
	Room        timeline.Room  `json:"room"`
	RoomKey     string         `json:"room_key"`
	AuthorKey   string         `json:"author_key"`
	AuthorName  string         `json:"author_name"` // when first seen
	SenderName  string         `json:"sender_name"` // when the event came
	Trust       timeline.Trust `json:"trust"`
	ReplyKnown  bool           `json:"reply_known"`
	ThreadKnown bool           `json:"thread_known"`
	Refused     string         `json:"refused"` // reason for every attachment
	Redactions  string         `json:"redactions"`

	// Rooms that belong to the room, as both say.
	Old    *timeline.LinkedRoom  `json:"old"`
	New    *timeline.LinkedRoom  `json:"new"`
	Spaces []timeline.LinkedRoom `json:"spaces"`

	TLP        string   `json:"tlp"`
	Labels     []string `json:"labels"`
	Confidence *int     `json:"confidence"`
}

func (s scene) mapper(t *testing.T) *mapping.Mapper {
	t.Helper()
	tlp, err := stix.ParseTLP(s.TLP)
	if err != nil {
		t.Fatal(err)
	}
	return mapping.New(mapping.Config{Marking: tlp.MarkingID(), Labels: s.Labels, Confidence: s.Confidence})
}

// post is what the events say, if anything.
func (s scene) post(t *testing.T, raw []json.RawMessage) (timeline.Post, bool) {
	t.Helper()
	var events []timeline.Event
	for i, data := range raw {
		var e matrixEvent
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, timeline.Event{
			Room: s.Room.ID, ID: e.ID, Sender: e.Sender, SenderName: s.SenderName, RoomName: s.Room.Name, Type: e.Type, StateKey: e.StateKey,
			Sent: timeline.ClampTime(e.Sent), Received: timeline.ClampTime(e.Sent + int64(i)), Content: e.Content, Raw: data, Trust: s.Trust,
		})
	}
	post, ok := timeline.Compose(events)
	if s.Redactions != "keep" {
		post = post.Mask()
	}
	return post, ok
}

func (s scene) draft(post timeline.Post) timeline.Draft {
	draft := timeline.Draft{
		Post: post, Revision: 1, Room: timeline.RoomState{Room: s.Room, Key: s.RoomKey, Old: s.Old, New: s.New, Spaces: s.Spaces},
		Author:     timeline.Author{User: post.Sender, Name: s.AuthorName, Key: s.AuthorKey, Since: time.Date(2023, 5, 6, 7, 8, 9, 0, time.UTC)},
		ReplyKnown: s.ReplyKnown, ThreadKnown: s.ThreadKnown,
	}
	for _, file := range post.Files {
		draft.Attachments = append(draft.Attachments, timeline.Attachment{Room: post.Room, Event: post.ID, File: file, Sent: post.Sent, Refused: s.Refused})
	}
	return draft
}

// objects are all objects of a post, with its room and author.
func (s scene) objects(t *testing.T, draft timeline.Draft) []stix.Object {
	t.Helper()
	m := s.mapper(t)
	return append(append(m.Room(draft.Room), m.Author(draft.Author)), m.Post(draft)...)
}
