package audit

import (
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
)

// Evidence is what the three parts say.
type Evidence struct {
	Shown []Event
	Book  Book
	// Landed is how many objects the platform holds for an event; nil where nothing is
	// delivered to a platform.
	Landed map[id.EventID]int
}

// place is an event of a room: an id alone is unique by convention only.
type place struct {
	room  id.RoomID
	event id.EventID
}

// Problems are the broken promises, in a stable order.
func (e Evidence) Problems() []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	rows := map[place]Row{}
	for _, r := range e.Book.Rows {
		at := place{r.Room, r.Event}
		if _, twice := rows[at]; twice {
			say("%s stands in the ledger twice", r.Event)
		}
		rows[at] = r
		if r.State != "read" && r.Reason == "" {
			say("%s (%s) is %s in the ledger without a reason", r.Event, r.Type, r.State)
		}
	}
	redacted := map[place]bool{}
	for _, s := range e.Shown {
		redacted[place{s.Room, s.ID}] = s.Redacted
	}
	posts := map[place]Post{}
	for _, p := range e.Book.Posts {
		at := place{p.Room, p.Event}
		if _, twice := posts[at]; twice {
			say("the post of %s stands in the ledger twice", p.Event)
		}
		posts[at] = p
		if _, ok := rows[at]; !ok {
			say("the post of %s has no event in the ledger", p.Event)
		}
		problems = append(problems, e.post(p, redacted[at])...)
	}
	for _, s := range e.Shown {
		at := place{s.Room, s.ID}
		row, ok := rows[at]
		_, said := posts[at]
		switch {
		case !ok && !s.Ahead && !e.covered(s):
			say("%s (%s in %s) is shown by the homeserver, lies behind the sync token, and is not in the ledger", s.ID, s.Type, s.Room)
		case ok && row.State == "read" && !s.Redacted && speaks(row.Type) && row.Target == row.Event && !said:
			say("%s (%s) was read and is in no post", s.ID, row.Type)
		}
	}
	for event, n := range e.Landed {
		if n > 1 {
			say("%s stands on the platform %d times", event, n)
		}
	}
	slices.Sort(problems)
	return problems
}

// post compares what the ledger says of a message with the platform.
// What was taken back may be gone from there.
func (e Evidence) post(p Post, redacted bool) []string {
	switch p.State {
	case "dead":
		if p.Reason == "" {
			return []string{fmt.Sprintf("the post of %s is dead without a reason", p.Event)}
		}
	case "landed":
		if e.Landed != nil && e.Landed[p.Event] == 0 && !redacted {
			return []string{fmt.Sprintf("the ledger says that %s has landed, and the platform does not have it", p.Event)}
		}
	}
	return nil
}

// speaks tells of which events a message comes.
func speaks(kind string) bool {
	switch kind {
	case "m.room.message", "m.sticker", "m.poll.start", "org.matrix.msc3381.poll.start":
		return true
	}
	return false
}

// covered reports whether the ledger lists an event without a row of its own: it is
// part of a gap that is still to be read or was lost, or older than what is wanted.
func (e Evidence) covered(s Event) bool {
	start := e.Book.Start
	for _, g := range e.Book.Gaps {
		if g.Room != s.Room {
			continue
		}
		if g.State == "open" || g.State == "lost" && g.Reason != "" {
			return true
		}
		if g.Kind == "history" && !g.Bound.IsZero() && (start.IsZero() || g.Bound.Before(start)) {
			start = g.Bound
		}
	}
	// Rows know milliseconds.
	return !start.IsZero() && s.Sent.Before(start.Truncate(time.Millisecond))
}
