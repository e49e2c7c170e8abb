package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/exported"
	"github.com/matrix-connector/matrix-connector/e2e/people"
)

// tell prints each message and what it became.
func tell(w io.Writer, root, out string, rooms []room, said []people.Said, messages map[id.EventID]exported.Message) error {
	where := func(path string) string {
		if below, err := filepath.Rel(root, path); err == nil {
			return below
		}
		return path
	}
	names := map[string]string{} // of events by their object's id
	for _, one := range said {
		names[messages[one.Event].Text("id")] = fmt.Sprintf("%s's %q", person(one.Sender), clip(words(one), 40))
	}
	var p printer
	p.w = w
	for _, r := range rooms {
		p.line("")
		var channel exported.Object
		for _, one := range said {
			if one.Room == r.id {
				channel = messages[one.Event].Channel()
			}
		}
		p.line("━━ %s (%s) ━━", r.name, r.nature)
		p.line("   → Channel %q", channel.Text("name"))
		p.line("     %s", channel.Text("id"))
		for _, one := range said {
			if one.Room != r.id {
				continue
			}
			m := messages[one.Event]
			p.line("")
			p.line("%-6s %s", person(one.Sender), words(one))
			p.line("   → Media-Content %q", m.Text("title"))
			p.line("     %s, published %s", m.Text("id"), m.Text("publication_date"))
			p.line("     by the Individual %s, %s", m.Author().Text("name"), m.Author().Text("id"))
			for _, target := range m.Targets() {
				p.line("     related to %s", names[target])
			}
			files, err := m.Files(out)
			if err != nil {
				return err
			}
			for _, f := range files {
				place := "inside the bundle"
				if f.Beside != "" {
					place = "in " + where(f.Beside)
				}
				p.line("     file %s, %s, %d bytes, %s", f.Name, f.MediaType, f.Size, place)
			}
			p.line("     in %s", where(m.Bundle.Path))
		}
	}
	p.line("")
	p.line("%d messages in %d rooms became STIX 2.1 bundles in %s/.", len(said), len(rooms), where(out))
	return p.err
}

// words are what somebody said, as a chat shows it.
func words(one people.Said) string {
	switch {
	case one.File != nil && one.Text != "":
		return fmt.Sprintf("[%s] %s", one.File.Name, one.Text)
	case one.File != nil:
		return fmt.Sprintf("[%s]", one.File.Name)
	case one.MsgType == "m.emote":
		return "* " + one.Text
	}
	return one.Text
}

// person is the local part of a Matrix id with a capital, as the chat shows it.
func person(who id.UserID) string {
	name := who.Localpart()
	return strings.ToUpper(name[:1]) + name[1:]
}

// clip shortens a text to n characters.
func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
