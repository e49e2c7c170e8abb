package timeline

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// Poll is a question with answers to choose from (MSC3381), with the votes as they were
// counted here. What the event that ends a poll says about its result is a claim, and
// counts for nothing.
type Poll struct {
	Question string
	Answers  []Answer
	// Max is how many answers one person may choose, at least 1.
	Max int
	// Disclosed polls show their votes while they are open.
	Disclosed bool

	// Voters is how many people's votes count, Spoiled how many have chosen nothing that
	// can be chosen, Doubtful how many votes are not counted since it is in doubt who
	// sent them, Outdated how many were for an answer that an edit has changed since.
	Voters, Spoiled, Doubtful, Outdated int
	// Ended and EndedBy say when and by whom the poll was closed; zero while it is open.
	Ended   time.Time
	EndedBy id.UserID
}

// Answer is one answer of a poll and who chose it.
type Answer struct {
	ID   string // opaque
	Text string
	By   []id.UserID // sorted
}

// Limits of a poll.
const (
	MaxAnswers     = 20 // MSC3381
	maxAnswerBytes = 1 << 10
)

// errNoQuestion is what a poll is that asks nothing. It holds no text of the event.
var errNoQuestion = errors.New("poll without a readable question")

// pollKinds are the words for a poll that shows its votes; any other, and none, means
// one that does not.
var pollKinds = map[string]bool{"m.disclosed": true, "m.poll.disclosed": true, "org.matrix.msc3381.poll.disclosed": true}

// readPoll reads the start of a poll, in the stable form and in the one that clients
// send.
func readPoll(item *Item, e Event, content fields) error {
	item.Kind, item.MsgType = KindPoll, e.Type
	poll := &Poll{Max: 1}
	said := content.object("m.poll")
	for _, key := range []string{typePollStart, typePollStartOld} {
		if len(said) == 0 {
			said = content.object(key)
		}
	}
	poll.Question = clip(strings.TrimSpace(readText(said.object("question"))), MaxTextBytes/2)
	if kind, _ := said.text("kind"); pollKinds[kind] {
		poll.Disclosed = true
	}
	for _, raw := range said.list("answers", MaxAnswers) {
		answer, err := readFields(raw)
		if err != nil {
			continue
		}
		name, ok := answer.text("m.id")
		if !ok {
			name, ok = answer.text("id")
		}
		if !ok || slices.ContainsFunc(poll.Answers, func(a Answer) bool { return a.ID == name }) {
			continue // nobody could vote for it
		}
		poll.Answers = append(poll.Answers, Answer{ID: name, Text: clip(strings.TrimSpace(readText(answer)), maxAnswerBytes)})
	}
	poll.Max = int(min(max(said.number("max_selections"), 1), MaxAnswers))
	if poll.Question == "" && len(poll.Answers) == 0 {
		if item.Text = clip(readText(content), MaxTextBytes); item.Text == "" {
			return errNoQuestion
		}
		return nil
	}
	lines := make([]string, 0, 1+len(poll.Answers))
	lines = append(lines, poll.Question)
	for i, a := range poll.Answers {
		lines = append(lines, "("+strconv.Itoa(i+1)+") "+a.Text)
	}
	item.Text = clip(strings.Join(lines, "\n"), MaxTextBytes)
	item.Poll = poll
	return nil
}

// readVote reads the answers that a vote names, at most as many as a poll can have. An
// empty list is a vote for none.
func readVote(content fields) []string {
	list := content.list("m.selections", MaxAnswers)
	if list == nil {
		for _, key := range []string{typePollAnswerOld, typePollResponse} {
			if response := content.object(key); list == nil {
				list = response.list("answers", MaxAnswers)
			}
		}
	}
	chosen := make([]string, len(list))
	for i, raw := range list {
		if json.Unmarshal(raw, &chosen[i]) != nil {
			return nil // spoilt, as a whole
		}
	}
	return chosen
}

// empty is the poll without votes and open, as it was started.
func (p *Poll) empty() *Poll {
	out := *p
	out.Answers = slices.Clone(p.Answers)
	for i := range out.Answers {
		out.Answers[i].By = nil
	}
	out.Voters, out.Spoiled, out.Doubtful, out.Outdated, out.Ended, out.EndedBy = 0, 0, 0, 0, time.Time{}, ""
	return &out
}

// count counts the votes: the last one of each person that was sent until the poll
// ended. Times are the senders' claims, as MSC3381 has it. edited is when the poll was
// edited last, zero for never: who had voted before, for an answer that says something
// else now, has not voted for that.
func (p *Poll) count(start Event, edited time.Time, events []Event, taken map[id.EventID]bool) *Poll {
	out := p.empty()
	if end := endOf(start, events, taken); end != nil {
		out.Ended, out.EndedBy = end.Sent, end.Sender
	}
	last := map[id.UserID]*Event{}
	doubtful := map[id.EventID]bool{}
	for i := range events {
		e := &events[i]
		if !belongs(*e, start.ID, ClassVote, typePollResponse, typePollAnswerOld) || taken[e.ID] {
			continue
		}
		if doubted(*e, start) {
			doubtful[e.ID] = true
			continue
		}
		if !out.Ended.IsZero() && e.Sent.After(out.Ended) {
			continue
		}
		if old := last[e.Sender]; old == nil || compareSent(e, old) > 0 {
			last[e.Sender] = e
		}
	}
	out.Doubtful = len(doubtful)
	var former *Poll // for votes that were sent before the edit
	if item, err := Parse(start); err == nil && !edited.IsZero() {
		former = item.Poll
	}
	for voter, e := range last {
		item, _ := Parse(*e)
		if former != nil && e.Sent.Before(edited) && out.changed(former, item.Vote) {
			out.Outdated++
			continue
		}
		if !out.choose(voter, item.Vote) {
			out.Spoiled++
			continue
		}
		out.Voters++
	}
	for i := range out.Answers {
		slices.Sort(out.Answers[i].By)
	}
	return out
}

// changed reports whether one of the chosen answers said something else in a former
// version.
func (p *Poll) changed(former *Poll, vote []string) bool {
	for _, name := range vote[:min(len(vote), former.Max)] {
		now := slices.IndexFunc(p.Answers, func(a Answer) bool { return a.ID == name })
		then := slices.IndexFunc(former.Answers, func(a Answer) bool { return a.ID == name })
		if now >= 0 && then >= 0 && p.Answers[now].Text != former.Answers[then].Text {
			return true
		}
	}
	return false
}

// choose gives a voter's choice to the answers. One answer that does not exist spoils
// the vote; what is too much of it is cut off before.
func (p *Poll) choose(voter id.UserID, vote []string) bool {
	vote = vote[:min(len(vote), p.Max)]
	chosen := map[int]bool{}
	for _, name := range vote {
		i := slices.IndexFunc(p.Answers, func(a Answer) bool { return a.ID == name })
		if i < 0 {
			return false
		}
		chosen[i] = true
	}
	for i := range chosen {
		p.Answers[i].By = append(p.Answers[i].By, voter)
	}
	return len(chosen) > 0
}

// endOf is the event that closed a poll: the first, by the time that it claims, of those
// whose sender started the poll or can redact what others say.
func endOf(start Event, events []Event, taken map[id.EventID]bool) *Event {
	var end *Event
	for i := range events {
		e := &events[i]
		if !belongs(*e, start.ID, ClassPollEnd, typePollEnd, typePollEndOld) || taken[e.ID] || doubted(*e, start) {
			continue
		}
		if e.Sender != start.Sender && e.Redacts != RightYes {
			continue
		}
		if end == nil || compareSent(e, end) < 0 {
			end = e
		}
	}
	return end
}

// belongs reports whether an event is of a class and about a target. Most are of
// another type, and need not be read for it.
func belongs(e Event, target id.EventID, class Class, types ...string) bool {
	if !slices.Contains(types, e.Type) {
		return false
	}
	item, err := Parse(e)
	return err == nil && item.Class == class && item.Target == target
}

// doubted reports whether a vote or an end may be somebody else's: its key belongs to
// another user, or it is not encrypted while the poll is.
func doubted(e, start Event) bool {
	return e.Trust == TrustMismatch || e.Trust == TrustPlaintext && start.Trust > TrustNone
}

// compareSent orders events by the time that they claim; the rest only makes the order
// total.
func compareSent(a, b *Event) int {
	return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(a.ID, b.ID), bytes.Compare(a.Content, b.Content), cmp.Compare(a.Sender, b.Sender))
}
