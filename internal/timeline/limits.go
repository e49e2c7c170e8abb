package timeline

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Limits on what one event may contribute. An event is at most 65,536 bytes
// (Matrix C-S API, "Size limits"), but a hostile homeserver does not keep to it.
// What is cut here is cut from the [Post] only: the event is stored as received.
const (
	// MaxTextBytes bounds Text and HTML of a post.
	MaxTextBytes = 64 << 10
	// MaxNameBytes bounds the name of a file, the longest that common file systems
	// take.
	MaxNameBytes = 255
	// MaxFiles bounds the attachments of one message.
	MaxFiles = 50
	// MaxReasonBytes bounds the reason of a redaction.
	MaxReasonBytes = 1 << 10
	// MaxVersions bounds the former versions of an edited message, MaxVersionBytes the
	// text of each.
	MaxVersions     = 10
	MaxVersionBytes = 4 << 10
	// MaxKeyBytes bounds the JSON of an EncryptedFile.
	MaxKeyBytes = 4 << 10
	// MaxTypeBytes bounds msgtype and media type as claimed.
	MaxTypeBytes = 127
	// MaxReactionBytes bounds the key of a reaction.
	MaxReactionBytes = 128
	// MaxGeoBytes bounds a geo URI.
	MaxGeoBytes = 255
	// MaxIDBytes bounds every Matrix identifier (Matrix appendices, "Common
	// identifier format").
	MaxIDBytes = 255
)

// cutMark ends a text that was cut.
const cutMark = " […]"

// The bounds of [ClampTime]. STIX timestamps before 1970 are legal but the
// platform treats 1970-01-01 as "no date" and cannot show earlier ones.
var (
	minTime = time.Unix(0, 0).UTC()
	maxTime = time.Date(9999, time.December, 31, 23, 59, 59, 999_000_000, time.UTC)
)

// ClampTime turns origin_server_ts, milliseconds since 1970 as the sender's
// homeserver claims them, into a time that RFC 3339 and STIX can say: never
// before 1970-01-01T00:00:00Z, never after 9999-12-31T23:59:59.999Z.
func ClampTime(ms int64) time.Time {
	return time.UnixMilli(min(max(ms, minTime.UnixMilli()), maxTime.UnixMilli())).UTC()
}

// clip cuts text to at most limit bytes, at a rune boundary and with a visible
// mark. What it returns is valid UTF-8.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	return head(text, limit-len(cutMark)) + cutMark
}

// head is the longest prefix of whole runes within limit bytes.
func head(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := max(limit, 0)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
