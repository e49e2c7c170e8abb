package mapping_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/markup"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// FuzzNames fuzzes what people and rooms call themselves, ids included: names stay on one
// line and within bounds, and objects that differ in id differ.
func FuzzNames(f *testing.F) {
	for _, name := range corpus {
		f.Add(name, "!room:example.org", "@alice:example.org", "$event")
	}
	for _, odd := range []string{"!", "!a", "!A:B", "!" + strings.Repeat("x", 254), "!\u202ea:b", "!a:b\nc", "!ß:x", "!a%2Fb:c"} {
		f.Add("name", odd, strings.Replace(odd, "!", "@", 1), strings.Replace(odd, "!", "$", 1))
	}
	m := mapping.New(mapping.Config{Marking: stix.TLPAmber.MarkingID()})
	f.Fuzz(func(t *testing.T, name, roomID, userID, eventID string) {
		for _, one := range []string{roomID, userID, eventID} {
			if one == "" || len(one) > timeline.MaxIDBytes || mapping.OneLine(one, len(one)) != one {
				return // matrix lets none in, or ledger makes another key of it
			}
		}
		room := timeline.RoomState{Room: timeline.Room{ID: id.RoomID(roomID), Name: name, Topic: name, Server: "example.org"}, Key: roomID}
		author := timeline.Author{User: id.UserID(userID), Name: name, Key: userID}
		channel, person := m.Channel(room), m.Author(author)
		post := timeline.Post{Room: id.RoomID(roomID), ID: id.EventID(eventID), Sender: id.UserID(userID), SenderName: name, RoomName: name, Sent: time.Unix(1, 0), Kind: timeline.KindText, Text: name}
		objects := m.Post(timeline.Draft{Post: post, Room: room, Author: author})
		content := objects[0].(*stix.MediaContent)
		for _, one := range []string{channel.Name, content.Title} {
			if one != mapping.OneLine(one, len(one)) || utf8.RuneCountInString(one) > 80+120+3*timeline.MaxIDBytes {
				t.Fatalf("%q, %q give the name %q", name, roomID, one)
			}
			if strings.ContainsFunc(one, unicode.IsControl) || !utf8.ValidString(one) {
				t.Fatalf("%q gives %q", name, one)
			}
		}
		if channel.ID == mapping.MessageID(id.EventID(eventID)) || channel.ID == person.ID {
			t.Fatalf("ids of %q, %q and %q are the same", roomID, userID, eventID)
		}
		bundle, err := stix.NewBundle(append(objects, channel, person)...).MarshalJSON()
		if err != nil || !json.Valid(bundle) {
			t.Fatalf("bundle of %q: %v", name, err)
		}
		if content.Content == "" || strings.Contains(content.Content+content.Description+channel.Description+person.Description, "![") {
			t.Fatalf("%q gives the content %q", name, content.Content)
		}
	})
}

// FuzzFormatted fuzzes HTML up to the Markdown: it holds every character of the document,
// and outside of code nothing that could be an image or a link with other words. What
// the renderer makes of it [TestFormattedTextIsHarmlessAndWhole] looks at.
func FuzzFormatted(f *testing.F) {
	for _, text := range fuzzedHTML(60) {
		f.Add(text)
	}
	for _, text := range nasty {
		f.Add("<b>" + text + "</b>" + text + "<code>" + text + "</code>")
	}
	f.Fuzz(func(t *testing.T, source string) {
		document := markup.Parse(source)
		markdown := mapping.Formatted(document)
		if !utf8.ValidString(markdown) {
			t.Fatalf("%q gives %q", source, markdown)
		}
		for line := range strings.SplitSeq(markdown, "\n") {
			before, _, closed := strings.Cut(line, "](")
			if !coded(document.Blocks) && (strings.Contains(line, "![") || closed && strings.Contains(before, "[")) {
				t.Fatalf("%q gives %q", source, markdown)
			}
		}
		var b strings.Builder
		said(&b, document.Blocks)
		// A bracket after an address is a reference; in code a reference is its text.
		shown := strings.NewReplacer(`\&gt;`, "&gt;", "&gt;", ">").Replace(markdown)
		if !holds(shown, unseen(b.String())) && !holds(markdown, unseen(b.String())) {
			t.Fatalf("%q gives %q, want %q", source, markdown, unseen(b.String()))
		}
		post := timeline.Post{ID: "$a", Room: "!a:b", Sender: "@a:b", Kind: timeline.KindText, Text: "x", HTML: source}
		content := mapping.New(mapping.Config{}).Post(timeline.Draft{Post: post})[0].(*stix.MediaContent)
		if most := 12*len(source) + 4<<10; len(content.Description) > most {
			t.Fatalf("%d bytes of %q", len(content.Description), source)
		}
	})
}

// coded reports whether there is a block of code.
func coded(blocks []markup.Block) bool {
	for _, block := range blocks {
		if block.Kind == markup.Code || coded(block.Blocks) {
			return true
		}
		if slices.ContainsFunc(block.Items, coded) {
			return true
		}
	}
	return false
}
