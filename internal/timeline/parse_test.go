package timeline_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// message is an m.room.message of Alice's with this content.
func message(content string) timeline.Event {
	return timeline.Event{
		Room: "!room:example.org", ID: "$self", Sender: "@alice:example.org", SenderName: "Alice", RoomName: "Room",
		Type: "m.room.message", Sent: timeline.ClampTime(1704164645123), Received: timeline.ClampTime(1704164646000),
		Content: json.RawMessage(content),
	}
}

func typed(kind, content string) timeline.Event {
	e := message(content)
	e.Type = kind
	return e
}

var (
	catURI = id.ContentURI{Homeserver: "example.org", FileID: "cat"}
	cat    = timeline.File{Name: "cat.png", URI: catURI}
	png    = timeline.File{Name: "cat.png", URI: catURI, MimeType: "image/png", Size: 70}
)

// said is an item of class message about the event itself.
func said(kind timeline.Kind, msgType, text string, files ...timeline.File) timeline.Item {
	return timeline.Item{Class: timeline.ClassMessage, Target: "$self", Kind: kind, MsgType: msgType, Text: text, Files: files}
}

func with(item timeline.Item, change func(*timeline.Item)) timeline.Item {
	change(&item)
	return item
}

func TestParse(t *testing.T) {
	state := ""
	stateEvent := message(`{"msgtype":"m.text","body":"x"}`)
	stateEvent.StateKey = &state
	oldRedaction := typed("m.room.redaction", `{"reason":"spam"}`)
	oldRedaction.Raw = json.RawMessage(`{"redacts":"$target"}`)
	taken := message(`{"msgtype":"m.text","body":"x"}`)
	taken.Raw = json.RawMessage(`{"unsigned":{"redacted_because":{"type":"m.room.redaction"}}}`)
	nameless := message(`{"msgtype":"m.emote","body":"waves"}`)
	nameless.SenderName = " \n "
	fileKey := `{"v":"v2","key":{"k":"AAA"},"iv":"BBB","hashes":{"sha256":"CCC"},"url":"mxc://example.org/cat"}`

	for _, test := range []struct {
		name  string
		event timeline.Event
		want  timeline.Item
	}{
		{"a text is its body", message(`{"msgtype":"m.text","body":"Hello"}`), said(timeline.KindText, "m.text", "Hello")},
		{"an empty text is a text", message(`{"msgtype":"m.text","body":""}`), said(timeline.KindText, "m.text", "")},
		{"a notice is a notice", message(`{"msgtype":"m.notice","body":"beep"}`), said(timeline.KindNotice, "m.notice", "beep")},
		{"a homeserver's notice is a notice", message(`{"msgtype":"m.server_notice","body":"quota"}`), said(timeline.KindNotice, "m.server_notice", "quota")},
		{"an emote names its sender", message(`{"msgtype":"m.emote","body":"waves"}`), said(timeline.KindEmote, "m.emote", "* Alice waves")},
		{"an emote of a sender without a name has the MXID", nameless, said(timeline.KindEmote, "m.emote", "* @alice:example.org waves")},
		{
			"a formatted body is kept when its format is known", message(`{"msgtype":"m.text","body":"a","format":"org.matrix.custom.html","formatted_body":"<b>a</b>"}`),
			with(said(timeline.KindText, "m.text", "a"), func(i *timeline.Item) { i.HTML = "<b>a</b>" }),
		},
		{"a formatted body of another format is dropped", message(`{"msgtype":"m.text","body":"a","format":"x","formatted_body":"<b>a</b>"}`), said(timeline.KindText, "m.text", "a")},
		{"an unknown msgtype with a body is other text", message(`{"msgtype":"com.example.poke","body":"poke"}`), said(timeline.KindOther, "com.example.poke", "poke")},
		{"a missing msgtype is other text", message(`{"body":"x"}`), said(timeline.KindOther, "", "x")},
		{"a msgtype of the wrong type is other text", message(`{"msgtype":5,"body":"x"}`), said(timeline.KindOther, "", "x")},
		{"a request to verify a device is not a message", message(`{"msgtype":"m.key.verification.request","body":"x"}`), timeline.Item{Class: timeline.ClassOther}},

		{"the body of an image is its name", message(`{"msgtype":"m.image","body":"cat.png","url":"mxc://example.org/cat","info":{"mimetype":"image/png","size":70}}`), said(timeline.KindImage, "m.image", "", png)},
		{"the body beside a file name is a caption", message(`{"msgtype":"m.image","body":"Look","filename":"cat.png","url":"mxc://example.org/cat"}`), said(timeline.KindImage, "m.image", "Look", cat)},
		{"the body equal to the file name is no caption", message(`{"msgtype":"m.image","body":"cat.png","filename":"cat.png","url":"mxc://example.org/cat"}`), said(timeline.KindImage, "m.image", "", cat)},
		{"an empty file name is none", message(`{"msgtype":"m.file","body":"cat.png","filename":"","url":"mxc://example.org/cat"}`), said(timeline.KindFile, "m.file", "", cat)},
		{
			"a caption may be formatted", message(`{"msgtype":"m.video","body":"Look","filename":"cat.png","format":"org.matrix.custom.html","formatted_body":"<i>Look</i>","url":"mxc://example.org/cat"}`),
			with(said(timeline.KindVideo, "m.video", "Look", cat), func(i *timeline.Item) { i.HTML = "<i>Look</i>" }),
		},
		{
			"a voice message is audio with a duration", message(`{"msgtype":"m.audio","body":"cat.png","url":"mxc://example.org/cat","info":{"duration":12345},"org.matrix.msc3245.voice":{}}`),
			said(timeline.KindAudio, "m.audio", "", timeline.File{Name: "cat.png", URI: catURI, Duration: 12345 * time.Millisecond, Voice: true}),
		},
		{
			"an encrypted file keeps its key", message(`{"msgtype":"m.file","body":"cat.png","file":` + fileKey + `}`),
			said(timeline.KindFile, "m.file", "", timeline.File{Name: "cat.png", URI: catURI, Key: []byte(fileKey)}),
		},
		{
			"an encrypted file goes before a plain address", message(`{"msgtype":"m.file","body":"cat.png","url":"mxc://evil.example/x","file":` + fileKey + `}`),
			said(timeline.KindFile, "m.file", "", timeline.File{Name: "cat.png", URI: catURI, Key: []byte(fileKey)}),
		},
		{
			"an encrypted file without its hash has a problem", message(`{"msgtype":"m.file","body":"cat.png","file":{"url":"mxc://example.org/cat","key":{"k":"A"},"iv":"B"}}`),
			said(timeline.KindFile, "m.file", "", timeline.File{Name: "cat.png", URI: catURI, Problem: timeline.ProblemKey}),
		},
		{
			"a sticker's body describes it", typed("m.sticker", `{"body":"waving cat","url":"mxc://example.org/cat","info":{"mimetype":"image/png"}}`),
			said(timeline.KindSticker, "m.sticker", "[sticker: waving cat]", timeline.File{Name: "waving cat.png", URI: catURI, MimeType: "image/png"}),
		},
		{
			"a location has text and coordinates", message(`{"msgtype":"m.location","body":"Here","geo_uri":"geo:51.5008,-0.1247;u=35"}`),
			with(said(timeline.KindLocation, "m.location", "Here"), func(i *timeline.Item) { i.Geo = "geo:51.5008,-0.1247;u=35" }),
		},
		{
			"a location may use the unstable form", message(`{"msgtype":"m.location","body":"Here","org.matrix.msc3488.location":{"uri":"geo:1,2"}}`),
			with(said(timeline.KindLocation, "m.location", "Here"), func(i *timeline.Item) { i.Geo = "geo:1,2" }),
		},
		{"coordinates that are none are dropped", message(`{"msgtype":"m.location","body":"Here","geo_uri":"geo:1,2\n[x](y)"}`), said(timeline.KindLocation, "m.location", "Here")},

		{
			"a reply names its target and loses the quote", message(`{"msgtype":"m.text","body":"> <@bob:x> Hello\n> again\n\nHello back","m.relates_to":{"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "Hello back"), func(i *timeline.Item) { i.Reply = "$other" }),
		},
		{
			"a reply without a quote keeps its text", message(`{"msgtype":"m.text","body":"Hello\n> back","m.relates_to":{"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "Hello\n> back"), func(i *timeline.Item) { i.Reply = "$other" }),
		},
		{
			"a reply that is nothing but a quote keeps it", message(`{"msgtype":"m.text","body":"> <@bob:x> Hello\n\n","m.relates_to":{"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "> <@bob:x> Hello\n\n"), func(i *timeline.Item) { i.Reply = "$other" }),
		},
		{"a quote in a message that answers nothing is the sender's own", message(`{"msgtype":"m.text","body":"> quoted\n\nmine"}`), said(timeline.KindText, "m.text", "> quoted\n\nmine")},
		{
			"the quote in a formatted reply is dropped", message(`{"msgtype":"m.text","body":"a","format":"org.matrix.custom.html","formatted_body":"<mx-reply>q</mx-reply>a","m.relates_to":{"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "a"), func(i *timeline.Item) { i.Reply, i.HTML = "$other", "<mx-reply>q</mx-reply>a" }),
		},
		{
			"an emote that answers loses the quote", message(`{"msgtype":"m.emote","body":"> <@bob:x> hi\n\nwaves","m.relates_to":{"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindEmote, "m.emote", "* Alice waves"), func(i *timeline.Item) { i.Reply = "$other" }),
		},
		{
			"a thread's fall-back is no reply", message(`{"msgtype":"m.text","body":"x","m.relates_to":{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "x"), func(i *timeline.Item) { i.Thread = "$root" }),
		},
		{
			"the quote of a thread's fall-back is dropped", message(`{"msgtype":"m.text","body":"> <@b:x> q\n\nx","m.relates_to":{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "x"), func(i *timeline.Item) { i.Thread = "$root" }),
		},
		{
			"a reply inside a thread is both", message(`{"msgtype":"m.text","body":"x","m.relates_to":{"rel_type":"m.thread","event_id":"$root","m.in_reply_to":{"event_id":"$other"}}}`),
			with(said(timeline.KindText, "m.text", "x"), func(i *timeline.Item) { i.Thread, i.Reply = "$root", "$other" }),
		},
		{
			"a message is no answer to itself", message(`{"msgtype":"m.text","body":"x","m.relates_to":{"rel_type":"m.thread","event_id":"$self","m.in_reply_to":{"event_id":"$self"}}}`),
			said(timeline.KindText, "m.text", "x"),
		},

		{
			"an edit belongs to what it replaces", message(`{"msgtype":"m.text","body":"* new","m.new_content":{"msgtype":"m.text","body":"new"},"m.relates_to":{"rel_type":"m.replace","event_id":"$other"}}`),
			timeline.Item{Class: timeline.ClassEdit, Target: "$other"},
		},
		{"an edit without a target is a message", message(`{"msgtype":"m.text","body":"* new","m.relates_to":{"rel_type":"m.replace","event_id":7}}`), said(timeline.KindText, "m.text", "* new")},
		{"a reaction belongs to its target", typed("m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$other","key":"x"}}`), timeline.Item{Class: timeline.ClassReaction, Target: "$other", Key: "x"}},
		{"a redaction names its target in the content", typed("m.room.redaction", `{"redacts":"$target"}`), timeline.Item{Class: timeline.ClassRedaction, Target: "$target"}},
		{"a redaction of an old room names it outside", oldRedaction, timeline.Item{Class: timeline.ClassRedaction, Target: "$target"}},
		{
			"a reaction with a picture has the name that it was given", typed("m.reaction", `{"shortcode":":cat:","m.relates_to":{"rel_type":"m.annotation","event_id":"$other","key":"mxc://example.org/cat"}}`),
			timeline.Item{Class: timeline.ClassReaction, Target: "$other", Key: ":cat:"},
		},
		{"a vote belongs to its poll", typed("m.poll.response", `{"m.selections":["a","b"],"m.relates_to":{"rel_type":"m.reference","event_id":"$poll"}}`), timeline.Item{Class: timeline.ClassVote, Target: "$poll", Vote: []string{"a", "b"}}},
		{"a vote may have the old form", typed("org.matrix.msc3381.poll.response", `{"org.matrix.msc3381.poll.response":{"answers":["a"]},"m.relates_to":{"rel_type":"m.reference","event_id":"$poll"}}`), timeline.Item{Class: timeline.ClassVote, Target: "$poll", Vote: []string{"a"}}},
		{"the end of a poll belongs to it", typed("org.matrix.msc3381.poll.end", `{"m.relates_to":{"rel_type":"m.reference","event_id":"$poll"}}`), timeline.Item{Class: timeline.ClassPollEnd, Target: "$poll"}},

		{"a state event belongs to no message", stateEvent, timeline.Item{Class: timeline.ClassState}},
		{"a message without any content was redacted", message(`{}`), timeline.Item{Class: timeline.ClassMessage, Target: "$self", Redacted: true}},
		{"an encrypted event without any content was redacted", typed("m.room.encrypted", `{}`), timeline.Item{Class: timeline.ClassMessage, Target: "$self", Redacted: true}},
		{"a message that says why it was redacted was redacted", taken, timeline.Item{Class: timeline.ClassMessage, Target: "$self", Redacted: true}},
		{"a redacted reaction says nothing", typed("m.reaction", `{}`), timeline.Item{Class: timeline.ClassOther, Redacted: true}},
		{"ciphertext says nothing", typed("m.room.encrypted", `{"algorithm":"m.megolm.v1.aes-sha2"}`), timeline.Item{Class: timeline.ClassOther}},
		{"a call says nothing", typed("m.call.invite", `{"call_id":"x"}`), timeline.Item{Class: timeline.ClassOther}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := timeline.Parse(test.event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("item differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnreadableEventsAreErrorsThatHoldNoneOfTheirText(t *testing.T) {
	for name, event := range map[string]timeline.Event{
		"content is no object":         message(`"canary"`),
		"content is null":              message(`null`),
		"content is missing":           message(``),
		"content is cut":               message(`{"body":"canary`),
		"content is nested too deeply": message(`{"canary":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`),
		"body is missing":              message(`{"msgtype":"m.text"}`),
		"body is a number":             message(`{"msgtype":"m.text","body":5,"canary":1}`),
		"body is an object":            message(`{"msgtype":"m.emote","body":{"canary":1}}`),
		"a poll that asks nothing":     typed("m.poll.start", `{"m.poll":{"canary":1}}`),
		"a reaction without a target":  typed("m.reaction", `{"m.relates_to":"canary"}`),
		"a reaction to itself":         typed("m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$self"}}`),
		"a redaction of nothing":       typed("m.room.redaction", `{"redacts":["canary"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			item, err := timeline.Parse(event)
			if err == nil {
				t.Fatalf("parsed as %+v, want an error", item)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("error %q holds text of the event", err)
			}
		})
	}
}

func TestHostileFieldsCostOnlyThemselves(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    timeline.File
	}{
		"a size of 1e30":              {`"url":"mxc://example.org/cat","info":{"size":1e30}`, cat},
		"a negative size":             {`"url":"mxc://example.org/cat","info":{"size":-5}`, cat},
		"a fraction of a byte":        {`"url":"mxc://example.org/cat","info":{"size":1.5}`, cat},
		"a size beyond any float":     {`"url":"mxc://example.org/cat","info":{"size":1e400}`, cat},
		"a size in words":             {`"url":"mxc://example.org/cat","info":{"size":"70"}`, cat},
		"a duration of a century":     {`"url":"mxc://example.org/cat","info":{"duration":9007199254740992}`, cat},
		"an info that is a list":      {`"url":"mxc://example.org/cat","info":[1,2]`, cat},
		"a media type with newlines":  {`"url":"mxc://example.org/cat","info":{"mimetype":"image/png\r\nX: y"}`, cat},
		"a media type without slash":  {`"url":"mxc://example.org/cat","info":{"mimetype":"image"}`, cat},
		"a media type with extras":    {`"url":"mxc://example.org/cat","info":{"mimetype":"Image/PNG; name=x","size":70}`, png},
		"an address that is absent":   {`"info":{}`, timeline.File{Name: "cat.png", Problem: timeline.ProblemNoURI}},
		"an address that is a number": {`"url":5`, timeline.File{Name: "cat.png", Problem: timeline.ProblemNoURI}},
		"an address on the web":       {`"url":"https://evil.example/cat"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"an address that climbs":      {`"url":"mxc://example.org/../../admin"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"a server that climbs":        {`"url":"mxc://../cat"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"an address with a query":     {`"url":"mxc://example.org/cat?x=1"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"an address with a blank":     {`"url":"mxc://example.org/c at"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"an address without a file":   {`"url":"mxc://example.org/"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"an address of a mile":        {`"url":"mxc://example.org/` + strings.Repeat("a", 1000) + `"`, timeline.File{Name: "cat.png", Problem: timeline.ProblemURI}},
		"a key of the wrong types":    {`"file":{"url":"mxc://example.org/cat","key":"k","iv":1,"hashes":[]}`, timeline.File{Name: "cat.png", URI: catURI, Problem: timeline.ProblemKey}},
		"a key of a mile": {
			`"file":{"url":"mxc://example.org/cat","key":{"k":"` + strings.Repeat("a", 5000) + `"},"iv":"B","hashes":{"sha256":"C"}}`,
			timeline.File{Name: "cat.png", URI: catURI, Problem: timeline.ProblemKeyLen},
		},
		"an encrypted file that climbs": {
			`"file":{"url":"mxc://example.org/..","key":{"k":"A"},"iv":"B","hashes":{"sha256":"C"}}`,
			timeline.File{Name: "cat.png", Key: []byte(`{"url":"mxc://example.org/..","key":{"k":"A"},"iv":"B","hashes":{"sha256":"C"}}`), Problem: timeline.ProblemURI},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := timeline.Parse(message(`{"msgtype":"m.file","body":"cat.png",` + test.content + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]timeline.File{test.want}, got.Files); diff != "" {
				t.Errorf("file differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileNamesAreOneVisiblePathElement(t *testing.T) {
	for claim, want := range map[string]string{
		"../../etc/passwd":                "_.._etc_passwd",
		`C:\Windows\system32\x.exe`:       "C:_Windows_system32_x.exe",
		"invoice\u202egpj.exe":            "invoicegpj.exe",
		"a\u0000b\nc\t.txt":               "abc.txt",
		"  .hidden. ":                     "hidden",
		"..":                              "image.png",
		"":                                "image.png",
		"\u200b\u2066\ufeff":              "image.png",
		"a\u2028b":                        "a b",
		"été 世界 👨‍👩‍👧.png":                "été 世界 👨‍👩‍👧.png",
		"bad \xff.png":                    "bad \ufffd.png",
		strings.Repeat("é", 300) + ".png": strings.Repeat("é", 125) + ".png",
		strings.Repeat("a", 300):          strings.Repeat("a", 255),
		"a." + strings.Repeat("b", 300):   "a." + strings.Repeat("b", 253),
	} {
		content, err := json.Marshal(map[string]any{"msgtype": "m.image", "body": claim, "url": "mxc://example.org/cat", "info": map[string]any{"mimetype": "image/png"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := timeline.Parse(message(string(content)))
		if err != nil {
			t.Fatal(err)
		}
		if got.Files[0].Name != want {
			t.Errorf("name of %q = %q, want %q", claim, got.Files[0].Name, want)
		}
	}
}

func TestLongTextsAreCutWithAMark(t *testing.T) {
	body, err := json.Marshal(strings.Repeat("é", timeline.MaxTextBytes))
	if err != nil {
		t.Fatal(err)
	}
	got, err := timeline.Parse(message(`{"msgtype":"m.text","body":` + string(body) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Text) > timeline.MaxTextBytes || !strings.HasSuffix(got.Text, "é […]") || !utf8.ValidString(got.Text) {
		t.Errorf("text of %d bytes ends in %q", len(got.Text), got.Text[len(got.Text)-12:])
	}
}

func TestOddEncodingsBecomeReplacementCharacters(t *testing.T) {
	for name, content := range map[string]string{
		"a lone surrogate": `{"msgtype":"m.text","body":"a\ud800b"}`,
		"invalid UTF-8":    "{\"msgtype\":\"m.text\",\"body\":\"a\xffb\"}",
	} {
		got, err := timeline.Parse(message(content))
		if err != nil {
			t.Fatal(err)
		}
		if got.Text != "a\ufffdb" {
			t.Errorf("%s gives %q", name, got.Text)
		}
	}
}

func TestTargetsThatCannotBeEventIDsAreIgnored(t *testing.T) {
	for _, target := range []string{`"x"`, `"$"`, `""`, `"$a b"`, `"$a\u0000"`, `"$\u202e"`, `5`, `{}`, `null`, `"$` + strings.Repeat("a", 300) + `"`} {
		got, err := timeline.Parse(message(`{"msgtype":"m.text","body":"x","m.relates_to":{"m.in_reply_to":{"event_id":` + target + `}}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got.Reply != "" {
			t.Errorf("reply to %s is %q, want none", target, got.Reply)
		}
	}
}
