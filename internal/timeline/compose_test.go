package timeline_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestComposeTakesEverythingFromTheOriginal(t *testing.T) {
	e := message(`{"msgtype":"m.image","body":"Look","filename":"cat.png","url":"mxc://example.org/cat","m.relates_to":{"rel_type":"m.thread","event_id":"$root","m.in_reply_to":{"event_id":"$other"}}}`)
	e.Trust = timeline.TrustSigned
	got, ok := timeline.Compose([]timeline.Event{e})
	if !ok {
		t.Fatal("nothing to say")
	}
	want := timeline.Post{
		Room: "!room:example.org", ID: "$self", Sender: "@alice:example.org", SenderName: "Alice", RoomName: "Room", Sent: e.Sent,
		Kind: timeline.KindImage, Text: "Look", Reply: "$other", Thread: "$root", Files: []timeline.File{cat}, Trust: timeline.TrustSigned, MsgType: "m.image",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("post differs (-want +got):\n%s", diff)
	}
}

func TestComposeSaysNothing(t *testing.T) {
	edit := message(`{"msgtype":"m.text","body":"* x","m.new_content":{},"m.relates_to":{"rel_type":"m.replace","event_id":"$self"}}`)
	edit.ID = "$edit"
	reaction := typed("m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$self","key":"x"}}`)
	reaction.ID = "$reaction"
	plain := message(`{"msgtype":"m.text","body":"x"}`)
	for name, events := range map[string][]timeline.Event{
		"without events":                      nil,
		"without the original":                {edit, reaction},
		"when the original is unreadable":     {message(`5`), edit},
		"when the original is shown redacted": {message(`{}`)},
		"when any copy is shown redacted":     {plain, message(`{}`), plain},
		"for a poll that asks nothing":        {typed("m.poll.start", `{"m.poll":{}}`)},
	} {
		if post, ok := timeline.Compose(events); ok {
			t.Errorf("%s it says %q", name, post.Text)
		}
	}
}

// TestComposeIgnoresOrder draws the events of one message, with copies that differ
// in names and times, and shuffles them.
func TestComposeIgnoresOrder(t *testing.T) {
	contents := []string{
		`{"msgtype":"m.text","body":"one"}`, `{"msgtype":"m.text","body":"two"}`, `{"msgtype":"m.image","body":"x","url":"mxc://a.b/c"}`, `5`, `{"msgtype":"m.text"}`,
		`{"msgtype":"m.text","body":"* e","m.relates_to":{"rel_type":"m.replace","event_id":"$self"}}`, `{}`,
		`{"m.new_content":{"msgtype":"m.text","body":"three"},"m.relates_to":{"rel_type":"m.replace","event_id":"$self"}}`,
		`{"m.new_content":{"msgtype":"m.file","body":"y","url":"mxc://a.b/d"},"m.relates_to":{"rel_type":"m.replace","event_id":"$self"}}`,
		`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$self"}}`, `{"redacts":"$self"}`, `{"redacts":"$edit"}`,
		`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$self","key":"a"}}`, `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$self","key":"b"}}`,
		`{"m.poll":{"question":{"m.text":"q"},"answers":[{"m.id":"1","m.text":"x"},{"m.id":"2","m.text":"y"}]}}`, `{"m.selections":["1"],"m.relates_to":{"rel_type":"m.reference","event_id":"$self"}}`,
		`{"m.selections":["2"],"m.relates_to":{"rel_type":"m.reference","event_id":"$self"}}`,
	}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) timeline.Event {
			e := message(rapid.SampledFrom(contents).Draw(t, "content"))
			e.Type = rapid.SampledFrom([]string{"m.room.message", "m.room.message", "m.reaction", "m.room.redaction", "m.sticker", "m.poll.start", "m.poll.response", "m.poll.response", "m.poll.end"}).Draw(t, "type")
			e.ID = rapid.SampledFrom([]id.EventID{"$self", "$self", "$edit", "$other"}).Draw(t, "id")
			e.Sender = rapid.SampledFrom([]id.UserID{"@alice:example.org", "@alice:example.org", "@mallory:evil.example"}).Draw(t, "sender")
			e.Redacts = timeline.Right(rapid.IntRange(0, 2).Draw(t, "redacts"))
			e.Sent = e.Sent.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "sent")) * time.Second)
			e.SenderName = rapid.SampledFrom([]string{"Alice", "A."}).Draw(t, "name")
			e.Received = e.Received.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "received")) * time.Second)
			e.Trust = timeline.Trust(rapid.IntRange(-2, 4).Draw(t, "trust"))
			return e
		}), 0, 6).Draw(t, "events")
		post, ok := timeline.Compose(events)
		again, okAgain := timeline.Compose(rapid.Permutation(events).Draw(t, "shuffled"))
		if ok != okAgain {
			t.Fatalf("says something: %t in one order, %t in another", ok, okAgain)
		}
		if diff := cmp.Diff(post, again); diff != "" {
			t.Fatalf("post depends on the order:\n%s", diff)
		}
		twice, _ := timeline.Compose(append(append([]timeline.Event(nil), events...), events...))
		if diff := cmp.Diff(post, twice); diff != "" {
			t.Fatalf("post depends on repeats:\n%s", diff)
		}
	})
}

// poison are contents that broke decoders of whole responses.
var poison = []string{
	`{"msgtype":5,"body":"x"}`, `{"msgtype":"m.image","url":5}`, `{"m.relates_to":"x","msgtype":"m.text","body":"y"}`, `{"m.relates_to":{"m.in_reply_to":[]},"msgtype":"m.text","body":"y"}`,
	`{"msgtype":"m.file","body":"../..","url":"mxc://a/../..","info":{"size":1e30}}`, `{"body":"\ud800","msgtype":"m.emote"}`, `[]`, `null`, `1e999`, `{"a":` + "\xff" + `}`,
	`{"msgtype":"m.text","body":"a","com.beeper.linkpreviews":5}`, `{"msgtype":"m.audio","body":"v","org.matrix.msc3245.voice":{},"info":{"duration":-1}}`,
	`{"msgtype":"m.text","body":"x","format":"org.matrix.custom.html","formatted_body":"<ol start=\"-9223372036854775808\"><li>x"}`,
	`{"msgtype":"m.gallery","body":5,"itemtypes":[[],{},{"itemtype":5,"url":{}},{"itemtype":"m.gallery","itemtypes":[{}]}]}`, `{"msgtype":"com.beeper.gallery","com.beeper.gallery.images":[null,{"body":"x"}]}`,
	`{"m.poll":{"max_selections":-1,"question":{"m.text":[[]]},"answers":[{"m.id":"a"},{"m.id":"a"},7]},"m.text":[{"mimetype":5,"body":"x"}]}`,
	`{"org.matrix.msc3381.poll.start":{"question":{"org.matrix.msc1767.text":"q"},"answers":{"id":"x"}}}`, `{"m.selections":[1,"a"],"m.relates_to":{"rel_type":"m.reference","event_id":"$poll"}}`,
	`{"m.text":[{"body":"x"},{"mimetype":"text/html","body":"<b>"}],"m.mentions":{"user_ids":["@a:b",{}],"room":"true"},"com.beeper.per_message_profile":{"displayname":[]}}`,
	`{"msgtype":"m.location","body":"x","org.matrix.msc3488.location":{"uri":"geo:1,2,3;crs=x;u=-1","description":7}}`, `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$x","key":"mxc://a/b"},"shortcode":":::"}`,
	`{"msgtype":"m.location","geo_uri":"geo:91,181;u=1e9","body":"x"}`, `{"redacts":{}}`, `{"msgtype":"m.file","file":{"url":"mxc://a.b/c","key":null}}`,
}

func FuzzParse(f *testing.F) {
	for _, kind := range []string{"m.room.message", "m.sticker", "m.reaction", "m.room.redaction", "m.poll.start", "m.poll.response", "m.message", "m.room.encrypted", "m.custom"} {
		for _, content := range poison {
			f.Add(kind, []byte(content), []byte(`{"redacts":5,"unsigned":{"redacted_because":null}}`))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, content, raw []byte) {
		e := message("")
		e.Type, e.Content, e.Raw = kind, json.RawMessage(content), json.RawMessage(raw)
		item, err := timeline.Parse(e)
		if err != nil {
			return
		}
		if problem := broken(item); problem != "" {
			t.Fatalf("%s of %q: %+v", problem, content, item)
		}
		if post, ok := timeline.Compose([]timeline.Event{e}); ok != (item.Class == timeline.ClassMessage && !item.Redacted) || ok && post.Text != item.Text {
			t.Fatalf("Compose disagrees with Parse: %t, %+v", ok, item)
		}
	})
}

// broken says what of an item is not as promised.
func broken(item timeline.Item) string {
	switch {
	case len(item.Text) > timeline.MaxTextBytes || len(item.HTML) > timeline.MaxTextBytes || len(item.Body) > timeline.MaxTextBytes || len(item.Geo) > timeline.MaxGeoBytes || len(item.MsgType) > timeline.MaxTypeBytes:
		return "text too long"
	case !utf8.ValidString(item.Text) || !utf8.ValidString(item.HTML) || !utf8.ValidString(item.Body) || !utf8.ValidString(item.MsgType):
		return "invalid UTF-8"
	case len(item.Files) > timeline.MaxFiles:
		return "too many files"
	case len(item.Key) > timeline.MaxReactionBytes || !utf8.ValidString(item.Key):
		return "bad reaction"
	case item.Poll != nil && (len(item.Poll.Answers) > timeline.MaxAnswers || item.Poll.Max < 1 || item.Poll.Max > timeline.MaxAnswers || len(item.Vote) > 0):
		return "bad poll"
	case len(item.Vote) > timeline.MaxAnswers:
		return "too long a vote"
	case item.Claims != nil && (len(item.Claims.Mentions) > 50 || len(item.Claims.Previews) > 10 || len(item.Claims.Profile) > timeline.MaxNameBytes || !utf8.ValidString(item.Claims.Profile)):
		return "bad claims"
	case item.Reply == "$self" || item.Thread == "$self" || len(item.Reply) > timeline.MaxIDBytes:
		return "bad relation"
	case item.Class == timeline.ClassMessage && item.Target != "$self":
		return "message with another target"
	}
	for _, file := range item.Files {
		switch {
		case file.Name == "" || len(file.Name) > timeline.MaxNameBytes || !utf8.ValidString(file.Name):
			return fmt.Sprintf("bad name %q", file.Name)
		case file.Size < 0 || file.Duration < 0:
			return "negative claim"
		case file.Problem == "" && !file.URI.IsValid():
			return "address that is not valid and no problem"
		case len(file.Key) > timeline.MaxKeyBytes:
			return "key too long"
		}
		for _, r := range file.Name {
			if r == '/' || r == '\\' || r < ' ' || r >= '\u202a' && r <= '\u202e' {
				return fmt.Sprintf("bad character in %q", file.Name)
			}
		}
	}
	return ""
}
