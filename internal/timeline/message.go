package timeline

import (
	"strings"
	"unicode"

	"maunium.net/go/mautrix/event"
)

// kinds maps msgtype to the kind of message.
var kinds = map[event.MessageType]Kind{
	event.MsgText:     KindText,
	event.MsgNotice:   KindNotice,
	event.MsgEmote:    KindEmote,
	event.MsgImage:    KindImage,
	event.MsgFile:     KindFile,
	event.MsgAudio:    KindAudio,
	event.MsgVideo:    KindVideo,
	event.MsgLocation: KindLocation,
	MsgServerNotice:   KindNotice,

	msgGallery: KindGallery, msgGalleryOld: KindGallery, msgGalleryBeeper: KindGallery,
}

// MsgServerNotice is the msgtype of what a homeserver tells its users (Matrix C-S API,
// "Server Notices"). Anybody can send one.
const MsgServerNotice = "m.server_notice"

// readMessage reads the content of an m.room.message.
func readMessage(item *Item, e Event, content fields) error {
	msgType, _ := content.text("msgtype")
	item.MsgType = clip(msgType, MaxTypeBytes)
	content = extended(content)
	defer func() { item.Claims = readClaims(item, content) }()
	kind, known := kinds[event.MessageType(msgType)]
	if !known {
		kind = KindOther
	}
	item.Kind = kind
	switch kind { //nolint:exhaustive // the others are their text
	case KindImage, KindFile, KindAudio, KindVideo:
		readMedia(item, content)
		return nil
	case KindGallery:
		if readGallery(item, content) {
			return nil
		}
		item.Kind = KindOther
	}
	body, ok := content.text("body")
	if !ok {
		return errNoBody
	}
	if item.Reply != "" || replyFallback(content) {
		body = stripReply(body)
	}
	readWords(item, body, content)
	if kind == KindLocation {
		uri, description := readGeo(content)
		if item.Geo = uri; description != "" && !strings.Contains(item.Text, description) {
			item.Text = clip(strings.TrimPrefix(item.Text+"\n"+description, "\n"), MaxTextBytes)
		}
	}
	if kind == KindEmote {
		item.Text = clip("* "+speaker(e)+" "+item.Text, MaxTextBytes)
	}
	return nil
}

// readMedia reads an attachment with its caption. The body is a caption only
// where filename is there and says something else (Matrix C-S API, "Media
// captions"); otherwise it is the file's name.
func readMedia(item *Item, content fields) {
	body, _ := content.text("body")
	name, _ := content.text("filename")
	switch {
	case name == "":
		name = body
	case body != name:
		if item.Reply != "" || replyFallback(content) {
			body = stripReply(body)
		}
		readWords(item, body, content)
	}
	item.Files = []File{readFile(0, item.Kind, name, content)}
}

// readSticker reads an m.sticker, whose body describes the picture.
func readSticker(item *Item, content fields) {
	item.Kind = KindSticker
	item.MsgType = event.EventSticker.Type
	content = extended(content)
	body, _ := content.text("body")
	item.Files = []File{readFile(0, KindSticker, body, content)}
	if strings.TrimSpace(body) != "" {
		item.Text = clip("[sticker: "+body+"]", MaxTextBytes)
	}
}

// replyFallback reports whether the content answers a message at all, thread
// fall-backs included: only then does a body begin with a quote made by a client.
func replyFallback(content fields) bool {
	return content.object("m.relates_to").object("m.in_reply_to").event("event_id") != ""
}

// stripReply removes the quote that clients put before an answer until Matrix
// v1.13: the leading lines that begin with "> ", and one empty line. A body that
// would be left empty is the sender's own quote and stays.
func stripReply(body string) string {
	rest := body
	for strings.HasPrefix(rest, "> ") || strings.HasPrefix(rest, ">\n") {
		_, after, found := strings.Cut(rest, "\n")
		if !found {
			return body
		}
		rest = after
	}
	if len(rest) != len(body) {
		rest = strings.TrimPrefix(rest, "\n")
	}
	if strings.TrimSpace(rest) == "" {
		return body
	}
	return rest
}

// speaker is how an emote names its sender: on one line, the MXID where there is
// no display name.
func speaker(e Event) string {
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, e.SenderName))
	if name == "" {
		return e.Sender.String()
	}
	return name
}
