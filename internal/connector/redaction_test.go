package connector_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// redacts records that alice takes a message back.
func (s *scene) redacts(event id.EventID) {
	s.t.Helper()
	content := []byte(`{"redacts":"` + event.String() + `","reason":"by mistake"}`)
	s.record(timeline.Batch{Events: []timeline.Event{{
		Room: den, ID: event + "-taken-back", Sender: alice, Type: "m.room.redaction", Sent: s.now(), Received: s.now(), Content: content, Raw: content, Live: true,
	}}})
}

// follows has the ledger work by a policy from here on.
func (s *scene) follows(p ledger.Redactions) {
	s.ledger = ledger.New(ledger.Config{
		Store: s.store, Clock: s.now, Self: "@bot:example.org", Redactions: func(timeline.Room) ledger.Redactions { return p },
	})
	s.restart()
}

func TestARedactedMessageBecomesANotice(t *testing.T) {
	s := newScene(t)
	event := s.says("a secret")
	s.delivers()
	s.redacts(event)
	s.delivers()
	content, ok := s.sink.objects[mapping.MessageID(event)].(*stix.MediaContent)
	if !ok {
		t.Fatal("the object is gone")
	}
	if text := content.Title + content.Content + content.Description; strings.Contains(text, "secret") || !strings.HasPrefix(content.Content, "[deleted by @alice:example.org, 2026-03-01 12:00:00 UTC") ||
		!strings.Contains(content.Description, "Reason of the deletion: by mistake") {
		t.Errorf("the platform holds %q", text)
	}
	if len(s.sink.amended) != 1 || len(s.sink.deleted) != 0 {
		t.Errorf("amended %v, deleted %v", s.sink.amended, s.sink.deleted)
	}
}

func TestAMessageThatIsKeptGetsALabelWhereItLanded(t *testing.T) {
	s := newScene(t)
	s.follows(ledger.RedactionsKeep)
	event := s.says("a secret")
	s.delivers()
	s.redacts(event)
	sent := len(s.sink.sent)
	s.delivers()
	content, ok := s.sink.objects[mapping.MessageID(event)].(*stix.MediaContent)
	if !ok || !strings.Contains(content.Content, "secret") || !strings.Contains(content.Description, "Deleted in the room by @alice:example.org") {
		t.Fatalf("the platform holds %+v", content)
	}
	// A mutation gives no label: it is sent once more, alone, and then it has landed.
	if got := s.sink.sent[sent:]; len(got) != 1 || got[0] != stix.TypeMediaContent {
		t.Errorf("sent are %q", got)
	}
	if diff := cmp.Diff([]string{mapping.LabelRedacted}, content.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestARedactedMessageIsDeletedWhereThatIsWanted(t *testing.T) {
	s := newScene(t)
	s.follows(ledger.RedactionsDelete)
	event := s.says("a secret")
	s.delivers()
	s.redacts(event)
	s.delivers()
	want := []stix.ID{mapping.MessageID(event)}
	if diff := cmp.Diff(want, s.sink.deleted); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	// Neither a restart nor a reset brings it back.
	s.restart()
	if err := s.ledger.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.delivers()
	if o, ok := s.sink.objects[mapping.MessageID(event)]; ok {
		t.Errorf("it is there again: %+v", o)
	}
}

func TestWhoMayNotDeleteMasksAndTriesAgain(t *testing.T) {
	s := newScene(t)
	s.follows(ledger.RedactionsDelete)
	event := s.says("a secret")
	s.delivers()
	s.sink.deleteErr = &opencti.Error{Class: opencti.Unauthorized, Op: "Delete", Status: 200, Code: "FORBIDDEN_ACCESS"}
	s.redacts(event)
	other := s.says("something else")
	s.delivers()
	content, ok := s.sink.objects[mapping.MessageID(event)].(*stix.MediaContent)
	if !ok || strings.Contains(content.Content+content.Title, "secret") {
		t.Errorf("the platform holds %+v", content)
	}
	if _, ok := s.sink.objects[mapping.MessageID(other)]; !ok {
		t.Error("it holds up the next message")
	}
	s.sink.deleteErr = nil
	s.waits(ledger.Delay(1))
	s.delivers()
	if _, ok := s.sink.objects[mapping.MessageID(event)]; ok {
		t.Error("it is not deleted when that is allowed")
	}
}

func TestAMessageThatIsRedactedWhileItIsOnItsWayIsDeletedAfterwards(t *testing.T) {
	s := newScene(t)
	s.follows(ledger.RedactionsDelete)
	s.says("so that room and author have landed")
	s.delivers()
	event := s.says("a secret")
	if more, err := s.out.Turn(t.Context()); !more || err != nil {
		t.Fatalf("%t, %v", more, err)
	}
	s.redacts(event)
	s.delivers()
	if o, ok := s.sink.objects[mapping.MessageID(event)]; ok {
		t.Errorf("it came to life after all: %+v", o)
	}
	if len(s.sink.deleted) == 0 {
		t.Error("nothing was deleted")
	}
}
