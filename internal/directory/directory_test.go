package directory_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/directory"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

var (
	noon   = time.Date(2026, 1, 31, 12, 0, 0, 123e6, time.UTC)
	amber  = []stix.ID{stix.TLPAmber.MarkingID()}
	room   = channel("Ops (!ops:example.org)")
	alice  = identity("@alice:example.org")
	hello  = message("$hello", "Hello <b>&\u2028", noon)
	answer = message("$answer", "Answer", noon.Add(24*time.Hour))
)

func channel(name string) *stix.Channel {
	return &stix.Channel{
		ID: stix.ChannelID("!ops:example.org"), Created: noon, Modified: noon, Name: name, Aliases: []string{"!ops:example.org"},
		Types: []string{"Matrix"}, Markings: amber,
	}
}

func identity(name string) *stix.Identity {
	return &stix.Identity{
		ID: stix.IndividualID(name), Created: noon, Modified: noon, Name: name, Class: stix.ClassIndividual, Markings: amber,
	}
}

func message(event, text string, sent time.Time) *stix.MediaContent {
	return &stix.MediaContent{
		ID: stix.MediaContentID(event), URL: event, Title: "t", Content: text, Category: "matrix", Published: sent, Author: alice.ID, Markings: amber,
	}
}

func publishes(m *stix.MediaContent) *stix.Relationship {
	return stix.NewRelationship(stix.Publishes, room.ID, m.ID, m.Published, m.Published, amber...)
}

func open(t *testing.T, root string) *directory.Directory {
	t.Helper()
	d, err := directory.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, d) })
	return d
}

func closeNow(t *testing.T, d *directory.Directory) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	if _, err := directory.Open(root); !errors.Is(err, directory.ErrInUse) {
		t.Errorf("a second one opens: %v, want ErrInUse", err)
	}
	closeNow(t, d)
	open(t, root)
}

// export sends the objects as a deliverer does, and wants all of them landed.
func export(t *testing.T, d *directory.Directory, objects ...stix.Object) {
	t.Helper()
	for id, v := range send(t, d, objects...) {
		if v.State != stix.Landed {
			t.Errorf("%s is %s (%s), want landed", id, v.State, v.Reason)
		}
	}
}

func send(t *testing.T, d *directory.Directory, objects ...stix.Object) stix.Verdicts {
	t.Helper()
	b := stix.NewBundle(objects...)
	receipt, err := d.Begin(t.Context(), len(b.Objects))
	if err != nil || receipt == "" {
		t.Fatalf("begin: %q, %v", receipt, err)
	}
	if err := d.Publish(t.Context(), receipt, b); err != nil {
		t.Fatal(err)
	}
	verdicts, err := d.Settle(t.Context(), receipt, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != len(b.Objects) {
		t.Errorf("%d verdicts on %d objects", len(verdicts), len(b.Objects))
	}
	return verdicts
}

// tree is every file below root, by its path.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		below, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(below)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

type bundle struct {
	Type, ID string
	Objects  []map[string]any
}

func readBundle(t *testing.T, text string) bundle {
	t.Helper()
	var b bundle
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// find is the object of that id in the bundle.
func (b bundle) find(t *testing.T, id stix.ID) map[string]any {
	t.Helper()
	for _, o := range b.Objects {
		if o["id"] == string(id) {
			return o
		}
	}
	t.Fatalf("the bundle has no %s", id)
	return nil
}

func uuidOf(id stix.ID) string { return string(id)[strings.Index(string(id), "--")+2:] }

func pathOf(m *stix.MediaContent) string {
	return "messages/" + m.Published.Format("2006-01-02/150405") + "123-" + uuidOf(m.ID) + ".json"
}

func file(name string, content []byte) stix.File {
	sum := sha256.Sum256(content)
	return stix.File{
		Name: name, MediaType: "text/plain", Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Marking: amber[0], Version: noon,
	}
}

func TestEachMessageStandsInABundleOfItsOwnThatStandsAlone(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice)
	reply := stix.NewRelationship(stix.RelatedTo, answer.ID, hello.ID, time.Time{}, answer.Published, amber...)
	export(t, d, hello, publishes(hello), answer, publishes(answer), reply)

	files := tree(t, root)
	want := map[string][]stix.ID{
		"channels/" + uuidOf(room.ID) + ".json": {amber[0], room.ID},
		"authors/" + uuidOf(alice.ID) + ".json": {amber[0], alice.ID},
		pathOf(hello):                           {amber[0], alice.ID, room.ID, hello.ID, publishes(hello).ID},
		pathOf(answer):                          {amber[0], alice.ID, room.ID, answer.ID, publishes(answer).ID, reply.ID},
	}
	if len(files) != len(want) {
		t.Errorf("%d files, want %d", len(files), len(want))
	}
	for path, ids := range want {
		b := readBundle(t, files[path])
		seen := map[string]bool{}
		for _, o := range b.Objects {
			for key, value := range o {
				if strings.HasSuffix(key, "_ref") && !seen[value.(string)] && value != string(hello.ID) {
					t.Errorf("%s: %s stands before its %s", path, o["id"], key)
				}
			}
			seen[o["id"].(string)] = true
		}
		if len(seen) != len(ids) {
			t.Errorf("%s: %d objects, want %d", path, len(seen), len(ids))
		}
		for _, id := range ids {
			if !seen[string(id)] {
				t.Errorf("%s has no %s", path, id)
			}
		}
	}
	if got := readBundle(t, files[pathOf(hello)]).find(t, hello.ID)["content"]; got != hello.Content {
		t.Errorf("content %q, want %q", got, hello.Content)
	}
	info, err := os.Stat(filepath.Join(root, pathOf(hello)))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others can read it", info.Mode(), err)
	}
}

func TestARepeatReplacesItself(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	objects := []stix.Object{room, alice, hello, publishes(hello)}
	d := open(t, first)
	export(t, d, objects...)
	closeNow(t, d)
	export(t, open(t, second), objects...)
	if diff := cmp.Diff(tree(t, first), tree(t, second)); diff != "" {
		t.Errorf("two folders differ: %s", diff)
	}
	before := tree(t, first)
	export(t, open(t, first), objects...)
	if diff := cmp.Diff(before, tree(t, first)); diff != "" {
		t.Errorf("the repeat changed: %s", diff)
	}
}

func TestTextChangesAndFilesStay(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice, hello, publishes(hello))
	content := []byte("a,b\n")
	if err := d.Attach(t.Context(), hello.ID, file("List.csv", content), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	edited := message("$hello", "Hello again", noon)
	verdicts, err := d.Amend(t.Context(), stix.NewBundle(edited))
	if err != nil || verdicts[hello.ID].State != stix.Landed {
		t.Fatalf("amend: %v, %v", verdicts, err)
	}
	b := readBundle(t, tree(t, root)[pathOf(hello)])
	o := b.find(t, hello.ID)
	b.find(t, publishes(hello).ID)
	if o["content"] != "Hello again" {
		t.Errorf("content %v", o["content"])
	}
	want := []any{map[string]any{
		"name": "List.csv", "data": "YSxiCg==", "mime_type": "text/plain", "version": "2026-01-31T12:00:00.123Z",
		"object_marking_refs": []any{string(amber[0])}, "no_trigger_import": true,
	}}
	if diff := cmp.Diff(want, o["x_opencti_files"]); diff != "" {
		t.Error(diff)
	}
	before := tree(t, root)
	if err := d.Attach(t.Context(), hello.ID, file("List.csv", content), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, tree(t, root)); diff != "" {
		t.Errorf("attaching the same again changed: %s", diff)
	}
	if err := d.Attach(t.Context(), hello.ID, file("list.CSV", nil), bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	found, err := d.Find(t.Context(), []stix.ID{hello.ID})
	if err != nil || !slices.Equal(found[hello.ID].Files, []string{"list.csv"}) {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestALargeFileStandsBesideTheBundles(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice, hello, publishes(hello))
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16+1)
	f := file("../Über uns\n.pdf", content)
	if err := d.Attach(t.Context(), hello.ID, f, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	files := tree(t, root)
	path := "files/" + f.SHA256 + "-_ber_uns_.pdf"
	o := readBundle(t, files[pathOf(hello)]).find(t, hello.ID)
	entries, _ := o["x_matrix_files"].([]any)
	if len(entries) != 1 || o["x_opencti_files"] != nil {
		t.Fatalf("files in the object: %v, %v", o["x_matrix_files"], o["x_opencti_files"])
	}
	entry, _ := entries[0].(map[string]any)
	got, _ := entry["path"].(string)
	if entry["name"] != f.Name || entry["sha256"] != f.SHA256 || entry["size"] != float64(f.Bytes) || !strings.HasPrefix(got, "files/"+f.SHA256+"-") {
		t.Errorf("entry %v, want the path %s", entry, path)
	}
	if files[got] != string(content) {
		t.Errorf("%s holds %d bytes, want %d", got, len(files[got]), len(content))
	}
}

func TestAFileThatIsNotWhatItSaysLeavesNothingBehind(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice, hello, publishes(hello))
	before := tree(t, root)
	for _, size := range []int{10, 2 << 20} {
		content := bytes.Repeat([]byte("x"), size)
		f := file("a.bin", content)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range map[string]error{
			"shorter":   d.Attach(t.Context(), hello.ID, f, bytes.NewReader(content[1:])),
			"longer":    d.Attach(t.Context(), hello.ID, f, bytes.NewReader(append(content, 'x'))),
			"other":     d.Attach(t.Context(), hello.ID, f, bytes.NewReader(bytes.Repeat([]byte("y"), size))),
			"broken":    d.Attach(t.Context(), hello.ID, f, iotest.ErrReader(errors.New("cut"))),
			"cancelled": d.Attach(cancelled, hello.ID, f, bytes.NewReader(content)),
		} {
			if err == nil {
				t.Errorf("a %s file of %d bytes was attached", name, size)
			}
		}
		if err := d.Attach(t.Context(), answer.ID, f, bytes.NewReader(content)); !errors.Is(err, stix.ErrGone) {
			t.Errorf("attaching to what is not there: %v, want ErrGone", err)
		}
	}
	if diff := cmp.Diff(before, tree(t, root)); diff != "" {
		t.Errorf("left behind: %s", diff)
	}
}

func TestWhatRefersToNothingIsNotWritten(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	verdicts := send(t, d, room, hello, publishes(hello))
	want := stix.Verdicts{
		room.ID:             {State: stix.Landed},
		hello.ID:            {State: stix.MissingEnd, Reason: string(alice.ID) + " is not in the folder"},
		publishes(hello).ID: {State: stix.MissingEnd, Reason: string(alice.ID) + " is not in the folder"},
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Error(diff)
	}
	if n := len(tree(t, root)); n != 1 {
		t.Errorf("%d files, want the room's alone", n)
	}
	export(t, d, alice, hello, publishes(hello))
}

func TestARelationThatComesLaterJoinsItsMessage(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice, hello, publishes(hello), answer, publishes(answer))
	reply := stix.NewRelationship(stix.RelatedTo, answer.ID, hello.ID, time.Time{}, answer.Published, amber...)
	closeNow(t, d)
	export(t, open(t, root), reply)
	b := readBundle(t, tree(t, root)[pathOf(answer)])
	for _, id := range []stix.ID{answer.ID, publishes(answer).ID, reply.ID, room.ID, alice.ID} {
		b.find(t, id)
	}
}

func TestSettleTellsWhatACrashLeft(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice, hello, publishes(hello))
	half := filepath.Join(root, "messages", ".writing-123")
	if err := os.WriteFile(half, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	closeNow(t, d)
	d = open(t, root)
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a half-written file is still there: %v", err)
	}
	verdicts, err := d.Settle(t.Context(), "r", stix.NewBundle(message("$hello", "other", noon), answer, publishes(hello), publishes(answer)))
	if err != nil {
		t.Fatal(err)
	}
	want := stix.Verdicts{
		hello.ID: {State: stix.Differs}, publishes(hello).ID: {State: stix.Landed}, answer.ID: {State: stix.Missing}, publishes(answer).ID: {State: stix.Missing},
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Error(diff)
	}
}

func TestReviseAndFind(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	next := *room
	next.Name, next.Description = "Ops & <more>", "Topic: everything"
	if _, err := d.Revise(t.Context(), &next, stix.Written{}); !errors.Is(err, stix.ErrGone) {
		t.Errorf("revising what is not there: %v, want ErrGone", err)
	}
	export(t, d, room, alice, hello, publishes(hello))
	other := stix.Written{Name: "another name", Digest: stix.Digest("another text")}
	if now, err := d.Revise(t.Context(), &next, other); now != other || err != nil {
		t.Errorf("revised a room of other words: %v, %v", now, err)
	}
	now, err := d.Revise(t.Context(), &next, stix.Written{Name: room.Name, Digest: stix.Digest(room.Description)})
	if want := (stix.Written{Name: next.Name, Digest: stix.Digest(next.Description)}); now != want || err != nil {
		t.Errorf("not revised: %v, %v", now, err)
	}
	closeNow(t, d)
	found, err := open(t, root).Find(t.Context(), []stix.ID{room.ID, alice.ID, hello.ID, answer.ID})
	if err != nil {
		t.Fatal(err)
	}
	want := map[stix.ID]stix.Found{
		room.ID:  {ID: room.ID, StandardID: room.ID, InternalID: string(room.ID), Type: "channel", Name: "Ops & <more>", Description: "Topic: everything", Aliases: room.Aliases, Confidence: -1},
		alice.ID: {ID: alice.ID, StandardID: alice.ID, InternalID: string(alice.ID), Type: "identity", Name: alice.Name, Confidence: -1},
		hello.ID: {ID: hello.ID, StandardID: hello.ID, InternalID: string(hello.ID), Type: "media-content", Confidence: -1},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	if text := tree(t, root)["channels/"+uuidOf(room.ID)+".json"]; !strings.Contains(text, `"name": "Ops & <more>"`) {
		t.Errorf("the room's file says %s", text)
	}
}

func TestAMessageWithAnotherTimeMoves(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	export(t, d, room, alice, hello, publishes(hello))
	later := message("$hello", "Hello", noon.Add(time.Hour))
	export(t, d, later)
	files := tree(t, root)
	if _, there := files[pathOf(hello)]; there || files[pathOf(later)] == "" {
		t.Errorf("files %v", slices.Sorted(keys(files)))
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// The relation comes when both rooms have landed: in a batch of its own, in the file of
// the room that replaces.
func TestARoomThatReplacesAnotherHoldsTheRelation(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	former := *room
	former.ID, former.Name, former.Aliases = stix.ChannelID("!former:example.org"), "Former (!former:example.org)", []string{"!former:example.org"}
	derived := stix.NewRelationship(stix.DerivedFrom, room.ID, former.ID, time.Time{}, noon, amber...)
	for _, v := range send(t, d, derived) {
		if v.State != stix.MissingEnd {
			t.Errorf("without its ends the relation is %s, want missing_end", v.State)
		}
	}
	export(t, d, room, &former)
	export(t, d, derived)
	next := *room
	next.Description = "Topic: mail"
	if _, err := d.Revise(t.Context(), &next, stix.Written{Name: room.Name, Digest: stix.Digest(room.Description)}); err != nil {
		t.Fatal(err)
	}
	b := readBundle(t, tree(t, root)["channels/"+uuidOf(room.ID)+".json"])
	var kinds []string
	for _, o := range b.Objects {
		kinds = append(kinds, fmt.Sprintf("%v %v%v", o["type"], o["relationship_type"], o["description"]))
	}
	slices.Sort(kinds)
	want := []string{"channel <nil>Topic: mail", "channel <nil><nil>", "marking-definition <nil><nil>", "relationship derived-from<nil>"}
	slices.Sort(want)
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("the room's file (-want +got):\n%s", diff)
	}
}
