package timeline

import (
	"bytes"
	"cmp"
)

// Compose folds the events of one message into what it says. The order in which
// they stand does not matter, and neither do repeats. It reports false when there
// is nothing to say: the original is absent, unreadable, or shown without its
// content because it was redacted.
//
// A message that was taken back while its content is known says what it said, with its
// [Post.Redaction]: whoever composes decides whether that is kept or masked ([Post.Mask]).
func Compose(events []Event) (Post, bool) {
	var original *Event
	var said Item
	for i := range events {
		item, err := Parse(events[i])
		if err != nil || item.Class != ClassMessage || item.Target != events[i].ID {
			continue
		}
		if original == nil || preferred(item.Redacted, &events[i], said.Redacted, original) {
			original, said = &events[i], item
		}
	}
	if original == nil {
		return Post{}, false
	}
	if original.Erased {
		post := identity(*original)
		post.Reply, post.Thread = said.Reply, said.Thread
		post.redact(original, events)
		return post.Mask(), true
	}
	post, ok := said.Post(*original)
	if ok && len(events) > 1 {
		taken := takenBack(events)
		post.edit(original, said, events, taken)
		post.annotate(*original, events, taken)
		post.redact(original, events)
	}
	return post, ok
}

// Post is what a message says whose only event is e, of which the item was read: what
// [Compose] makes of it. It reports false when there is nothing to say.
func (i Item) Post(e Event) (Post, bool) {
	if i.Class != ClassMessage || i.Target != e.ID || i.Redacted {
		return Post{}, false
	}
	post := identity(e)
	post.Kind, post.MsgType, post.Text, post.HTML, post.Body, post.Geo, post.Poll = i.Kind, i.MsgType, i.Text, i.HTML, i.Body, i.Geo, i.Poll
	post.Reply, post.Thread, post.Files, post.MoreFiles, post.Claims, post.Trust = i.Reply, i.Thread, i.Files, i.MoreFiles, i.Claims, e.Trust
	return post, true
}

// identity is what a post is, whatever it says.
func identity(e Event) Post {
	return Post{Room: e.Room, ID: e.ID, Sender: e.Sender, SenderName: e.SenderName, RoomName: e.RoomName, Sent: e.Sent}
}

// preferred decides between two copies of an original. What the homeserver has
// taken back stays taken back; otherwise the copy that was received first holds
// the names to freeze. The rest only makes the choice total.
func preferred(aRedacted bool, a *Event, bRedacted bool, b *Event) bool {
	if aRedacted != bRedacted {
		return aRedacted
	}
	return order(a, b) < 0
}

// order is a total order of events, in which of two copies of one event that which was
// received first stands first.
func order(a, b *Event) int {
	return cmp.Or(
		cmp.Compare(a.ID, b.ID),
		a.Received.Compare(b.Received),
		cmp.Compare(b.Trust, a.Trust),
		a.Sent.Compare(b.Sent),
		cmp.Compare(a.Room, b.Room),
		cmp.Compare(a.Sender, b.Sender),
		cmp.Compare(a.SenderName, b.SenderName),
		cmp.Compare(a.RoomName, b.RoomName),
		cmp.Compare(a.Type, b.Type),
		bytes.Compare(a.Content, b.Content),
		bytes.Compare(a.Raw, b.Raw),
	)
}
