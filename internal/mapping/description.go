package mapping

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// facts are the lines of a message's description: what its content does not say.
func (m *Mapper) facts(draft timeline.Draft) []string {
	post := draft.Post
	var lines []string
	if name := OneLine(post.SenderName, maxDisplayName); name != "" && name != post.Sender.String() {
		lines = append(lines, "Display name: "+name)
	}
	lines = append(lines, redactionFacts(post)...)
	lines = append(lines, kindFacts(post)...)
	if doubt := doubts[post.Trust]; doubt != "" {
		lines = append(lines, doubt)
	}
	lines = append(lines, fileFacts(draft)...)
	if post.Reply != "" {
		lines = append(lines, "In reply to: "+m.permalink(draft.Room.Room, post.Room, post.Reply))
	}
	if post.Thread != "" {
		lines = append(lines, "In the thread of: "+m.permalink(draft.Room.Room, post.Room, post.Thread))
	}
	lines = append(lines, claimFacts(post.Claims)...)
	lines = append(lines, pollFacts(post.Poll)...)
	lines = append(lines, reactionFacts(post.Reactions)...)
	lines = append(lines, "Message: "+m.permalink(draft.Room.Room, post.Room, post.ID))
	return append(lines, versionFacts(post)...)
}

// versionFacts say when a message was edited and what it said before. They stand last,
// and every line of a former text is set in, so that none can pass for a fact.
func versionFacts(post timeline.Post) []string {
	if post.Edited.IsZero() {
		return nil
	}
	lines := []string{"Edited: " + moment(post.Edited)}
	if len(post.Earlier) == 0 {
		return lines
	}
	lines = append(lines, "Earlier versions:")
	for i, v := range post.Earlier {
		if i == 1 && post.EarlierMore > 0 {
			lines = append(lines, strconv.Itoa(post.EarlierMore)+" more versions are not shown")
		}
		lines = append(lines, moment(v.Sent)+":")
		text := v.Text
		if strings.TrimSpace(text) == "" {
			text = "(no text)"
		}
		for line := range strings.SplitSeq(unifyBreaks(text), "\n") {
			lines = append(lines, setIn+line)
		}
	}
	return lines
}

const setIn = "    "

// moment is a time as people read it; what was sent is a claim of a homeserver.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// kindFacts say what kind of message it is where the text does not.
func kindFacts(post timeline.Post) []string {
	var lines []string
	switch post.Kind {
	case timeline.KindNotice:
		if post.MsgType == timeline.MsgServerNotice {
			lines = append(lines, "It says that it is a notice of the homeserver")
		} else {
			lines = append(lines, "Automated notice")
		}
	case timeline.KindOther:
		if kind := OneLine(post.MsgType, timeline.MaxTypeBytes); kind != "" {
			lines = append(lines, "Message type: "+kind)
		}
	case timeline.KindLocation:
		lines = append(lines, placeFacts(post)...)
	case timeline.KindText, timeline.KindEmote, timeline.KindImage, timeline.KindFile,
		timeline.KindAudio, timeline.KindVideo, timeline.KindSticker, timeline.KindPoll, timeline.KindGallery:
	}
	for _, file := range current(post.Files) {
		if file.Voice {
			lines = append(lines, "Voice message"+duration(file.Duration))
		} else if file.Duration > 0 {
			lines = append(lines, "Duration"+duration(file.Duration))
		}
	}
	return lines
}

func duration(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ": " + strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
}

// doubts say why the sender is not beyond doubt. A signed device, and a plain message
// in a plain room, need no remark.
var doubts = map[timeline.Trust]string{
	timeline.TrustMismatch:  "Authenticity: in doubt. The encryption key belongs to another user than the sender.",
	timeline.TrustPlaintext: "Authenticity: sent without encryption in an encrypted room; the homeserver alone vouches for the sender.",
	timeline.TrustUnknown:   "Authenticity: not proven. The sending device is not known.",
	timeline.TrustBackup:    "Authenticity: not proven. The key came from a backup, a file or another device.",
	timeline.TrustDevice:    "Authenticity: sent by a device that its owner has not verified.",
}

// fileFacts describe the attachments that are not there.
func fileFacts(draft timeline.Draft) []string {
	refused := make(map[int]string)
	for _, a := range draft.Attachments {
		if a.Refused != "" {
			refused[a.File.Index] = a.Refused
		}
	}
	var lines []string
	for _, file := range draft.Post.Files {
		what := "Attachment"
		if file.Former {
			what = "Attachment of an earlier version"
		}
		reason := file.Problem
		if why := refused[file.Index]; why != "" {
			reason = why
		}
		switch {
		case reason == "" && file.Former:
			lines = append(lines, what+": "+fileName(file.Name, file.Index))
			continue
		case reason == "":
			continue
		}
		lines = append(lines, what+" not imported ("+strings.ReplaceAll(OneLine(reason, maxReason), "_", " ")+"): "+file.Name+claims(file))
	}
	if draft.Post.MoreFiles > 0 {
		lines = append(lines, "Attachments not imported (more than "+strconv.Itoa(timeline.MaxFiles)+" in one message): "+strconv.Itoa(draft.Post.MoreFiles))
	}
	return lines
}

const maxReason = 80

// claims are type and size as the sender announced them.
func claims(file timeline.File) string {
	var list []string
	if file.MimeType != "" {
		list = append(list, file.MimeType)
	}
	if file.Size > 0 {
		list = append(list, strconv.FormatInt(file.Size, 10)+" bytes")
	}
	if len(list) == 0 {
		return ""
	}
	return ", announced as " + strings.Join(list, ", ")
}

// permalink is the address of an event (Matrix appendices, "matrix.to navigation").
// The server to ask is named always: ids of newer rooms name none.
func (m *Mapper) permalink(known timeline.Room, room id.RoomID, event id.EventID) string {
	link := m.c.PermalinkBase + pathEscape(room.String()) + "/" + pathEscape(event.String())
	if known.Server != "" {
		link += "?via=" + pathEscape(known.Server)
	}
	return link
}

// pathEscape escapes what would end or split a part of a permalink, or what Markdown
// would have to escape; room and event ids stay readable.
func pathEscape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._!$:@=+", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
