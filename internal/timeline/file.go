package timeline

import (
	"bytes"
	"encoding/json"
	"mime"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"
)

// The problems of an announcement.
const (
	ProblemNoURI  = "no mxc uri"
	ProblemURI    = "invalid mxc uri"
	ProblemKey    = "incomplete encryption key"
	ProblemKeyLen = "oversized encryption key"
)

// maxDuration bounds what a voice message or video may claim.
const maxDuration = 100 * 24 * time.Hour

// readFile reads the announcement of an attachment. It never fails: what is
// unusable becomes a file with a problem.
func readFile(index int, kind Kind, name string, content fields) File {
	info := content.object("info")
	mimeType, _ := info.text("mimetype")
	file := File{
		Index:    index,
		MimeType: cleanType(mimeType),
		Size:     info.number("size"),
		Duration: readDuration(info, content),
		Voice:    content.has("org.matrix.msc3245.voice") || content.has("m.voice"),
	}
	file.Name = cleanName(name, kind, file.MimeType)
	address, _ := content.text("url")
	if encrypted := content.object("file"); len(encrypted) > 0 {
		address, _ = encrypted.text("url")
		file.Key, file.Problem = readKey(content["file"], encrypted)
	}
	uri, problem := readURI(address)
	file.URI = uri
	if problem != "" {
		file.Problem = problem
	}
	return file
}

// readURI checks an mxc:// address. Both parts become segments of a request's
// path, so neither may climb out of it.
func readURI(address string) (id.ContentURI, string) {
	if address == "" {
		return id.ContentURI{}, ProblemNoURI
	}
	uri, err := id.ParseContentURI(address)
	if err != nil || !uri.IsValid() || len(address) > 2*MaxIDBytes || strings.Trim(uri.Homeserver, ".") != uri.Homeserver {
		return id.ContentURI{}, ProblemURI
	}
	return uri, ""
}

// readKey keeps the JSON of an EncryptedFile when it has everything that opening
// the file takes (Matrix C-S API, "Sending encrypted attachments").
func readKey(raw json.RawMessage, encrypted fields) ([]byte, string) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, ProblemKey
	}
	if compact.Len() > MaxKeyBytes {
		return nil, ProblemKeyLen
	}
	key, _ := encrypted.object("key").text("k")
	iv, _ := encrypted.text("iv")
	hash, _ := encrypted.object("hashes").text("sha256")
	if key == "" || iv == "" || hash == "" {
		return nil, ProblemKey
	}
	return compact.Bytes(), ""
}

// readDuration is how long a recording is, as its sender says.
func readDuration(info, content fields) time.Duration {
	ms := info.number("duration")
	for _, block := range []string{"m.audio_details", "org.matrix.msc1767.audio"} {
		if ms == 0 {
			ms = content.object(block).number("duration")
		}
	}
	if ms > maxDuration.Milliseconds() {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// cleanType is a claimed media type in its plain form, without parameters; empty
// for what is none.
func cleanType(claim string) string {
	if len(claim) > MaxTypeBytes {
		return ""
	}
	mediaType, _, err := mime.ParseMediaType(claim)
	if err != nil || strings.Count(mediaType, "/") != 1 {
		return ""
	}
	return mediaType
}

// extensions gives a nameless file an ending that people recognise. The tables of
// package mime depend on the machine.
var extensions = map[string]string{
	"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp", "image/svg+xml": ".svg",
	"audio/ogg": ".ogg", "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "video/mp4": ".mp4", "video/webm": ".webm",
	"application/pdf": ".pdf", "application/zip": ".zip", "text/plain": ".txt", "application/json": ".json",
}

// cleanName makes a file name that is one visible path element anywhere: no
// separators, no control, bidi or other invisible characters, no leading or
// trailing dots or blanks, at most [MaxNameBytes], ending kept. A name of which
// nothing is left becomes the kind of message with an ending for the media type.
func cleanName(claim string, kind Kind, mediaType string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == '\u2215' || r == '\u2044':
			return '_'
		case r == '\u200c' || r == '\u200d':
			return r // joiners: Persian, and emoji of several parts
		case unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(claim, "\uFFFD"))
	name = strings.TrimFunc(name, func(r rune) bool { return r == '.' || r == ' ' || r == '\u200c' || r == '\u200d' })
	if name == "" {
		name = string(kind)
	}
	if kind == KindSticker || name == string(kind) {
		if path.Ext(name) == "" {
			name += extensions[mediaType]
		}
	}
	return clipName(name)
}

// clipName cuts a name in the middle: before its ending.
func clipName(name string) string {
	if len(name) <= MaxNameBytes {
		return name
	}
	ending := path.Ext(name)
	if utf8.RuneCountInString(ending) > 11 || len(ending) > 44 {
		ending = ""
	}
	stem := head(strings.TrimSuffix(name, ending), MaxNameBytes-len(ending))
	return strings.TrimRight(stem, " .") + ending
}
