package timeline_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const lunch = `{"m.text":"fallback","m.poll":{"kind":"m.disclosed","max_selections":%d,"question":{"m.text":[{"body":"Lunch?"}]},` +
	`"answers":[{"m.id":"p","m.text":[{"body":"Pizza"}]},{"m.id":"s","m.text":[{"body":"Salad"}]}]}}`

// about is an event about Alice's poll, so many seconds after it.
func about(kind string, sender id.UserID, second int, extra string) timeline.Event {
	e := typed(kind, `{"m.relates_to":{"rel_type":"m.reference","event_id":"$self"}`+extra+`}`)
	e.ID, e.Sender = id.EventID(fmt.Sprintf("$%s-%d", strings.ReplaceAll(kind, ".", ""), second)), sender
	e.Sent = e.Sent.Add(time.Duration(second) * time.Second)
	return e
}

func vote(sender id.UserID, second int, answers ...string) timeline.Event {
	list, _ := json.Marshal(answers)
	return about("m.poll.response", sender, second, `,"m.selections":`+string(list))
}

func pollOf(t *testing.T, events ...timeline.Event) *timeline.Poll {
	t.Helper()
	post, ok := timeline.Compose(events)
	if !ok || post.Poll == nil {
		t.Fatalf("no poll: %+v", post)
	}
	return post.Poll
}

const (
	bob   = id.UserID("@bob:example.org")
	carol = id.UserID("@carol:example.org")
	mal   = id.UserID("@mallory:evil.example")
)

func TestAPollIsItsQuestionAndItsAnswers(t *testing.T) {
	old := `{"org.matrix.msc1767.text":"fallback","org.matrix.msc3381.poll.start":{"kind":"org.matrix.msc3381.poll.disclosed","max_selections":1,` +
		`"question":{"org.matrix.msc1767.text":"Lunch?","body":"Lunch?","msgtype":"m.text"},"answers":[{"id":"p","org.matrix.msc1767.text":"Pizza"},{"id":"s","org.matrix.msc1767.text":"Salad"}]}}`
	for _, start := range []timeline.Event{typed("m.poll.start", fmt.Sprintf(lunch, 1)), typed("org.matrix.msc3381.poll.start", old)} {
		post, ok := timeline.Compose([]timeline.Event{start})
		if !ok || post.Kind != timeline.KindPoll || post.Text != "Lunch?\n(1) Pizza\n(2) Salad" || post.MsgType != start.Type {
			t.Errorf("%s says %t, %+v", start.Type, ok, post)
		}
		want := &timeline.Poll{Question: "Lunch?", Max: 1, Disclosed: true, Answers: []timeline.Answer{{ID: "p", Text: "Pizza"}, {ID: "s", Text: "Salad"}}}
		if diff := cmp.Diff(want, post.Poll); diff != "" {
			t.Errorf("%s (-want +got):\n%s", start.Type, diff)
		}
	}
}

func TestAPollHasAtMostTwentyAnswersThatDiffer(t *testing.T) {
	var answers []string
	for i := range 30 {
		answers = append(answers, fmt.Sprintf(`{"m.id":"%d","m.text":"answer"}`, i/2))
	}
	poll := pollOf(t, typed("m.poll.start", `{"m.poll":{"max_selections":1e9,"question":{"m.text":"q"},"answers":[5,{"m.text":"no id"},`+strings.Join(answers, ",")+`]}}`))
	if len(poll.Answers) != 9 || poll.Max != timeline.MaxAnswers || poll.Disclosed {
		t.Errorf("%d answers, %d of them at once, disclosed: %t", len(poll.Answers), poll.Max, poll.Disclosed)
	}
}

func TestAPollThatCannotBeReadIsItsFallback(t *testing.T) {
	post, ok := timeline.Compose([]timeline.Event{typed("m.poll.start", `{"m.text":[{"mimetype":"text/html","body":"<b>"},{"body":"Lunch?"}],"m.poll":5}`)})
	if !ok || post.Text != "Lunch?" || post.Poll != nil {
		t.Errorf("%t, %+v", ok, post)
	}
}

func TestVotesAreCountedHere(t *testing.T) {
	start, multiple := typed("m.poll.start", fmt.Sprintf(lunch, 1)), typed("m.poll.start", fmt.Sprintf(lunch, 2))
	secret := start
	secret.Trust = timeline.TrustSigned
	trusted := func(e timeline.Event, trust timeline.Trust) timeline.Event {
		e.Trust = trust
		return e
	}
	entitled := func(e timeline.Event, right timeline.Right) timeline.Event {
		e.Redacts = right
		return e
	}
	takenBack := typed("m.room.redaction", `{"redacts":"$mpollresponse-2"}`)
	takenBack.ID, takenBack.Sender = "$back", bob
	end := func(sender id.UserID, second int) timeline.Event {
		return about("m.poll.end", sender, second, `,"m.poll.results":{"s":1000}`)
	}
	const alice = id.UserID("@alice:example.org")

	for _, test := range []struct {
		name   string
		events []timeline.Event
		want   string
	}{
		{"one vote a person, whose last one counts", []timeline.Event{start, vote(bob, 1, "p"), vote(bob, 2, "s"), vote(carol, 1, "p")}, "p=carol s=bob"},
		{"the last one by its time, not by its arrival", []timeline.Event{start, vote(bob, 2, "s"), vote(bob, 1, "p")}, "p= s=bob"},
		{"a vote before the question counts", []timeline.Event{start, vote(bob, -5, "p")}, "p=bob s="},
		{"no more answers than allowed", []timeline.Event{start, vote(bob, 1, "s", "p", "unknown")}, "p= s=bob"},
		{"several answers where they are allowed", []timeline.Event{multiple, vote(bob, 1, "s", "p")}, "p=bob s=bob"},
		{"an answer named twice counts once", []timeline.Event{multiple, vote(bob, 1, "s", "s")}, "p= s=bob"},
		{"an unknown answer spoils the vote", []timeline.Event{multiple, vote(bob, 1, "s", "x")}, "p= s= spoilt 1"},
		{"a spoilt vote replaces a good one", []timeline.Event{start, vote(bob, 1, "s"), vote(bob, 2, "x")}, "p= s= spoilt 1"},
		{"a vote for nothing takes the former one away", []timeline.Event{start, vote(bob, 1, "s"), vote(bob, 2)}, "p= s= spoilt 1"},
		{"a vote of the wrong type is spoilt", []timeline.Event{start, about("m.poll.response", bob, 1, `,"m.selections":[5]`)}, "p= s= spoilt 1"},
		{"a vote that was taken back leaves the former one", []timeline.Event{start, vote(bob, 1, "p"), vote(bob, 2, "s"), takenBack}, "p=bob s="},
		{"votes after the end do not count", []timeline.Event{start, vote(bob, 1, "p"), end(alice, 5), vote(bob, 6, "s"), vote(carol, 5, "s")}, "p=bob s=carol closed by alice at 5"},
		{"the first end counts", []timeline.Event{start, end(alice, 7), vote(bob, 6, "p"), end(alice, 5)}, "p= s= closed by alice at 5"},
		{"nobody else ends a poll", []timeline.Event{start, end(mal, 1), entitled(end(bob, 1), timeline.RightNo), vote(bob, 6, "p")}, "p=bob s="},
		{"who may redact may end it", []timeline.Event{start, entitled(end(carol, 1), timeline.RightYes), vote(bob, 6, "p")}, "p= s= closed by carol at 1"},
		{"a vote whose key is another's does not count", []timeline.Event{secret, trusted(vote(bob, 1, "p"), timeline.TrustMismatch)}, "p= s= doubtful 1"},
		{"a plain vote on an encrypted poll does not count", []timeline.Event{secret, trusted(vote(bob, 1, "p"), timeline.TrustPlaintext), trusted(end(alice, 1), timeline.TrustPlaintext)}, "p= s= doubtful 1"},
		{"a plain vote on a plain poll counts", []timeline.Event{trusted(start, timeline.TrustPlaintext), trusted(vote(bob, 1, "p"), timeline.TrustPlaintext)}, "p=bob s="},
	} {
		t.Run(test.name, func(t *testing.T) {
			poll := pollOf(t, test.events...)
			var got []string
			voters := map[id.UserID]bool{}
			for _, a := range poll.Answers {
				var names []string
				for _, user := range a.By {
					names = append(names, user.Localpart())
					voters[user] = true
				}
				got = append(got, a.ID+"="+strings.Join(names, "+"))
			}
			if poll.Spoiled > 0 {
				got = append(got, fmt.Sprintf("spoilt %d", poll.Spoiled))
			}
			if poll.Doubtful > 0 {
				got = append(got, fmt.Sprintf("doubtful %d", poll.Doubtful))
			}
			if !poll.Ended.IsZero() {
				got = append(got, fmt.Sprintf("closed by %s at %d", poll.EndedBy.Localpart(), poll.Ended.Unix()-start.Sent.Unix()))
			}
			if line := strings.Join(got, " "); line != test.want {
				t.Errorf("%s, want %s", line, test.want)
			}
			if poll.Voters != len(voters) {
				t.Errorf("%d voters, want %d", poll.Voters, len(voters))
			}
		})
	}
}

func TestVotesOnAnEditedPollAreForItsNewAnswers(t *testing.T) {
	edit := typed("m.poll.start", `{"m.text":"* Dinner?","m.relates_to":{"rel_type":"m.replace","event_id":"$self"},"m.new_content":`+
		`{"m.poll":{"question":{"m.text":"Dinner?"},"answers":[{"m.id":"s","m.text":"Salad"},{"m.id":"p","m.text":"Pasta"}]}}}`)
	edit.ID, edit.Sent = "$edit", edit.Sent.Add(5*time.Second)
	post, ok := timeline.Compose([]timeline.Event{
		vote(bob, 6, "p"), edit, typed("m.poll.start", fmt.Sprintf(lunch, 1)), vote(carol, 7, "gone"), vote(mal, 1, "p"), vote("@dave:example.org", 1, "s"),
	})
	want := &timeline.Poll{
		Question: "Dinner?", Max: 1, Voters: 2, Spoiled: 1, Outdated: 1,
		Answers: []timeline.Answer{{ID: "s", Text: "Salad", By: []id.UserID{"@dave:example.org"}}, {ID: "p", Text: "Pasta", By: []id.UserID{bob}}},
	}
	if diff := cmp.Diff(want, post.Poll); !ok || diff != "" || post.Text != "Dinner?\n(1) Salad\n(2) Pasta" {
		t.Errorf("%t, %q (-want +got):\n%s", ok, post.Text, diff)
	}
}

func TestAReactionCountsOnceForAPersonAndASign(t *testing.T) {
	react := func(n int, sender id.UserID, key string) timeline.Event {
		e := typed("m.reaction", fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$self","key":%q}}`, key))
		e.ID, e.Sender = id.EventID(fmt.Sprintf("$r%d", n)), sender
		return e
	}
	redact := func(n int, sender id.UserID, right timeline.Right) timeline.Event {
		e := typed("m.room.redaction", fmt.Sprintf(`{"redacts":"$r%d"}`, n))
		e.ID, e.Sender, e.Redacts = id.EventID(fmt.Sprintf("$x%d%s", n, sender)), sender, right
		return e
	}
	foreign := react(9, carol, "?")
	foreign.Content = json.RawMessage(`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$another","key":"?"}}`)
	events := []timeline.Event{
		message(`{"msgtype":"m.text","body":"x"}`), foreign,
		react(1, bob, "+"), react(2, bob, "+"), react(3, carol, "+"), react(4, bob, "-"), react(5, bob, "gone"), redact(5, bob, timeline.RightUnknown),
		react(6, bob, "kept"), redact(6, mal, timeline.RightNo), react(7, bob, "moderated"), redact(7, mal, timeline.RightYes), react(8, bob, ""),
	}
	want := []timeline.Reaction{{Key: "+", Senders: []id.UserID{bob, carol}}, {Key: "-", Senders: []id.UserID{bob}}, {Key: "kept", Senders: []id.UserID{bob}}}
	for range 2 {
		post, ok := timeline.Compose(events)
		if !ok {
			t.Fatal("nothing to say")
		}
		if diff := cmp.Diff(want, post.Reactions); diff != "" {
			t.Errorf("reactions (-want +got):\n%s", diff)
		}
		slices.Reverse(events)
	}
	// One of the two equal reactions of Bob's is taken back: he still likes it.
	post, _ := timeline.Compose(append(events, redact(1, bob, timeline.RightNo)))
	if diff := cmp.Diff(want, post.Reactions); diff != "" {
		t.Errorf("reactions (-want +got):\n%s", diff)
	}
}
