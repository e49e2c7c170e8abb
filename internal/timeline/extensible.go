package timeline

import (
	"encoding/json"
	"maps"
	"strings"

	"maunium.net/go/mautrix/event"
)

// textBlocks are the names under which extensible events carry a text (MSC1767), the
// newest first.
var textBlocks = []string{"m.text", "m.message", "org.matrix.msc1767.message", "org.matrix.msc1767.text"}

// extensibleTypes are event types that say what an m.room.message of this msgtype does
// (MSC1767, MSC3954, MSC3955).
var extensibleTypes = map[string]event.MessageType{
	"m.message": event.MsgText, "org.matrix.msc1767.message": event.MsgText,
	"m.emote": event.MsgEmote, "org.matrix.msc1767.emote": event.MsgEmote,
	"m.notice": event.MsgNotice, "org.matrix.msc1767.notice": event.MsgNotice,
}

// Limits of an extensible text: how many forms of it are looked at.
const maxTextForms = 16

const (
	plainText = "text/plain"
	htmlText  = "text/html"
)

// blockText is the text of an extensible event, or of a block with text in it, in the
// first form of this media type; empty where there is none.
func blockText(content fields, mediaType string) string {
	for _, key := range textBlocks {
		if text, ok := content.text(key); ok && mediaType == plainText {
			return text
		}
		for _, raw := range content.list(key, maxTextForms) {
			form, err := readFields(raw)
			if err != nil {
				continue
			}
			kind, given := form.text("mimetype")
			if !given {
				kind = plainText
			}
			kind, _, _ = strings.Cut(kind, ";")
			if text, ok := form.text("body"); ok && strings.EqualFold(strings.TrimSpace(kind), mediaType) {
				return text
			}
		}
	}
	if html, ok := content.text("org.matrix.msc1767.html"); ok && mediaType == htmlText {
		return html
	}
	return ""
}

// readText is the plain text of a block.
func readText(content fields) string { return blockText(content, plainText) }

// extended is a content with the text of an extensible event where an m.room.message
// has it. What such a message says itself goes before its extensible form: that is
// what clients show.
func extended(content fields) fields {
	if _, ok := content.text("body"); ok {
		return content
	}
	plain, html := blockText(content, plainText), blockText(content, htmlText)
	if plain == "" && html == "" {
		return content
	}
	content = maps.Clone(content)
	content["body"] = quoted(plain)
	if html != "" {
		content["format"], content["formatted_body"] = quoted(string(event.FormatHTML)), quoted(html)
	}
	return content
}

func quoted(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		return nil // no string fails
	}
	return raw
}

// readExtensible reads an event of another type than m.room.message that carries a text.
// One of a type that is not known says its text, as clients show it (MSC1767). It
// reports false for what has none: a call, a key verification, whatever else.
func readExtensible(item *Item, e Event, content fields) (bool, error) {
	if strings.HasPrefix(e.Type, verificationPrefix) || len(blockText(content, plainText)) == 0 && len(blockText(content, htmlText)) == 0 {
		return false, nil
	}
	content = extended(content)
	msgType, known := extensibleTypes[e.Type]
	if !known {
		msgType = ""
	}
	content["msgtype"] = quoted(string(msgType))
	err := readMessage(item, e, content)
	item.MsgType = clip(e.Type, MaxTypeBytes)
	return true, err
}
