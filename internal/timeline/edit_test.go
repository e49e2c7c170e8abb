package timeline_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// edit is an edit of $self by Alice, so many minutes later, to this content.
func edit(name id.EventID, minutes int, content string) timeline.Event {
	e := message(`{"msgtype":"m.text","body":"* x","m.new_content":` + content + `,"m.relates_to":{"rel_type":"m.replace","event_id":"$self"}}`)
	e.ID, e.Sent = name, e.Sent.Add(time.Duration(minutes)*time.Minute)
	return e
}

// text is the content of a text message.
func text(body string) string { return fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, body) }

// compose is what events say in this order and in the reverse one.
func compose(t *testing.T, events ...timeline.Event) timeline.Post {
	t.Helper()
	post, ok := timeline.Compose(events)
	if !ok {
		t.Fatal("nothing to say")
	}
	var turned []timeline.Event
	for i := range events {
		turned = append(turned, events[len(events)-1-i])
	}
	again, _ := timeline.Compose(turned)
	if diff := cmp.Diff(post, again); diff != "" {
		t.Errorf("post depends on the order:\n%s", diff)
	}
	return post
}

func TestTheNewestEditIsTheTextAndFormerTextsStay(t *testing.T) {
	original := message(`{"msgtype":"m.text","body":"one","m.relates_to":{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"$root"}}}`)
	second := edit("$b", 1, `{"msgtype":"m.notice","body":"> <@bob:example.org> asked\n\ntwo","m.relates_to":{"m.in_reply_to":{"event_id":"$elsewhere"}}}`)
	third := edit("$c", 2, `{"msgtype":"m.text","body":"three","format":"org.matrix.custom.html","formatted_body":"<b>three</b>"}`)
	post := compose(t, original, second, third)
	if post.Text != "three" || post.HTML != "<b>three</b>" || post.Kind != timeline.KindText || post.ID != "$self" || !post.Sent.Equal(original.Sent) || !post.Edited.Equal(third.Sent) {
		t.Errorf("post = %+v", post)
	}
	if post.Reply != "" || post.Thread != "$root" {
		t.Errorf("reply %q, thread %q; want those of the original", post.Reply, post.Thread)
	}
	want := []timeline.Version{{ID: "$self", Sent: original.Sent, Text: "one"}, {ID: "$b", Sent: second.Sent, Text: "two"}}
	if diff := cmp.Diff(want, post.Earlier); diff != "" {
		t.Errorf("former texts (-want +got):\n%s", diff)
	}
}

func TestOfTwoEditsOfOneTimeTheLargerIDIsTheNewer(t *testing.T) {
	post := compose(t, message(text("one")), edit("$b", 1, text("b")), edit("$a", 1, text("a")), edit("$c", 0, text("c")))
	if post.Text != "b" {
		t.Errorf("text = %q", post.Text)
	}
}

func TestFormerTextsAreBounded(t *testing.T) {
	events := []timeline.Event{message(text(strings.Repeat("ä", timeline.MaxVersionBytes)))}
	for i := range 30 {
		events = append(events, edit(id.EventID(fmt.Sprintf("$edit%02d", i)), i+1, text(fmt.Sprint("text ", i))))
	}
	post := compose(t, events...)
	if len(post.Earlier) != timeline.MaxVersions || post.EarlierMore != 20 || post.Text != "text 29" {
		t.Fatalf("%d former texts and %d more", len(post.Earlier), post.EarlierMore)
	}
	if len(post.Earlier[0].Text) > timeline.MaxVersionBytes || post.Earlier[0].ID != "$self" || post.Earlier[1].Text != "text 20" || post.Earlier[9].Text != "text 28" {
		t.Errorf("former texts = %+v", post.Earlier[1:])
	}
}

// TestEditValidity has a case for each rule of Matrix C-S API, "Validity of replacement
// events", and for what a forger could try besides.
func TestEditValidity(t *testing.T) {
	changed := func(change func(*timeline.Event)) timeline.Event {
		e := edit("$edit", 1, text("forged"))
		change(&e)
		return e
	}
	encrypted := func(e timeline.Event) timeline.Event {
		e.Trust = timeline.TrustSigned
		return e
	}
	key := ""
	for name, test := range map[string]struct{ original, edit timeline.Event }{
		"of another sender": {edit: changed(func(e *timeline.Event) { e.Sender = "@mallory:example.org" })},
		"of another type":   {edit: changed(func(e *timeline.Event) { e.Type = "m.sticker" })},
		"of another room":   {edit: changed(func(e *timeline.Event) { e.Room = "!other:example.org" })},
		"with a state key":  {edit: changed(func(e *timeline.Event) { e.StateKey = &key })},
		"without new content": {edit: changed(func(e *timeline.Event) {
			e.Content = json.RawMessage(strings.ReplaceAll(string(e.Content), "m.new_content", "m.old_content"))
		})},
		"with an empty one":  {edit: edit("$edit", 1, `{}`)},
		"with a list for it": {edit: edit("$edit", 1, `[]`)},
		"with no body in it": {edit: edit("$edit", 1, `{"msgtype":"m.text"}`)},
		"of another message": {edit: changed(func(e *timeline.Event) {
			e.Content = json.RawMessage(strings.ReplaceAll(string(e.Content), "$self", "$else"))
		})},
		"plain, of encrypted":  {original: encrypted(message(text("said"))), edit: edit("$edit", 1, text("forged"))},
		"in another's name":    {original: encrypted(message(text("said"))), edit: changed(func(e *timeline.Event) { e.Trust = timeline.TrustMismatch })},
		"plain, in their room": {original: encrypted(message(text("said"))), edit: changed(func(e *timeline.Event) { e.Trust = timeline.TrustPlaintext })},
	} {
		if test.original.ID == "" {
			test.original = message(text("said"))
		}
		if post := compose(t, test.original, test.edit); post.Text != "said" || !post.Edited.IsZero() || post.Earlier != nil {
			t.Errorf("an edit %s counts: %+v", name, post)
		}
	}
}

func TestAnEditOfAnEditChangesNothing(t *testing.T) {
	second := edit("$second", 2, text("forged"))
	second.Content = json.RawMessage(strings.ReplaceAll(string(second.Content), "$self", "$first"))
	if post := compose(t, message(text("said")), edit("$first", 1, text("edited")), second); post.Text != "edited" {
		t.Errorf("text = %q", post.Text)
	}
	if post, ok := timeline.Compose([]timeline.Event{edit("$first", 1, text("edited")), second}); ok {
		t.Errorf("edits without their original say %q", post.Text)
	}
}

func TestAnEncryptedEditOfAPlainMessageCounts(t *testing.T) {
	e := edit("$edit", 1, text("edited"))
	e.Trust = timeline.TrustSigned
	if post := compose(t, message(text("said")), e); post.Text != "edited" {
		t.Errorf("text = %q", post.Text)
	}
}

func TestTheWorseTrustOfOriginalAndEditIsThatOfThePost(t *testing.T) {
	original, e := message(text("said")), edit("$edit", 1, text("edited"))
	original.Trust, e.Trust = timeline.TrustSigned, timeline.TrustUnknown
	if post := compose(t, original, e); post.Text != "edited" || post.Trust != timeline.TrustUnknown {
		t.Errorf("post = %+v", post)
	}
}

func TestAnEditedCaptionKeepsItsFile(t *testing.T) {
	const encrypted = `"file":{"v":"v2","url":"mxc://example.org/cat","key":{"k":"AAA"},"iv":"BBB","hashes":{"sha256":%q}}`
	original := message(`{"msgtype":"m.image","body":"Look","filename":"cat.png",` + fmt.Sprintf(encrypted, "CCC") + `}`)
	post := compose(t, original, edit("$edit", 1, `{"msgtype":"m.image","body":"See","filename":"renamed.png",`+fmt.Sprintf(encrypted, "CCC")+`}`))
	if post.Text != "See" || len(post.Files) != 1 || post.Files[0].Index != 0 || post.Files[0].Name != "cat.png" || post.Files[0].Former {
		t.Errorf("post = %+v", post)
	}
	// The same address with another hash is another file.
	if post := compose(t, original, edit("$edit", 1, `{"msgtype":"m.image","body":"cat.png",`+fmt.Sprintf(encrypted, "DDD")+`}`)); len(post.Files) != 2 {
		t.Errorf("files = %+v", post.Files)
	}
}

func TestAFileThatAnEditBringsStandsBeforeTheFormerOne(t *testing.T) {
	original := message(`{"msgtype":"m.file","body":"a.pdf","url":"mxc://example.org/a"}`)
	first := edit("$first", 1, `{"msgtype":"m.file","body":"a.pdf","url":"mxc://example.org/b"}`)
	second := edit("$second", 2, `{"msgtype":"m.file","body":"a.pdf","url":"mxc://example.org/c"}`)
	post := compose(t, original, first, second)
	if len(post.Files) != 3 || post.Files[0].URI.FileID != "c" || post.Files[0].Former || !post.Files[1].Former || !post.Files[2].Former || post.Files[1].Index != 0 {
		t.Fatalf("files = %+v", post.Files)
	}
	// Its index is the same whatever edits are known.
	if alone := compose(t, original, second); alone.Files[0].Index != post.Files[0].Index || alone.Files[0].Index < timeline.FirstEditIndex {
		t.Errorf("index %d, and %d when more is known", alone.Files[0].Index, post.Files[0].Index)
	}
	// An edit back to the first file makes it no former one.
	if back := compose(t, original, first, edit("$back", 3, `{"msgtype":"m.file","body":"a.pdf","url":"mxc://example.org/a"}`)); back.Files[0].Index != 0 || back.Files[0].Former || !back.Files[1].Former {
		t.Errorf("files = %+v", back.Files)
	}
}

func TestAnEditedEmoteNamesItsSenderAsTheOriginalDid(t *testing.T) {
	e := edit("$edit", 1, `{"msgtype":"m.emote","body":"leaves"}`)
	e.SenderName = "Renamed"
	if post := compose(t, message(`{"msgtype":"m.emote","body":"waves"}`), e); post.Text != "* Alice leaves" {
		t.Errorf("text = %q", post.Text)
	}
}

func TestRedactingAnEditRevertsIt(t *testing.T) {
	undo := func(n, of id.EventID) timeline.Event {
		e := typed("m.room.redaction", fmt.Sprintf(`{"redacts":%q}`, of))
		e.ID = n
		return e
	}
	original, first, second := message(text("one")), edit("$b", 1, text("two")), edit("$c", 2, text("three"))
	if post := compose(t, original, first, second, undo("$x", "$c")); post.Text != "two" || len(post.Earlier) != 1 || post.Earlier[0].Text != "one" {
		t.Errorf("post = %+v", post)
	}
	if post := compose(t, original, first, second, undo("$x", "$c"), undo("$y", "$b")); post.Text != "one" || post.Earlier != nil || !post.Edited.IsZero() {
		t.Errorf("post = %+v", post)
	}
	forged := undo("$x", "$c")
	forged.Sender, forged.Redacts = "@mallory:evil.example", timeline.RightNo
	if post := compose(t, original, first, second, forged); post.Text != "three" {
		t.Errorf("post = %+v", post)
	}
}

func TestAnEditedPollAsksTheNewQuestion(t *testing.T) {
	const start = `{"m.poll":{"question":{"m.text":%q},"answers":[{"m.id":"1","m.text":"x"}]}}`
	vote := typed("m.poll.response", `{"m.selections":["1"],"m.relates_to":{"rel_type":"m.reference","event_id":"$self"}}`)
	vote.ID, vote.Sender = "$vote", "@bob:example.org"
	e := edit("$edit", 1, fmt.Sprintf(start, "Dinner?"))
	e.Type = "m.poll.start"
	post := compose(t, typed("m.poll.start", fmt.Sprintf(start, "Lunch?")), e, vote)
	if post.Poll == nil || post.Poll.Question != "Dinner?" || post.Poll.Voters != 1 || len(post.Earlier) != 1 {
		t.Errorf("post = %+v", post)
	}
}
