package timeline_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestAMaskedPostHoldsNothingThatItsAuthorSaid(t *testing.T) {
	original := message(`{"msgtype":"m.file","body":"a secret","filename":"secret.pdf","url":"mxc://example.org/secret","m.relates_to":{"m.in_reply_to":{"event_id":"$asked"}}}`)
	late := typed("m.room.redaction", `{"redacts":"$self","reason":"too late"}`)
	late.ID, late.Sent = "$late", late.Sent.AddDate(0, 0, 1)
	first := typed("m.room.redaction", `{"redacts":"$self","reason":"`+strings.Repeat("x", 2*timeline.MaxReasonBytes)+`"}`)
	first.ID = "$first"
	post := compose(t, original, edit("$edit", 1, text("another secret")), late, first)
	if post.Text != "another secret" || post.Redaction == nil || post.Redaction.At != first.Sent || len(post.Redaction.Reason) > timeline.MaxReasonBytes {
		t.Errorf("post = %+v", post)
	}
	masked, err := json.Marshal(post.Mask())
	if err != nil || strings.Contains(string(masked), "secret") || !strings.Contains(string(masked), "$asked") {
		t.Errorf("masked: %s, %v", masked, err)
	}
	// What is left when the content is gone is the same, but for what it answered.
	original.Content, original.Erased = timeline.OnlyRelation(original.Content), true
	if diff := cmp.Diff(post.Mask(), compose(t, original, late, first)); diff != "" {
		t.Errorf("of an erased message (-masked +composed):\n%s", diff)
	}
}

func TestTheRedactionShownWithAnEventIsOne(t *testing.T) {
	e := message(`{}`)
	for because, want := range map[string]bool{
		`{"type":"m.room.redaction","event_id":"$r","sender":"@mod:example.org","origin_server_ts":1704164645123,"content":{"reason":"spam"}}`: true,
		`{"type":"m.room.redaction","event_id":"$r","sender":"@mod:example.org"}`:                                                              true,
		`{"type":"m.room.message","event_id":"$r","sender":"@mod:example.org"}`:                                                                false,
		`{"type":"m.room.redaction","event_id":"$self","sender":"@mod:example.org"}`:                                                           false,
		`{"type":"m.room.redaction","event_id":5,"sender":"@mod:example.org"}`:                                                                 false,
		`{"type":"m.room.redaction","event_id":"$r"}`:                                                                                          false,
		`5`: false,
	} {
		e.Raw = json.RawMessage(`{"unsigned":{"redacted_because":` + because + `}}`)
		redaction, ok := e.Because()
		if ok != want || ok && !redaction.Redacted(e) {
			t.Errorf("%s: %+v, %t", because, redaction, ok)
		}
	}
}
