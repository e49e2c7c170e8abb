package timeline

import (
	"encoding/json"
	"strings"

	"maunium.net/go/mautrix/event"
)

// The msgtypes of several files under one caption: MSC4274, and what Beeper sends.
const (
	msgGallery       = "m.gallery"
	msgGalleryOld    = "dm.filament.gallery"
	msgGalleryBeeper = "com.beeper.gallery"
)

// readGallery reads a gallery: its caption, and a file for each item, at most
// [MaxFiles]. It reports false for what holds no list of items.
func readGallery(item *Item, content fields) bool {
	var items []json.RawMessage
	kindKey := "itemtype"
	switch item.MsgType {
	case msgGalleryBeeper:
		items, kindKey = content.list("com.beeper.gallery.images", maxItems), "msgtype"
		content = beeperCaption(content)
	default:
		items = content.list("itemtypes", maxItems)
	}
	if len(items) == 0 {
		return false
	}
	item.Kind = KindGallery
	body, _ := content.text("body")
	if item.Reply != "" || replyFallback(content) {
		body = stripReply(body)
	}
	readWords(item, body, content)
	lines := []string{item.Text}
	for _, raw := range items {
		one, err := readFields(raw)
		if err != nil {
			continue
		}
		if len(item.Files) == MaxFiles {
			item.MoreFiles++
			continue
		}
		msgType, _ := one.text(kindKey)
		kind := kinds[event.MessageType(msgType)]
		switch kind {
		case KindImage, KindAudio, KindVideo:
		default:
			kind = KindFile
		}
		inner := Item{Kind: kind}
		readMedia(&inner, one)
		file := inner.Files[0]
		file.Index, file.Kind = len(item.Files), kind
		item.Files = append(item.Files, file)
		if strings.TrimSpace(inner.Text) != "" {
			lines = append(lines, file.Name+": "+inner.Text)
		}
	}
	if len(lines) > 1 {
		item.Text, item.HTML = clip(strings.TrimPrefix(strings.Join(lines, "\n"), "\n"), MaxTextBytes), ""
	}
	return len(item.Files) > 0
}

// maxItems bounds how many items of a gallery are looked at.
const maxItems = 1000

// beeperCaption puts the caption where other messages have it.
func beeperCaption(content fields) fields {
	caption, _ := content.text("com.beeper.gallery.caption")
	out := fields{"body": quoted(caption), "m.relates_to": content["m.relates_to"]}
	if html, ok := content.text("com.beeper.gallery.caption_html"); ok {
		out["format"], out["formatted_body"] = quoted(string(event.FormatHTML)), quoted(html)
	}
	return out
}
