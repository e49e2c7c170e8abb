package connector_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// misses makes the sink refuse relations to what is not there, as a platform does.
func (s *scene) misses() {
	s.sink.verdict = func(o stix.Object) (stix.Verdict, bool) {
		if r, ok := o.(*stix.Relationship); ok && r.Kind == stix.RelatedTo && s.sink.objects[r.Target] == nil {
			delete(s.sink.found, r.Target)
			return stix.Verdict{State: stix.MissingEnd, Reason: "media-content is absent"}, true
		}
		return stix.Verdict{}, false
	}
}

func TestWhatSomebodyDeletedIsNotMadeAgainByWhatChangesIt(t *testing.T) {
	s := newScene(t)
	event := s.hears(den, alice, map[string]any{"msgtype": "m.image", "body": "cat.png", "url": "mxc://example.org/cat"})
	s.delivers()
	delete(s.sink.objects, mapping.MessageID(event))
	wanted, err := s.ledger.Wanted(s.ctx, 1)
	if err != nil || len(wanted) != 1 {
		t.Fatalf("%d files are wanted, %v", len(wanted), err)
	}
	if err := s.ledger.Refuse(s.ctx, wanted[0], "too_large"); err != nil { // the message says so
		t.Fatal(err)
	}
	before := len(s.sink.sent)
	s.delivers()
	s.waits(time.Hour)
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" || len(s.sink.sent) != before || s.sink.objects[mapping.MessageID(event)] != nil {
		t.Errorf("%s sent: %v", diff, s.sink.sent[before:])
	}
	if got := s.why(event); got != "deleted: deleted_on_platform" {
		t.Errorf("it is listed as %q", got)
	}
	if err := s.ledger.Requeue(s.ctx, ledger.Ref{Kind: ledger.KindPost, Room: den, Event: event}); err != nil {
		t.Fatal(err)
	}
	s.delivers()
	if s.sink.objects[mapping.MessageID(event)] == nil || s.why(event) != "" {
		t.Errorf("asked for, it is %q", s.why(event))
	}
}

func TestAReplyDoesNotBringBackWhatSomebodyDeleted(t *testing.T) {
	s := newScene(t)
	s.misses()
	event := s.says("one")
	s.delivers()
	delete(s.sink.objects, mapping.MessageID(event))
	s.sink.found[mapping.MessageID(event)] = stix.Found{} // until it is refused: nobody has told us
	answer := s.hears(den, alice, map[string]any{
		"msgtype": "m.text", "body": "two", "m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": event}},
	})
	s.delivers()
	s.waits(time.Hour)
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 2}, s.posts()); diff != "" {
		t.Error(diff)
	}
	if s.sink.objects[mapping.MessageID(event)] != nil || s.sink.objects[mapping.MessageID(answer)] == nil {
		t.Errorf("the platform holds %d objects", len(s.sink.objects))
	}
	if got := s.why(event); got != "deleted: deleted_on_platform" {
		t.Errorf("it is listed as %q", got)
	}
}
