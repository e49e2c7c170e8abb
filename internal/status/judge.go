package status

import (
	"strconv"
	"strings"
	"time"
)

// startingFor is how long a connector may take to become ready before that is bad
// news.
const startingFor = 2 * time.Minute

// late is how long a live message may wait before that is worth a look.
const late = 15 * time.Minute

// Judge says in one sentence how a connector is.
func Judge(s Snapshot) Health {
	if !s.Readiness.Ready && !s.Stopped {
		return judgeUnready(s)
	}
	needs := judgeNeeds(s)
	coming := s.Counts.Posts["due"] + s.Counts.Posts["sent"]
	look := ""
	if len(needs) > 0 {
		look = " Worth a look: " + strings.Join(needs, ", ") + "."
	}
	running := "Running. Everything that was said is in OpenCTI."
	if s.Connector.Sink.Kind == "directory" {
		running = "Running. Everything that was said is in the folder."
	}
	switch {
	case s.Stopped && coming > 0:
		return Health{Level: Bad, Sentence: "No connector is running. " + amount(coming, "message waits", "messages wait") + " to be delivered." + look}
	case s.Stopped:
		return Health{Level: Bad, Sentence: "No connector is running." + look}
	case coming > 0:
		running = "Running. " + amount(coming, "message is", "messages are") + " on the way."
	case s.Counts.Gaps > 0:
		running = "Running. History is being read."
	case look != "":
		running = "Running."
	}
	if look == "" {
		return Health{Level: Good, Sentence: running}
	}
	return Health{Level: Warn, Sentence: running + look}
}

// judgeNeeds lists what wants a look.
func judgeNeeds(s Snapshot) (needs []string) {
	need := func(n int, one, many string) {
		if n > 0 {
			needs = append(needs, amount(n, one, many))
		}
	}
	need(s.Counts.Posts["dead"]+s.Counts.Rooms["dead"]+s.Counts.Authors["dead"], "object was refused or given up", "objects were refused or given up")
	need(s.Counts.Attachments["lost"], "attachment is lost", "attachments are lost")
	need(s.Counts.Undecrypted["no_session"]+s.Counts.Undecrypted["unknown_index"]+s.Counts.Undecrypted["withheld"]+s.Counts.Undecrypted["bad_mac"],
		"message has no key", "messages have no key")
	if !s.Device.Looked.IsZero() && !s.Device.Signed {
		needs = append(needs, "the bot's device is not signed")
	}
	if d := s.Device; len(d.Withheld) > 0 {
		need(len(d.Withheld)+d.MoreWithheld, "person withholds room keys", "people withhold room keys")
	}
	switch s.Disk.Waits {
	case "spool_full":
		needs = append(needs, "attachments wait until others were delivered")
	case "disk_low":
		needs = append(needs, "the disk is nearly full")
	}
	need(s.Counts.Events["unreadable"], "event is unreadable", "events are unreadable")
	need(len(s.Invites)+s.MoreInvites, "invite waits", "invites wait")
	if d := s.Lag.Delivery; d != nil && *d > late.Seconds() {
		needs = append(needs, "delivery is "+span(seconds(*d))+" behind")
	}
	return needs
}

func judgeUnready(s Snapshot) Health {
	what := make([]string, 0, len(s.Readiness.Reasons))
	failing := false
	for _, r := range s.Readiness.Reasons {
		w := r.What
		if !r.Since.IsZero() {
			failing = true
			w += " for " + span(s.At.Sub(r.Since))
		}
		what = append(what, w)
	}
	if !failing && s.At.Sub(s.Connector.Started) < startingFor {
		return Health{Level: Warn, Sentence: "Starting: " + strings.Join(what, "; ") + "."}
	}
	return Health{Level: Bad, Sentence: "Not ready: " + strings.Join(what, "; ") + ". Nothing is lost: it goes on where it was."}
}

// amount is a number of things in words.
func amount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number groups digits by thousands.
func number(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
