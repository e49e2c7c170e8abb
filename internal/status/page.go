package status

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

//go:embed page.css
var style string

//go:embed page.html
var layout string

// policy lets the browser use the page's own style, which it knows by its hash, and
// nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": number,
	"name":   func(s string) string { return Plain(s, 80) },
	"text":   func(s string) string { return Plain(s, 300) },
	"sum":    sum,
}).Parse(layout))

// view is a snapshot with what the template cannot work out.
type view struct {
	Snapshot
	Style template.CSS
}

// Ago is how long before the snapshot a moment was.
func (v view) Ago(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return span(v.At.Sub(t)) + " ago"
}

// For is how long something has lasted.
func (v view) For(t time.Time) string { return span(v.At.Sub(t)) }

// Span says so many seconds; "none" where nothing waits.
func (v view) Span(s *float64) string {
	if s == nil {
		return "none"
	}
	return span(seconds(*s))
}

// Stamp is a time for machines and for a person's second look.
func (v view) Stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Missing are the troubles that want a person or an explanation. What cannot be read has a
// chapter of its own, with the probable causes.
func (v view) Missing() []Trouble {
	return v.pick(func(t Trouble) bool {
		return t.What != "attachment" && (t.What != "event" || t.State != "undecrypted" || len(v.Undecryptable) == 0)
	})
}

// Files are the troubles of attachments.
func (v view) Files() []Trouble {
	return v.pick(func(t Trouble) bool { return t.What == "attachment" })
}

func (v view) pick(wanted func(Trouble) bool) []Trouble {
	var list []Trouble
	for _, t := range v.Troubles {
		if wanted(t) {
			list = append(list, t)
		}
	}
	return list
}

// What is the kind of a trouble in words, in the number that its count wants.
func (v view) What(t Trouble) string {
	words := map[string][2]string{
		"event": {"event", "events"}, "post": {"message", "messages"}, "room": {"room", "rooms"}, "author": {"author", "authors"},
		"attachment": {"attachment", "attachments"}, "gap": {"stretch of a room", "stretches of rooms"}, "target": {"link target", "link targets"},
	}
	w, ok := words[t.What]
	if !ok {
		return t.What
	}
	if t.Count == 1 {
		return w[0]
	}
	return w[1]
}

// Groups is the view of some troubles.
func (v view) Groups(list []Trouble) view {
	v.Troubles = list
	return v
}

// AllRooms and AllInvites count those that are not shown, too.
func (v view) AllRooms() int   { return len(v.Rooms) + v.MoreRooms }
func (v view) AllInvites() int { return len(v.Invites) + v.MoreInvites }

// Rest is how many of a trouble are not shown as examples.
func (v view) Rest(t Trouble) int { return t.Count - len(t.Examples) }

// Late reports whether a room's oldest message waits longer than it should.
func (v view) Late(r Room) bool { return !r.OldestDue.IsZero() && v.At.Sub(r.OldestDue) > late }

// Encryption is how a room is protected.
func (v view) Encryption(r Room) string {
	if r.Encrypted {
		return "encrypted"
	}
	return "not encrypted"
}

// Why says why a room's messages do not come, or how its reading stands; empty where
// all is as it should be.
func (v view) Why(r Room) string {
	var notes []string
	switch r.Skip {
	case "":
	case "not_in_matrix_rooms":
		notes = append(notes, "left out by MATRIX_ROOMS")
	case "in_matrix_rooms_exclude":
		notes = append(notes, "left out by MATRIX_ROOMS_EXCLUDE")
	case "skipped_by_rule":
		notes = append(notes, "left out by a rule of matrix.rooms")
	case "named_by_a_false_tombstone":
		notes = append(notes, "left out: another room's tombstone named it, which it does not confirm")
	default:
		notes = append(notes, "left out: "+Plain(r.Skip, 80))
	}
	if r.Membership != "join" {
		notes = append(notes, "the bot is no longer in it")
	}
	if r.Gaps > 0 && r.Skip == "" {
		notes = append(notes, "history is being read")
	}
	return strings.Join(notes, "; ")
}

// DiskUse says what the store takes, and what is left.
func (v view) DiskUse() string {
	d := v.Disk
	text := "database " + size(d.Database) + " · attachments on their way " + size(d.Spool) + " of " + size(d.SpoolMax) + " · " + size(d.Free) + " free"
	switch d.Waits {
	case "spool_full":
		text += ". Attachments wait until others were delivered, or MATRIX_SPOOL_MAX_SIZE is larger; text goes on"
	case "disk_low":
		text += ". Attachments wait until more than " + size(d.Reserve) + " are free: make room on the volume of MATRIX_STORE_PATH; text goes on"
	}
	return text
}

// size is a number of bytes as a person says it.
func size(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	return strconv.FormatFloat(math.Round(value*10)/10, 'f', -1, 64) + " " + unit
}

// sum adds up the states of a map that are named.
func sum(counts map[string]int, states ...string) int {
	n := 0
	for _, s := range states {
		n += counts[s]
	}
	return n
}

// render writes the page. Everything in it that strangers have chosen is escaped by
// the template and cleaned by [Plain].
func render(w io.Writer, s Snapshot) error {
	if err := page.Execute(w, view{Snapshot: s, Style: template.CSS(style)}); err != nil { //nolint:gosec // G203: our own style
		return fmt.Errorf("make page: %w", err)
	}
	return nil
}
