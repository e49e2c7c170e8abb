package mapping_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// TestWholeObjectsAreShownAsTheyWereWritten puts hostile texts into every field that
// people can fill, and reads the Markdown of all objects as an analyst would.
func TestWholeObjectsAreShownAsTheyWereWritten(t *testing.T) {
	m := mapping.New(mapping.Config{Marking: stix.TLPAmber.MarkingID()})
	type shown struct{ what, text, markdown, want string }
	var all []shown
	for _, text := range append(append([]string(nil), corpus...), fuzzed(300)...) {
		name := mapping.OneLine(text, 60)
		room := timeline.RoomState{Room: timeline.Room{ID: "!a:b", Name: text, Topic: text, Server: "b", Encrypted: true}, Spaces: []timeline.LinkedRoom{{ID: "!s:b", Name: text}}}
		author := timeline.Author{User: "@a:b", Name: text}
		post := timeline.Post{
			ID: "$acR1l0_-ra/oZn+_", Room: "!a_b:b", Sender: "@a:b", SenderName: text, RoomName: text, Sent: time.Unix(1, 0), Text: text,
			Kind: timeline.KindImage, Reply: "$_x_", Files: []timeline.File{{Name: "f" + name, Problem: timeline.ProblemURI}}, Trust: timeline.TrustBackup,
		}
		channel, person := m.Channel(room), m.Author(author)
		content := m.Post(timeline.Draft{Post: post, Room: room, Author: author})[0].(*stix.MediaContent)
		for _, plain := range []string{channel.Name, person.Name, content.Title} {
			if plain != mapping.OneLine(plain, len(plain)) || len([]rune(plain)) < 2 {
				t.Errorf("%q gives the name %q", text, plain)
			}
		}
		topic := ""
		if strings.TrimSpace(text) != "" {
			lines := regexp.MustCompile("\r\n|[\r\n\v\f\u0085\u2028\u2029]").ReplaceAllString(text, "\n")
			topic = "Topic: " + strings.ReplaceAll(lines, "\n", "\n│ ") + "\n"
		}
		space := "In the space: !s:b"
		if line := mapping.OneLine(text, 120); line != "" {
			space = "In the space: " + line + " (!s:b)"
		}
		display := ""
		if line := mapping.OneLine(text, 120); line != "" {
			display = "Display name: " + line + "\n"
		}
		said := text
		if seen(text) == "" {
			said = "[image: f" + name + "]"
		}
		all = append(
			all,
			shown{"channel description", text, channel.Description, topic + "End-to-end encrypted: yes\nRead through the homeserver: b\n" + space},
			shown{"individual description", text, person.Description, display},
			shown{"content", text, content.Content, said},
			shown{"message description", text, content.Description, display +
				"Authenticity: not proven. The key came from a backup, a file or another device.\n" +
				"Attachment not imported (invalid mxc uri): f" + name + "\n" +
				"In reply to: https://matrix.to/#/!a_b:b/$_x_?via=b\nMessage: https://matrix.to/#/!a_b:b/$acR1l0_-ra%2FoZn+_?via=b"},
		)
	}
	var markdown []string
	for _, one := range all {
		markdown = append(markdown, one.markdown)
	}
	for i, ways := range render(t, markdown) {
		for way, source := range ways {
			p := read(t, source, true)
			if got, want := p.lines(), seen(all[i].want); got != want || len(p.problems) > 0 {
				t.Errorf("%s: %s for %q is %q\nseen     %q\nwant     %q\nproblems %q", way, all[i].what, all[i].text, all[i].markdown, got, want, p.problems)
			}
			if all[i].what == "message description" && way != "commonmark" && !strings.Contains(source, `href="https://matrix.to/#/!a_b:b/$acR1l0_-ra%2FoZn+_?via=b"`) {
				t.Errorf("%s: the message cannot be followed: %q", way, source)
			}
		}
	}
}
