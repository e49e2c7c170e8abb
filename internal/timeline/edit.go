package timeline

import (
	"cmp"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Version is what a message said before it was edited.
type Version struct {
	ID   id.EventID // of the original, or of an edit
	Sent time.Time
	Text string // cut to [MaxVersionBytes]
}

// errNotSaid is what an edit is whose new content says nothing that its original
// could.
var errNotSaid = errors.New("edit without a readable new content")

// version is an original or a valid edit, read.
type version struct {
	event *Event
	item  Item
}

// edit makes the post say what its newest valid edit says (Matrix C-S API, "Event
// replacements"): text, kind and files. Sender, time, and what the message answers stay
// those of the original. It keeps what was said before. An edit that was taken back
// counts no more.
func (p *Post) edit(original *Event, said Item, events []Event, taken map[id.EventID]bool) {
	edits := editsOf(original, said, events, taken)
	if len(edits) == 0 {
		return
	}
	newest := edits[len(edits)-1]
	*p, _ = newest.item.Post(*original)
	p.Edited = newest.event.Sent
	p.Trust = min(p.Trust, newest.event.Trust)
	all := append([]version{{original, said}}, edits...)
	p.Earlier, p.EarlierMore = earlier(all)
	p.Files = filesOf(all)
}

// editsOf lists the valid edits of a message, each once, oldest first. Of two edits of
// one time the one with the larger id is the newer.
func editsOf(original *Event, said Item, events []Event, taken map[id.EventID]bool) []version {
	var edits []version
	for i := range events {
		e := &events[i]
		if taken[e.ID] || !validEdit(original, e) {
			continue
		}
		item, err := readEdit(original, said, e)
		if err != nil {
			continue
		}
		edits = append(edits, version{e, item})
	}
	slices.SortFunc(edits, func(a, b version) int {
		return cmp.Or(a.event.Sent.Compare(b.event.Sent), cmp.Compare(a.event.ID, b.event.ID), order(a.event, b.event))
	})
	return slices.CompactFunc(edits, func(a, b version) bool { return a.event.ID == b.event.ID })
}

// validEdit applies the rules of Matrix C-S API, "Validity of replacement events": the
// same room, sender and type, no state, the original no edit itself (a message never
// is), and an encrypted original only by an encrypted event. An edit whose key belongs
// to another user than its sender is a forgery, and changes nothing.
func validEdit(original, e *Event) bool {
	if e.StateKey != nil || original.StateKey != nil || e.Room != original.Room || e.Sender != original.Sender || e.Type != original.Type {
		return false
	}
	if e.Trust == TrustMismatch || original.Trust.Encrypted() && !e.Trust.Encrypted() {
		return false
	}
	item, err := Parse(*e)
	return err == nil && item.Class == ClassEdit && item.Target == original.ID
}

// readEdit reads m.new_content as though the original had said it: what that one
// answers stays, whatever relation the new content names.
func readEdit(original *Event, said Item, e *Event) (Item, error) {
	content, err := readFields(e.Content)
	if err != nil {
		return Item{}, errNotSaid
	}
	said = Item{Class: said.Class, Target: said.Target, Reply: said.Reply, Thread: said.Thread}
	content, err = readFields(content["m.new_content"])
	if err != nil || len(content) == 0 {
		return Item{}, errNotSaid
	}
	delete(content, "m.relates_to")
	if before, err := readFields(original.Content); err == nil && before.has("m.relates_to") {
		content["m.relates_to"] = before["m.relates_to"] // a quote before an answer is stripped
	}
	switch e.Type {
	case event.EventMessage.Type:
		err = readMessage(&said, *original, content)
	case event.EventSticker.Type:
		readSticker(&said, content)
	case typePollStart, typePollStartOld:
		err = readPoll(&said, *e, content)
	default:
		var says bool
		if says, err = readExtensible(&said, *original, content); err == nil && !says {
			err = errNotSaid
		}
	}
	return said, err
}

// earlier lists what was said before the newest version: the oldest one and the last
// ones, with the number of those between. A version that reads like the next one is none.
func earlier(all []version) (list []Version, more int) {
	for i, v := range all[:len(all)-1] {
		if v.item.Text != all[i+1].item.Text {
			list = append(list, Version{ID: v.event.ID, Sent: v.event.Sent, Text: clip(v.item.Text, MaxVersionBytes)})
		}
	}
	if more = len(list) - MaxVersions; more <= 0 {
		return list, 0
	}
	return slices.Delete(list, 1, 1+more), more
}

// filesOf lists the files of all versions, each once: those of the newest version,
// then the former ones. A file is the same when its address and its hash are: then an
// edit has changed its caption only, and the file is as it was first announced.
//
// A file that an edit brought has an index of its own, made of that address, so that it
// is the same in whatever order edits become known.
func filesOf(all []version) []File {
	var files []File
	places := map[string]int{}
	used := map[int]bool{}
	newest := len(all) - 1
	for i, v := range all {
		for _, file := range v.item.Files {
			name := file.identity()
			at, known := places[name]
			if known {
				files[at].Former = i < newest
				continue
			}
			if i > 0 {
				for file.Index = editIndex(name); used[file.Index]; file.Index++ {
				}
			}
			file.Former = i < newest
			used[file.Index], places[name] = true, len(files)
			if len(files) < MaxFiles {
				files = append(files, file)
			}
		}
	}
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(rank(a.Former), rank(b.Former)) })
	return files
}

func rank(former bool) int {
	if former {
		return 1
	}
	return 0
}

// FirstEditIndex is the lowest index of a file that an edit brought.
const FirstEditIndex = 1 << 10

func editIndex(identity string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(identity)) // never fails
	return FirstEditIndex + int(h.Sum32()>>2)
}

// identity tells a file from others: its address, and the hash of an encrypted one. An
// unusable announcement is told by its name.
func (f File) identity() string {
	if f.Problem != "" {
		return f.Problem + " " + f.Name
	}
	var key struct {
		Hashes struct {
			SHA256 string `json:"sha256"`
		} `json:"hashes"`
	}
	_ = json.Unmarshal(f.Key, &key) // read before, and none for a plain file
	return f.URI.String() + " " + key.Hashes.SHA256
}
