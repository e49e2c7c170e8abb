package scene

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// Message is what the platform holds for an event; it fails the test where that
// is not exactly one object.
func (s *Scene) Message(e id.EventID) openctitest.Object {
	s.t.Helper()
	found := s.messages()[e]
	if len(found) != 1 {
		s.t.Fatalf("the platform holds %d messages for %s, want 1", len(found), e)
	}
	return found[0]
}

func (s *Scene) messages() map[id.EventID][]openctitest.Object {
	found := map[id.EventID][]openctitest.Object{}
	for _, o := range s.Platform.Objects("Media-Content") {
		e := id.EventID(o.Text("url"))
		found[e] = append(found[e], o)
	}
	return found
}

// graph is what the platform holds, looked up once: a comparison asks for all of it.
type graph struct {
	messages map[id.EventID][]openctitest.Object
	places   map[string][]openctitest.Object // what publishes a message, by its standard id
	answers  map[string][]openctitest.Object // what a message is related to, by its standard id
}

func (s *Scene) graph() *graph {
	g := &graph{messages: s.messages(), places: map[string][]openctitest.Object{}, answers: map[string][]openctitest.Object{}}
	for _, r := range s.Platform.Relations("", "", "publishes") {
		g.places[r.To] = append(g.places[r.To], r)
	}
	for _, r := range s.Platform.Relations("", "", "related-to") {
		g.answers[r.From] = append(g.answers[r.From], r)
	}
	return g
}

// compare tells what of the said is missing, doubled or different on the platform,
// and what stands there that nobody said. It is written from the promises alone and
// shares no code with the mapping.
func (s *Scene) compare(said []people.Said) []string {
	var problems []string
	g := s.graph()
	found := maps.Clone(g.messages)
	for _, one := range said {
		objects := found[one.Event]
		if len(objects) != 1 {
			problems = append(problems, fmt.Sprintf("%s (%s in %s): %d objects, want 1", one.Event, kind(one), one.Room, len(objects)))
			continue
		}
		for _, p := range s.differs(one, objects[0], g) {
			problems = append(problems, fmt.Sprintf("%s (%s): %s", one.Event, kind(one), p))
		}
		delete(found, one.Event)
	}
	for e := range found {
		problems = append(problems, fmt.Sprintf("%s: on the platform, but nobody said it", e))
	}
	return problems
}

func kind(one people.Said) string {
	k := one.MsgType
	if k == "" {
		k = one.Type
	}
	if one.Encrypted {
		return "encrypted " + k
	}
	return k
}

// differs compares one message with its object.
func (s *Scene) differs(one people.Said, o openctitest.Object, all *graph) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	if !strings.Contains(o.Text("content"), one.Text) {
		say("content %q lacks %q", o.Text("content"), one.Text)
	}
	for _, former := range one.Former {
		if !strings.Contains(o.Text("x_opencti_description"), former) {
			say("description %q lacks the former text %q", o.Text("x_opencti_description"), former)
		}
	}
	if got := o.Text("media_category"); got != "matrix" {
		say("media category %q, want matrix", got)
	}
	if tlp := cmp.Or(s.marked[one.Room], s.Env["MATRIX_TLP"]); !slices.Equal(o.Markings, []string{"TLP:" + tlp}) {
		say("markings %v, want %s", o.Markings, tlp)
	}
	author, _ := s.Platform.Object(o.Author)
	if author.EntityType != "Individual" || author.Text("name") != one.Sender.String() {
		say("author %s %q, want the Individual %s", author.EntityType, author.Text("name"), one.Sender)
	}
	published, err := time.Parse(time.RFC3339, o.Text("publication_date"))
	if err != nil || published.Sub(one.At).Abs() > time.Minute {
		say("published %s, want about %s", o.Text("publication_date"), one.At.UTC().Format(time.RFC3339))
	}

	places := all.places[o.StandardID]
	if len(places) != 1 {
		say("published by %d channels, want 1", len(places))
	} else {
		channel, _ := s.Platform.Object(places[0].From)
		if channel.EntityType != "Channel" || !slices.Contains(channel.List("aliases"), one.Room.String()) {
			say("published by %s %v, want the Channel of %s", channel.EntityType, channel.List("aliases"), one.Room)
		}
		if !places[0].Start.Equal(published) {
			say("published by its channel from %s, want %s", places[0].Start, published)
		}
	}

	want := map[string]id.EventID{}
	for _, target := range []id.EventID{one.ReplyTo, one.Thread} {
		if t := all.messages[target]; target != "" && len(t) > 0 {
			want[t[0].StandardID] = target
		} else if target != "" {
			say("its target %s is not there", target)
		}
	}
	for _, r := range all.answers[o.StandardID] {
		if _, ok := want[r.To]; !ok {
			say("related to %s, to which it is no answer", r.To)
		}
		delete(want, r.To)
	}
	for _, target := range want {
		say("not related to %s", target)
	}
	return append(problems, s.differingFile(one, o)...)
}

func (s *Scene) differingFile(one people.Said, o openctitest.Object) []string {
	files := s.Platform.Files(o.ID)
	want := one.More
	if one.File != nil {
		want = append([]people.File{*one.File}, want...)
	}
	if s.refused[one.Event] {
		want = nil
	}
	if len(files) != len(want) {
		return []string{fmt.Sprintf("%d files, want %d", len(files), len(want))}
	}
	var problems []string
	for i, w := range want {
		at := slices.IndexFunc(files, func(f openctitest.File) bool { return f.SHA256 == w.SHA256 && f.Size == w.Size })
		if at < 0 {
			problems = append(problems, fmt.Sprintf("no file of %d bytes, %s", w.Size, w.SHA256))
			continue
		}
		f := files[at]
		// A sticker's event has no file name; the second file of a message has its number.
		name := w.Name
		if i > 0 {
			name = strings.TrimSuffix(name, path.Ext(name)) + fmt.Sprintf(" (%d)", i+1) + path.Ext(name)
		}
		if w.Name != "" && f.Name != name && one.Type != "m.sticker" {
			problems = append(problems, fmt.Sprintf("file name %q, want %q", f.Name, name))
		}
		if !slices.Equal(f.Markings, o.Markings) {
			problems = append(problems, fmt.Sprintf("file marked %v, want %v", f.Markings, o.Markings))
		}
		if f.AutoImport {
			problems = append(problems, "file importers were started on the file")
		}
	}
	return problems
}

// Tally is a table of what was said and what the platform holds, room by room.
func (s *Scene) Tally() string {
	type count struct{ said, present, doubled, different, files int }
	var order []id.RoomID
	counts := map[id.RoomID]*count{}
	g := s.graph()
	for _, one := range s.said() {
		c := counts[one.Room]
		if c == nil {
			c = &count{}
			counts[one.Room] = c
			order = append(order, one.Room)
		}
		c.said++
		objects := g.messages[one.Event]
		if len(objects) == 0 {
			continue
		}
		c.present++
		c.doubled += len(objects) - 1
		if len(s.differs(one, objects[0], g)) > 0 {
			c.different++
		}
		c.files += len(s.Platform.Files(objects[0].ID))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %6s %6s %8s %8s %10s %6s\n", "room", "said", "there", "missing", "doubled", "different", "files")
	for _, room := range order {
		c := counts[room]
		fmt.Fprintf(&b, "%-28s %6d %6d %8d %8d %10d %6d\n", room, c.said, c.present, c.said-c.present, c.doubled, c.different, c.files)
	}
	return b.String()
}
