package timeline

import (
	"regexp"
	"strings"
	"unicode"

	"maunium.net/go/mautrix/event"
)

// kinds maps msgtype to the kind of message. m.server_notice is the homeserver
// speaking to its users (Matrix C-S API, "Server Notices").
var kinds = map[event.MessageType]Kind{
	event.MsgText:     KindText,
	event.MsgNotice:   KindNotice,
	event.MsgEmote:    KindEmote,
	event.MsgImage:    KindImage,
	event.MsgFile:     KindFile,
	event.MsgAudio:    KindAudio,
	event.MsgVideo:    KindVideo,
	event.MsgLocation: KindLocation,
	"m.server_notice": KindNotice,
}

// readMessage reads the content of an m.room.message.
func readMessage(item *Item, e Event, content fields) error {
	msgType, _ := content.text("msgtype")
	item.MsgType = clip(msgType, MaxTypeBytes)
	kind, known := kinds[event.MessageType(msgType)]
	if !known {
		kind = KindOther
	}
	item.Kind = kind
	switch kind { //nolint:exhaustive // the others are their text
	case KindImage, KindFile, KindAudio, KindVideo:
		readMedia(item, content)
		return nil
	case KindLocation:
		item.Geo = readGeo(content)
	}
	body, ok := content.text("body")
	if !ok {
		return errNoBody
	}
	if item.Reply != "" || replyFallback(content) {
		body = stripReply(body)
	}
	readWords(item, body, content)
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
	body, _ := content.text("body")
	item.Files = []File{readFile(0, KindSticker, body, content)}
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

// geoURI is RFC 5870 as far as clients use it: two or three coordinates and
// parameters.
var geoURI = regexp.MustCompile(`^geo:-?\d{1,3}(\.\d{1,20})?,-?\d{1,3}(\.\d{1,20})?(,-?\d{1,8}(\.\d{1,20})?)?(;[A-Za-z0-9-]+(=[A-Za-z0-9.:+%_-]*)?)*$`)

// readGeo is the location's address: geo_uri, or what extensible events call it.
func readGeo(content fields) string {
	for _, source := range []struct {
		in  fields
		key string
	}{
		{content, "geo_uri"},
		{content.object("m.location"), "uri"},
		{content.object("org.matrix.msc3488.location"), "uri"},
	} {
		if text, ok := source.in.text(source.key); ok && len(text) <= MaxGeoBytes && geoURI.MatchString(text) {
			return text
		}
	}
	return ""
}
