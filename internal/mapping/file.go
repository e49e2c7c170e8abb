package mapping

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Limits of a file's name: what the platform keeps (in UTF-16 units) and what file
// systems take (in bytes), less room for a number.
const (
	maxStem      = 190
	maxEnding    = 10
	maxNameBytes = 240
)

// File maps an attachment of a post. Its name is unique in the post, whatever the
// case, because the platform lets a file of an equal name replace the other: the
// second file is "name (2).ext", and so on. Version is the time of the message, so
// that uploading again never replaces.
func (m *Mapper) File(draft timeline.Draft, a timeline.Attachment) stix.File {
	return stix.File{
		Name:       FileName(a.File),
		MediaType:  a.MediaType,
		Bytes:      a.Bytes,
		SHA256:     a.SHA256,
		Marking:    m.rule(draft.Room.Room).Marking,
		Version:    known(a.Sent),
		AutoImport: m.c.AutoImport,
	}
}

// FileName is the name under which a file stands at its object.
func FileName(f timeline.File) string { return fileName(f.Name, f.Index) }

// numbered is a stem that ends as ours do.
var numbered = regexp.MustCompile(` \(([0-9]+|edit [0-9a-f]+)\)$`)

// fileName depends on the file alone: every file but the first carries its number,
// and so does a first one whose own name could be taken for such a number. One that an
// edit brought carries what tells it from the files of all other edits.
func fileName(name string, index int) string {
	if name == "" {
		name = "file"
	}
	ending := path.Ext(name)
	if len(ending) > maxEnding+1 || ending == name || ending == "." {
		ending = ""
	}
	stem := clipStem(strings.TrimSuffix(name, ending), maxNameBytes-len(ending))
	if index >= timeline.FirstEditIndex {
		return stem + " (edit " + strconv.FormatInt(int64(index-timeline.FirstEditIndex), 16) + ")" + ending
	}
	if index > 0 || numbered.MatchString(stem) {
		stem += " (" + strconv.Itoa(index+1) + ")"
	}
	return stem + ending
}

// clipStem cuts a stem at a character.
func clipStem(stem string, bytes int) string {
	units, size := 0, 0
	for i, r := range stem {
		units += utf16.RuneLen(r)
		size += utf8.RuneLen(r)
		if units > maxStem || size > bytes {
			return strings.TrimRight(stem[:i], " .")
		}
	}
	return stem
}
