package mapping

import (
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Limits of a title, in characters.
const (
	maxTitleRoom  = 80
	maxTitleWords = 120
)

// Post maps a post to its Media-Content, which stands first, and its relations: the
// room publishes it, and it is related to what it answers and to its thread's root
// where these have landed. A plain message costs two objects, and each costs the
// platform 100 ms or more.
func (m *Mapper) Post(draft timeline.Draft) []stix.Object {
	post := draft.Post
	rule := m.rule(draft.Room.Room)
	sent := known(post.Sent)
	words := words(post)
	content := &stix.MediaContent{
		ID:          MessageID(post.ID),
		URL:         post.ID.String(),
		Title:       title(post, words),
		Content:     Inert(words),
		Category:    category,
		Published:   sent,
		Author:      AuthorObjectID(draft.Author),
		Description: Inert(strings.Join(m.facts(draft), "\n")) + otherwise(post),
		Markings:    markingRefs(rule.Marking),
		Labels:      labels(rule.Labels, post.Redaction != nil && !post.Masked),
	}
	publishes := stix.NewRelationship(stix.Publishes, RoomObjectID(draft.Room), content.ID, sent, sent, content.Markings...)
	publishes.Confidence = m.c.Confidence
	answered := targets(draft)
	objects := append(make([]stix.Object, 0, 2+len(answered)), content, publishes)
	for _, target := range answered {
		// Without a start, as the Python connector makes it for threads: an equal
		// relation is adopted, a dated one would stand beside it.
		related := stix.NewRelationship(stix.RelatedTo, content.ID, MessageID(target), time.Time{}, sent, content.Markings...)
		related.Confidence = m.c.Confidence
		objects = append(objects, related)
	}
	return objects
}

// targets are the landed messages that a post answers or belongs to, each once and
// never itself.
func targets(draft timeline.Draft) []id.EventID {
	var list []id.EventID
	post := draft.Post
	if draft.ReplyKnown && post.Reply != "" && post.Reply != post.ID {
		list = append(list, post.Reply)
	}
	if draft.ThreadKnown && post.Thread != "" && post.Thread != post.ID && (len(list) == 0 || post.Thread != post.Reply) {
		list = append(list, post.Thread)
	}
	return list
}

// title is "<sender> in <room>: <first words>", in plain text on one line. Sender is
// the MXID, which nobody else can take.
func title(post timeline.Post, words string) string {
	room := OneLine(post.RoomName, maxTitleRoom)
	if room == "" {
		room = OneLine(post.Room.String(), timeline.MaxIDBytes)
	}
	text := OneLine(post.Sender.String(), timeline.MaxIDBytes) + " in " + room
	if first := OneLine(words, maxTitleWords); first != "" {
		text += ": " + first
	}
	return text
}

// words are what a message says, in plain text. A message without any says what it
// is, so that the platform never shows an empty value.
func words(post timeline.Post) string {
	if post.Masked {
		return "[deleted" + redacted(post.Redaction) + "]"
	}
	where := placeWords(post)
	if len(paragraphs(post.Text)) > 0 {
		return strings.TrimSuffix(post.Text+"\n"+where, "\n")
	}
	files := current(post.Files)
	switch {
	case len(files) > 0:
		lines := make([]string, len(files))
		for i, file := range files {
			lines[i] = fileWords(post.Kind, file)
		}
		return strings.Join(lines, "\n")
	case where != "":
		return where
	}
	return "[empty message]"
}

// current are the files that a message has now: former ones stand after them.
func current(files []timeline.File) []timeline.File {
	if at := slices.IndexFunc(files, func(f timeline.File) bool { return f.Former }); at >= 0 {
		return files[:at]
	}
	return files
}
