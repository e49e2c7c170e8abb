package status

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// textRooms is how many rooms the text lists.
const textRooms = 20

// WriteText writes a snapshot for a terminal.
func WriteText(to io.Writer, s Snapshot) error {
	t := &text{view: view{Snapshot: s}}
	t.line("%s", s.Health.Sentence)
	t.who()
	t.states()
	t.reasons()
	t.device()
	t.dark()
	t.rooms()
	t.invites()
	t.missing()
	t.failures()
	if _, err := io.WriteString(to, t.String()); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// text is what a terminal shows of a snapshot. All that strangers have chosen goes
// through [Plain].
type text struct {
	strings.Builder
	view
}

func (t *text) line(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }

// head begins a chapter.
func (t *text) head(title string) { t.line("\n%s", title) }

// fact is a named line.
func (t *text) fact(name, format string, args ...any) {
	t.line("%-13s"+format, append([]any{name}, args...)...)
}

// cure says what helps.
func (t *text) cure(cure string) {
	if cure != "" {
		t.line("      cure: %s", Plain(cure, 400))
	}
}

func (t *text) who() {
	c := t.Connector
	t.line("")
	running := "no"
	if !t.Stopped {
		running = "since " + t.Stamp(c.Started) + " (" + t.For(c.Started) + ")"
	}
	t.fact("Running", "%s, version %s", running, c.Version)
	device := "not logged in yet"
	if c.DeviceID != "" {
		device = "device " + Plain(c.DeviceID, 80)
	}
	t.fact("Bot", "%s at %s, %s", c.UserID, c.Homeserver, device)
	if c.Sink.Kind != "" {
		sink := map[bool]string{true: "Folder", false: "Platform"}[c.Sink.Kind == "directory"]
		version := ""
		if c.Sink.Version != "" {
			version = ", OpenCTI " + Plain(c.Sink.Version, 40)
		}
		t.fact(sink, "%s%s", c.Sink.Address, version)
	}
	for _, w := range c.Warnings {
		t.fact("Warning", "%s", w)
	}
}

// order is how states are listed, the best first.
var order = []string{"landed", "read", "attached", "idle", "due", "wanted", "fetched", "sent", "skipped", "refused", "undecrypted", "unreadable", "lost", "dead"}

// counted lists states with their numbers.
func counted(counts map[string]int) string {
	var parts []string
	for state, n := range counts {
		if n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+state)
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	rank := func(part string) int {
		_, state, _ := strings.Cut(part, " ")
		return (slices.Index(order, state) + len(order) + 1) % (len(order) + 1)
	}
	slices.SortFunc(parts, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return strings.Join(parts, ", ")
}

func (t *text) states() {
	t.line("")
	t.fact("Messages", "%s", counted(t.Counts.Posts))
	t.fact("Rooms", "%s", counted(t.Counts.Rooms))
	t.fact("Authors", "%s", counted(t.Counts.Authors))
	t.fact("Attachments", "%s", counted(t.Counts.Attachments))
	t.fact("Events", "%s", counted(t.Counts.Events))
	t.fact("Skipped", "%s", counted(t.Counts.Skipped))
	t.fact("Gaps", "%s, link targets to be fetched: %d", map[bool]string{true: "none", false: strconv.Itoa(t.Counts.Gaps) + " to be read"}[t.Counts.Gaps == 0], t.Counts.Targets)
	t.line("")
	sync := "not known"
	if !t.Lag.LastSync.IsZero() {
		sync = t.Ago(t.Lag.LastSync)
	}
	t.fact("Last sync", "%s", sync)
	if t.Disk.Reserve > 0 {
		defer func() { t.fact("Disk", "%s", t.DiskUse()) }()
	}
	t.fact("Oldest", "that waits for delivery: %s; for its key: %s", t.Span(t.Lag.Delivery), t.Span(t.Lag.Decryption))
}

func (t *text) reasons() {
	if t.Readiness.Ready || t.Stopped {
		return
	}
	t.head("Why it is not ready")
	for _, r := range t.Readiness.Reasons {
		since := ""
		if !r.Since.IsZero() {
			since = ", for " + t.For(r.Since)
		}
		t.line("  %s%s", r.What, since)
		if r.Detail != "" {
			t.line("      %s", Plain(r.Detail, 300))
		}
		t.cure(r.Cure)
	}
}

func (t *text) device() {
	d := t.Device
	t.line("")
	signed := "not looked at yet"
	switch {
	case d.Signed:
		signed = "signed by the account's identity"
	case d.Problem != "":
		signed = "NOT SIGNED: " + d.Problem
	}
	t.fact("Device", "%s", signed)
	t.cure(d.Cure)
	backup := "none is in use"
	switch {
	case d.BackupProblem != "":
		backup = "not in use: " + d.BackupProblem
	case d.Backup != "":
		backup = "keys are saved in and restored from version " + Plain(d.Backup, 40)
	}
	t.fact("Key backup", "%s", backup)
	t.cure(d.BackupCure)
	if len(d.Withheld) == 0 {
		return
	}
	t.head("Who withholds room keys")
	for _, w := range d.Withheld {
		t.line("  %s: %s, %s, the last %s", Plain(w.User, 255), w.Code, amount(w.Count, "time", "times"), t.Ago(w.Last))
		t.cure(w.Cure)
	}
	if d.MoreWithheld > 0 {
		t.line("  and %s more", number(d.MoreWithheld))
	}
}

func (t *text) dark() {
	if len(t.Undecryptable) == 0 {
		return
	}
	t.head("What cannot be read")
	for _, u := range t.Undecryptable {
		why := u.Reason
		if u.Cause != "" {
			why += ", " + u.Cause
		}
		t.line("  %s: %s (%s), the oldest came %s", amount(u.Count, "event", "events"), u.Says, Plain(why, 80), t.Ago(u.Oldest))
		t.cure(u.Cure)
		for _, r := range u.Rooms {
			t.line("      %6d  %s  %s", r.Count, Plain(r.ID, 255), Plain(r.Name, 80))
		}
		if u.More > 0 {
			t.line("      and %s", amount(u.More, "more room", "more rooms"))
		}
	}
}

// rooms lists those that have something to tell.
func (t *text) rooms() {
	var lines []string
	for _, r := range t.Rooms {
		var parts []string
		note := func(n int, what string) {
			if n > 0 {
				parts = append(parts, strconv.Itoa(n)+" "+what)
			}
		}
		note(sum(r.Posts, "due", "sent"), "on the way")
		note(r.Undecrypted, "without a key")
		note(r.Posts["dead"], "given up")
		if why := t.Why(r); why != "" {
			parts = append(parts, why)
		}
		if len(parts) > 0 {
			lines = append(lines, fmt.Sprintf("  %s  %s: %d imported, %s", Plain(r.ID, 255), Plain(r.Name, 80), r.Posts["landed"], strings.Join(parts, ", ")))
		}
	}
	if len(lines) == 0 {
		return
	}
	t.head("Rooms with something to tell")
	for _, line := range lines[:min(len(lines), textRooms)] {
		t.line("%s", line)
	}
	if more := len(lines) - textRooms; more > 0 {
		t.line("  and %s more", number(more))
	}
}

func (t *text) invites() {
	if t.AllInvites() == 0 {
		return
	}
	t.head("Invites that wait")
	for _, i := range t.Invites {
		senders := make([]string, len(i.Senders))
		for n, s := range i.Senders {
			senders[n] = Plain(s, 255)
		}
		t.line("  %s by %s, %s: %s", Plain(i.Room, 255), strings.Join(senders, ", "), t.Ago(i.Received), i.Why)
		t.cure(i.Setting)
	}
	if t.MoreInvites > 0 {
		t.line("  and %s more", number(t.MoreInvites))
	}
}

// missing lists what else is not there: what cannot be read has its own chapter.
func (t *text) missing() {
	first := true
	for _, g := range t.Troubles {
		if g.What == "event" && g.State == "undecrypted" {
			continue
		}
		if first {
			t.head("What is missing")
			first = false
		}
		t.line("  %s %s: %s", number(g.Count), t.What(g), g.Says)
		t.cure(g.Cure)
	}
}

func (t *text) failures() {
	if len(t.Failures) == 0 {
		return
	}
	t.head("What failed since the start")
	for _, f := range t.Failures {
		state := "works again"
		if !f.Since.IsZero() {
			state = "failing for " + t.For(f.Since)
		}
		t.line("  %s: %s, %s, the last %s: %s", f.Operation, state, amount(f.Count, "time", "times"), t.Ago(f.At), Plain(f.Error, 300))
		t.cure(f.Cure)
	}
}
