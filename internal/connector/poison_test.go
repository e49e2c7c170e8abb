package connector_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// poison are events that broke decoders of whole responses, readers of HTML or
// renderers of Markdown, each with what becomes of it: what it says in the end, or the
// reason why it is unreadable, or nothing for events that say nothing. In the event ID,
// FROM and NOW stand for its id, its sender and the time.
var poison = []struct{ name, event, says, unreadable string }{
	{"a time with a fraction", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":NOW.5,"content":{"msgtype":"m.text","body":"p1"}}`, "p1", ""},
	{"a time in scientific notation", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":1.9e12,"content":{"msgtype":"m.text","body":"p2"}}`, "p2", ""},
	{"a time beyond int64", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":99999999999999999999,"content":{"msgtype":"m.text","body":"p3"}}`, "p3", ""},
	{"a time before all times", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":-9223372036854775808,"content":{"msgtype":"m.text","body":"p4"}}`, "p4", ""},
	{"a time beyond the year 9999", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":9223372036854775807,"content":{"msgtype":"m.text","body":"p5"}}`, "p5", ""},
	{"a time that is a string", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":"NOW","content":{"msgtype":"m.text","body":"p6"}}`, "p6", ""},
	{"no time", `{"event_id":"ID","sender":"FROM","type":"m.room.message","content":{"msgtype":"m.text","body":"p7"}}`, "p7", ""},
	{"names of other events that are no strings", poisoned("p8", `"redacts":5,"replaces_state":[],"to_user_id":{}`), "p8", ""},
	{"a sticky that is a string", poisoned("p9", `"msc4354_sticky":"x"`), "p9", ""},
	{"a former content that is no object", poisoned("p10", `"prev_content":7,"unsigned":{"prev_content":"x"}`), "p10", ""},
	{"an age with a fraction", poisoned("p11", `"unsigned":{"age":1.5}`), "p11", ""},
	{"relations that are none", poisoned("p12", `"unsigned":{"m.relations":[{"m.replace":5}]}`), "p12", ""},
	{"an unsigned that is a list", poisoned("p13", `"unsigned":[]`), "p13", ""},
	{"keys that nobody knows, twice and with escapes", poisoned("p14", `"x":{"y":1e400},"x":null,"\u0078":"\ud800"`), "p14", ""},
	{"a state key that is a number", poisoned("x", `"state_key":5`), "", "state key is not a string"},
	{"a content that is a list", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":NOW,"content":[]}`, "", "content is not a readable object"},
	{"a content that is null", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":NOW,"content":null}`, "", "content is not a readable object"},
	{"no content", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":NOW}`, "", "content is not a readable object"},
	{"no type", `{"event_id":"ID","sender":"FROM","origin_server_ts":NOW,"content":{}}`, "", "no valid type"},
	{"a sender that is a list", `{"event_id":"ID","sender":["FROM"],"type":"m.room.message","origin_server_ts":NOW,"content":{}}`, "", "no valid sender"},
	{"a content nested beyond what is read", `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":NOW,"content":{"msgtype":"m.text","body":"x","deep":` + strings.Repeat("[", 9990) + strings.Repeat("]", 9990) + `}}`, "", "nested too deeply"},

	{"a msgtype that is a number", poisonedContent(`"msgtype":5,"body":"p22"`), "p22", ""},
	{"a body that is a number", poisonedContent(`"msgtype":"m.text","body":5`), "", "parse event: message without a readable body"},
	{"a body of lone surrogates and controls", poisonedContent(`"msgtype":"m.text","body":"p24\ud800\u0000\u202e\u001b[31m"`), "p24\ufffd[31m", ""},
	{"an address that is a number", poisonedContent(`"msgtype":"m.image","body":"p25.png","url":5`), "[image: p25.png]", ""},
	{"an address that climbs", poisonedContent(`"msgtype":"m.file","body":"../../p26","url":"mxc://a/../.."`), "[file: _.._p26]", ""},
	{"an address with a query", poisonedContent(`"msgtype":"m.file","body":"p27","url":"mxc://a.b/c?d=e f"`), "[file: p27]", ""},
	{"a size that is absurd", poisonedContent(`"msgtype":"m.file","body":"p28","info":{"size":1e30,"mimetype":5}`), "[file: p28]", ""},
	{"a size that is negative", poisonedContent(`"msgtype":"m.video","body":"p29","info":{"size":-1,"duration":-1e300,"w":"x"}`), "[video: p29]", ""},
	{"a key that is none", poisonedContent(`"msgtype":"m.file","body":"p30","file":{"url":"mxc://a.b/c","key":null,"iv":[]}`), "[file: p30]", ""},
	{"a name that reverses and climbs", poisonedContent(`"msgtype":"m.file","body":"\u202e../..\\fdp.exe\u0000"`), "[file: _.._fdp.exe]", ""},
	{"a relation that is a string", poisonedContent(`"msgtype":"m.text","body":"p32","m.relates_to":"x"`), "p32", ""},
	{"a reply to a list", poisonedContent(`"msgtype":"m.text","body":"p33","m.relates_to":{"m.in_reply_to":[]}`), "p33", ""},
	{"an answer to itself", poisonedContent(`"msgtype":"m.text","body":"p34","m.relates_to":{"rel_type":"m.thread","event_id":"ID","m.in_reply_to":{"event_id":"ID"}}`), "p34", ""},
	{"mentions that are a list", poisonedContent(`"msgtype":"m.text","body":"p35","m.mentions":[]`), "p35", ""},
	{"link previews of the wrong type", poisonedContent(`"msgtype":"m.text","body":"p36","com.beeper.linkpreviews":5,"com.beeper.per_message_profile":[]`), "p36", ""},
	{"a place beyond the earth", poisonedContent(`"msgtype":"m.location","body":"p37","geo_uri":"geo:9999,181;u=1e9"`), "p37", ""},
	{"a formatted body that is a number", poisonedContent(`"msgtype":"m.text","body":"p38","format":"org.matrix.custom.html","formatted_body":5`), "p38", ""},
	{"a list that begins below all numbers", poisonedContent(`"msgtype":"m.text","body":"p39","format":"org.matrix.custom.html","formatted_body":"<ol start=\"-9223372036854775808\"><li>p39"`), `0\. p39`, ""},
	{"elements nested without end", poisonedContent(`"msgtype":"m.text","body":"p40","format":"org.matrix.custom.html","formatted_body":"` + strings.Repeat("<div><b>", 2000) + `p40"`), "p40", ""},
	{"quotes that would be megabytes", poisonedContent(`"msgtype":"m.text","body":"p41","format":"org.matrix.custom.html","formatted_body":"` + strings.Repeat("<blockquote>", 250) + strings.Repeat("p<br>", 6000) + `"`), strings.TrimSuffix(strings.Repeat("p  \n", 6000), "  \n"), ""},
	{"a picture in Markdown", poisonedContent(`"msgtype":"m.text","body":"![p42](http://evil.example/x.png)"`), `!\[p42]\(http://evil.example/x.png)`, ""},
	{"a reaction of the wrong type", poisonedEvent("m.reaction", `"m.relates_to":{"rel_type":5,"event_id":{},"key":[]}`), "", "parse event: relation without a readable target"},
	{"a redaction of nothing", poisonedEvent("m.room.redaction", `"redacts":{}`), "", "parse event: relation without a readable target"},
	{"a name that is a list, without being state", poisonedEvent("m.room.name", `"name":[]`), "", ""},
	{"a topic that is a number", strings.Replace(poisonedEvent("m.room.topic", `"topic":5`), `"type"`, `"state_key":"","type"`, 1), "", ""},
	{"an event that is a number", `5`, "", "not a JSON object"},
	{"an event that is null", `null`, "", "not a JSON object"},
	{"an event that is a list", `[{"event_id":"ID"}]`, "", "not a JSON object"},
	{"an empty event", `{}`, "", "no valid event id"},
}

func poisoned(body, more string) string {
	return `{"event_id":"ID","sender":"FROM","type":"m.room.message","origin_server_ts":NOW,"content":{"msgtype":"m.text","body":"` + body + `"},` + more + `}`
}

func poisonedContent(fields string) string { return poisonedEvent("m.room.message", fields) }

func poisonedEvent(kind, fields string) string {
	return `{"event_id":"ID","sender":"FROM","type":"` + kind + `","origin_server_ts":NOW,"content":{` + fields + `}}`
}

// TestPoisonHidesNoOtherEvent lets each hostile event stand between two good ones in a
// room, and the whole connector read it.
func TestPoisonHidesNoOtherEvent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs := homeserver(t)
	alice := hs.Account("alice", "x")
	room := hs.NewRoom(alice, matrixtest.RoomOptions{Name: "Square"})
	room.Join(hs.UserID("bot"))
	path, output := t.TempDir(), t.TempDir()
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var want []string
	reasons := map[string]int{}
	for i, p := range poison {
		event := id.EventID(fmt.Sprintf("$poison%d", i))
		room.Say(alice, fmt.Sprintf("before %d", i))
		room.Put(event, strings.NewReplacer("ID", string(event), "FROM", string(alice), "NOW", strconv.FormatInt(time.Now().UnixMilli(), 10)).Replace(p.event))
		room.Say(alice, fmt.Sprintf("after %d", i))
		want = append(want, fmt.Sprintf("before %d", i), fmt.Sprintf("after %d", i))
		if p.says != "" {
			want = append(want, p.says)
		}
		if p.unreadable != "" {
			reasons[p.unreadable]++
		}
	}
	log, err := export(ctx, t, hs, path, output, false)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, exported(t, output)); diff != "" {
		t.Errorf("what was said (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(reasons, unreadable(t, path)); diff != "" {
		t.Errorf("what is listed as unreadable (-want +got):\n%s", diff)
	}
}

// unreadable counts the events of a store that could not be read, by reason.
func unreadable(t *testing.T, path string) map[string]int {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Path: path, Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	l := ledger.New(ledger.Config{Store: st, Clock: time.Now, Self: "@bot:example.org"})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for m, err := range l.Missing(t.Context(), ledger.Choice{}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case m.What == "event" && m.State == "unreadable":
			counts[m.Reason]++
		case m.What != "attachment" && m.Reason != "own":
			t.Errorf("%s %s of %s: %s", m.State, m.What, m.Event, m.Reason)
		}
	}
	return counts
}
