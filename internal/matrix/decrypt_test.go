package matrix_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestMalformedEventsAreRowsOfTheirOwn(t *testing.T) {
	const good = `{"type":"m.room.message","event_id":"$good%d","sender":"@alice:test.example","origin_server_ts":1700000000000,"content":{"msgtype":"m.text","body":"good %d"}}`
	with := func(field, value string) string {
		fields := map[string]string{
			"type": `"m.room.message"`, "event_id": `"$odd"`, "sender": `"@alice:test.example"`,
			"origin_server_ts": `1700000000000`, "content": `{"msgtype":"m.text","body":"odd"}`,
		}
		if value == "" {
			delete(fields, field)
		} else {
			fields[field] = value
		}
		var parts []string
		for k, v := range fields {
			parts = append(parts, fmt.Sprintf("%q:%s", k, v))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	tests := []struct {
		name   string
		raw    string
		reason string // empty: read all the same
		sent   string
		id     id.EventID
	}{
		{name: "a fraction as time", raw: with("origin_server_ts", "1700000000000.5"), sent: "2023-11-14T22:13:20Z"},
		{name: "an exponent as time", raw: with("origin_server_ts", "1e12"), sent: "2001-09-09T01:46:40Z"},
		{name: "a time beyond int64", raw: with("origin_server_ts", "9223372036854775808"), sent: "9999-12-31T23:59:59Z"},
		{name: "a time beyond float64", raw: with("origin_server_ts", "1e999"), sent: "9999-12-31T23:59:59Z"},
		{name: "a negative time", raw: with("origin_server_ts", "-9223372036854775808"), sent: "1970-01-01T00:00:00Z"},
		{name: "a text as time", raw: with("origin_server_ts", `"now"`)},
		{name: "no time", raw: with("origin_server_ts", "")},
		{name: "redacts is a number", raw: with("redacts", "5")},
		{name: "replaces_state is an object", raw: with("replaces_state", "{}")},
		{name: "to_user_id is a list", raw: with("to_user_id", "[]")},
		{name: "msc4354_sticky is a text", raw: with("msc4354_sticky", `"x"`)},
		{name: "prev_content is a number", raw: with("prev_content", "7")},
		{name: "unsigned.age is a fraction", raw: with("unsigned", `{"age":1.5}`)},
		{name: "unsigned.m.relations is a text", raw: with("unsigned", `{"m.relations":"x"}`)},
		{name: "unsigned is a list", raw: with("unsigned", `[]`)},
		{name: "msgtype is a number", raw: with("content", `{"msgtype":5,"body":"odd"}`)},
		{name: "m.relates_to is a text", raw: with("content", `{"msgtype":"m.text","body":"odd","m.relates_to":"x"}`)},
		{name: "content is a list", raw: with("content", `[]`), reason: "content is not a readable object"},
		{name: "content is a text", raw: with("content", `"x"`), reason: "content is not a readable object"},
		{name: "no content", raw: with("content", ``), reason: "content is not a readable object"},
		{name: "type is a number", raw: with("type", "5"), reason: "no valid type"},
		{name: "no type", raw: with("type", ""), reason: "no valid type"},
		{name: "sender is an object", raw: with("sender", "{}"), reason: "no valid sender"},
		{name: "sender is no user id", raw: with("sender", `"alice"`), reason: "no valid sender"},
		{name: "state_key is a number", raw: with("state_key", "5"), reason: "state key is not a string"},
		{name: "no event id", raw: with("event_id", ""), reason: "no valid event id", id: "$unreadable-"},
		{name: "event id is a number", raw: with("event_id", "5"), reason: "no valid event id", id: "$unreadable-"},
		{name: "event id is endless", raw: with("event_id", `"$`+strings.Repeat("x", 300)+`"`), reason: "no valid event id", id: "$unreadable-"},
		{name: "an event is a number", raw: "5", reason: "not a JSON object", id: "$unreadable-"},
		{name: "an event is null", raw: "null", reason: "not a JSON object", id: "$unreadable-"},
		{name: "an event is a list", raw: "[1]", reason: "not a JSON object", id: "$unreadable-"},
	}
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	var answers []matrixtest.Answer
	for i, test := range tests {
		answers = append(answers, matrixtest.Answer{Body: fmt.Sprintf(`{"next_batch":"s%d","rooms":{"join":{"!r:test.example":{"timeline":{"events":[`, i) +
			fmt.Sprintf(good, 1, 1) + "," + test.raw + "," + fmt.Sprintf(good, 2, 2) + `]}}}}}`})
	}
	s.server.Script(s.bot, "", answers...)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := a.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			batches := s.diary.batches(t)
			if len(batches) != i+1 {
				t.Fatalf("%d batches, want %d", len(batches), i+1)
			}
			b := batches[i]
			find := func(e id.EventID) (timeline.Event, bool) {
				at := slices.IndexFunc(b.Events, func(have timeline.Event) bool { return have.ID == e })
				if at < 0 {
					return timeline.Event{}, false
				}
				return b.Events[at], true
			}
			for _, e := range []id.EventID{"$good1", "$good2"} {
				if _, ok := find(e); !ok {
					t.Errorf("event %s was not read", e)
				}
			}
			odd, read := find("$odd")
			if test.reason == "" {
				if !read || len(b.Unreadable) != 0 {
					t.Fatalf("read %v, unreadable %+v", read, b.Unreadable)
				}
				if string(odd.Raw) != compact(t, test.raw) {
					t.Errorf("raw = %s, want %s", odd.Raw, test.raw)
				}
				if got := odd.Sent.Format("2006-01-02T15:04:05Z"); test.sent != "" && got != test.sent {
					t.Errorf("sent %s, want %s", got, test.sent)
				}
				return
			}
			if read || len(b.Unreadable) != 1 {
				t.Fatalf("read %v, unreadable %+v", read, b.Unreadable)
			}
			u := b.Unreadable[0]
			want := test.id
			if want == "" {
				want = "$odd"
			}
			if u.Reason != test.reason || !strings.HasPrefix(u.ID.String(), want.String()) || u.Room != "!r:test.example" {
				t.Errorf("unreadable = %s %q in %s", u.ID, u.Reason, u.Room)
			}
		})
	}
}

// encoding/json reads no document beyond 10,000 levels: an event just below that
// lies above it in the response, and would end all reading.
func TestDeepNestingEndsOneEventOnly(t *testing.T) {
	for _, levels := range []int{1_000, 9_990, 9_999, 30_000} {
		t.Run(strconv.Itoa(levels), func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			event := func(name, content string) string {
				return `{"type":"m.room.message","event_id":"` + name + `","sender":"@alice:x","origin_server_ts":1,"content":` + content + `}`
			}
			deep := `{"x":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`
			s.server.Script(s.bot, "", matrixtest.Answer{Body: `{"next_batch":"s1","rooms":{"join":{"!r:x":{"timeline":{"events":[` +
				event("$1", `{"msgtype":"m.text","body":"one"}`) + "," + event("$deep", deep) + "," + event("$2", `{"msgtype":"m.text","body":"two"}`) + `]}}}}}`})
			if _, err := a.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"one", "two"}, slices.DeleteFunc(s.said(), func(text string) bool { return text == "" })); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			b := s.diary.batches(t)[0]
			if len(b.Unreadable) != 1 || b.Unreadable[0].ID != "$deep" || b.Unreadable[0].Reason != "nested too deeply" {
				t.Errorf("unreadable = %+v", b.Unreadable)
			}
		})
	}
}

// compact is how the diary's JSON shows a raw event.
func compact(t *testing.T, raw string) string {
	t.Helper()
	var v json.RawMessage
	unmarshal(t, []byte(raw), &v)
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestOneBrokenRoomHidesNoOther(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	s.server.Script(s.bot, "", matrixtest.Answer{Body: `{"next_batch":"s1","presence":5,"device_lists":"x","device_one_time_keys_count":[],
		"account_data":{"events":[{"type":"m.ignored_user_list","content":{"ignored_users":{"@x:y":{}}}}]},
		"to_device":{"events":[5,"x",{"type":5},{"type":"m.room.encrypted","sender":"@a:b","content":"x"},{"type":"m.room_key_request","sender":"@a:b","content":{}}]},
		"rooms":{"join":{"!a:test.example":[],"!b:test.example":{"timeline":{"events":"none"},"summary":7},
		"!c:test.example":{"timeline":{"events":[{"type":"m.room.message","event_id":"$c","sender":"@a:b","origin_server_ts":1,"content":{}}],"limited":"no"}}},
		"invite":5,"leave":null}}`})
	if _, err := a.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.event("$c"); !ok {
		t.Error("the readable event was not read")
	}
	b := s.diary.batches(t)[0]
	var broken []id.RoomID
	for _, u := range b.Unreadable {
		broken = append(broken, u.Room)
	}
	if diff := cmp.Diff([]id.RoomID{"!a:test.example", "!b:test.example", "!c:test.example"}, broken); diff != "" {
		t.Errorf("unreadable rooms (-want +got):\n%s", diff)
	}
	if !strings.Contains(s.log.String(), "ignores users") {
		t.Error("the ignore list is not in the log")
	}
}

func TestAnAnswerThatIsNoSyncIsTemporary(t *testing.T) {
	for _, text := range []string{`<html>maintenance</html>`, ``, `{}`, `[]`, `{"next_batch":5}`, `{"next_batch":"s1"`} {
		s := newScene(t, matrixtest.Options{})
		a := s.open()
		s.server.Inject(matrixtest.Fault{On: matrixtest.Sync, Status: 200, Body: text, Times: 1})
		_, err := a.Poll(t.Context())
		if err == nil || matrix.Classify(err).Class != matrix.ClassTemporary {
			t.Errorf("%q: error %v", text, err)
		}
		if n := len(s.diary.batches(t)); n != 0 {
			t.Errorf("%q: %d batches recorded", text, n)
		}
	}
}

func TestTheRelationOutsideTheCiphertextCounts(t *testing.T) {
	d := newDen(t)
	original := d.say(d.alice, d.room, "original")
	send := func(relation string) id.EventID {
		t.Helper()
		cipher, err := d.alice.Encrypt(t.Context(), d.room, event.EventMessage, map[string]any{
			"msgtype": "m.text", "body": "reply", "m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": "$inside"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		content := map[string]any{}
		text, err := json.Marshal(cipher)
		if err != nil {
			t.Fatal(err)
		}
		unmarshal(t, text, &content)
		delete(content, "m.relates_to")
		if relation != "" {
			content["m.relates_to"] = json.RawMessage(relation)
		}
		return d.server.Room(d.room).Send(d.alice.User, "m.room.encrypted", content)
	}
	e := send(`{"m.in_reply_to":{"event_id":"` + original.String() + `"}}`)
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || got.Reply != original || body(got) != "reply" {
		t.Errorf("event %+v, found %v, want a reply to %s", got, ok, original)
	}
	if got, _ := d.event(e); strings.Contains(string(got.Content), "$inside") {
		t.Errorf("content %s still holds the relation inside", got.Content)
	}
	e = send("")
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || got.Reply != "" || got.Target != e {
		t.Errorf("event %+v, found %v, want a message that answers nothing", got, ok)
	}
}

func TestAnOddRelationDoesNotHideAMessage(t *testing.T) {
	d := newDen(t)
	cipher, err := d.alice.Encrypt(t.Context(), d.room, event.EventMessage, map[string]any{"msgtype": "m.text", "body": "readable"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(cipher)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]any{}
	unmarshal(t, text, &content)
	content["m.relates_to"], content["m.mentions"], content["device_id"] = "x", 5, []int{1}
	e := d.server.Room(d.room).Send(d.alice.User, "m.room.encrypted", content)
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || body(got) != "readable" {
		u, _ := d.undecrypted(e)
		t.Errorf("event %+v, found %v, undecrypted %s", got, ok, u.Reason)
	}
}

func TestASenderWhoDoesNotOwnTheSessionIsAMismatch(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "mine")
	cipher, err := d.alice.Encrypt(t.Context(), d.room, event.EventMessage, map[string]any{"msgtype": "m.text", "body": "relabelled"})
	if err != nil {
		t.Fatal(err)
	}
	e := d.server.Room(d.room).Send(d.mallory.User, "m.room.encrypted", cipher)
	d.catchUp(d.account)
	if got, ok := d.event(e); !ok || got.Trust != timeline.TrustMismatch || got.Sender != d.mallory.User {
		t.Errorf("event %+v, found %v, want trust %d", got, ok, timeline.TrustMismatch)
	}
}

func TestTrustOfUnencryptedEvents(t *testing.T) {
	d := newDen(t)
	room := d.server.Room(d.room)
	message := room.Send(d.alice.User, "m.room.message", matrixtest.Content{"msgtype": "m.text", "body": "open"})
	reaction := room.Send(d.alice.User, "m.reaction", matrixtest.Content{
		"m.relates_to": matrixtest.Content{"rel_type": "m.annotation", "event_id": message, "key": "+"},
	})
	topic := room.SetState(d.alice.User, "m.room.topic", "", matrixtest.Content{"topic": "new"})
	d.catchUp(d.account)
	for _, test := range []struct {
		name string
		id   id.EventID
		want timeline.Trust
	}{
		{"a message in an encrypted room", message, timeline.TrustPlaintext},
		{"a reaction, which is never encrypted", reaction, timeline.TrustNone},
		{"a state event", topic, timeline.TrustNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := d.event(test.id); !ok || got.Trust != test.want {
				t.Errorf("trust %d, found %v, want %d", got.Trust, ok, test.want)
			}
		})
	}
	if got, _ := d.event(reaction); got.Target != message {
		t.Errorf("target of the reaction is %q, want %s", got.Target, message)
	}
}

func TestAReplayedCiphertextIsNoSecondMessage(t *testing.T) {
	d := newDen(t)
	cipher, err := d.alice.Encrypt(t.Context(), d.room, event.EventMessage, map[string]any{"msgtype": "m.text", "body": "once"})
	if err != nil {
		t.Fatal(err)
	}
	room := d.server.Room(d.room)
	first := room.Send(d.alice.User, "m.room.encrypted", cipher)
	second := room.Send(d.alice.User, "m.room.encrypted", cipher)
	elsewhere := d.server.NewRoom(d.alice.User, matrixtest.RoomOptions{Encrypted: true})
	elsewhere.Join(d.bot)
	third := elsewhere.Send(d.alice.User, "m.room.encrypted", cipher)
	d.catchUp(d.account)
	if got, ok := d.event(first); !ok || body(got) != "once" {
		t.Errorf("event %+v, found %v", got, ok)
	}
	if u, ok := d.undecrypted(second); !ok || u.Reason != timeline.ReasonReplay {
		t.Errorf("replay: %s, %v", u.Reason, ok)
	}
	if u, ok := d.undecrypted(third); !ok || u.Reason != timeline.ReasonNoSession {
		t.Errorf("in another room: %s, %v", u.Reason, ok)
	}
}

func TestWhyAnEventIsUndecrypted(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "a key")
	out, _ := d.session()
	session := out.ID().String()
	for _, test := range []struct {
		name    string
		content string
		want    timeline.UndecryptedReason
	}{
		{"an algorithm that nobody knows", `{"algorithm":"m.new","session_id":"x","ciphertext":"y"}`, timeline.ReasonAlgorithm},
		{"no session id", `{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"` + strings.Repeat("A", 200) + `"}`, timeline.ReasonMalformed},
		{"a short ciphertext", `{"algorithm":"m.megolm.v1.aes-sha2","session_id":"` + session + `","ciphertext":"AA"}`, timeline.ReasonMalformed},
		{"a ciphertext that is an object", `{"algorithm":"m.megolm.v1.aes-sha2","session_id":"` + session + `","ciphertext":{}}`, timeline.ReasonMalformed},
		{"a ciphertext of noise", `{"algorithm":"m.megolm.v1.aes-sha2","session_id":"` + session + `","ciphertext":"` + strings.Repeat("A", 200) + `"}`, timeline.ReasonMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := d.server.Room(d.room).Send(d.alice.User, "m.room.encrypted", json.RawMessage(test.content))
			d.catchUp(d.account)
			if u, ok := d.undecrypted(e); !ok || u.Reason != test.want {
				t.Errorf("reason %q, found %v, want %q", u.Reason, ok, test.want)
			}
		})
	}
	redacted := d.server.Room(d.room).Send(d.alice.User, "m.room.encrypted", json.RawMessage(`{}`))
	d.catchUp(d.account)
	if _, ok := d.event(redacted); !ok {
		t.Error("a redacted encrypted event is not an event")
	}
}
