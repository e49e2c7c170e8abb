package internal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// What docs/mapping.md shows is generated from the golden cases of the mapping: tables
// between marks, and the picture of the graph.

const mappingPage = "../docs/mapping.md"

// golden is one case: events in, objects out.
type golden struct {
	name, comment string
	scene, events string
	objects       []object // none where nothing is said
	files         []string // names of the attached files
}

// object is what the manual shows of an object.
type object struct {
	ID          string
	Type        string
	Name        string
	Aliases     []string
	Description string
	URL         string
	Title       string
	Content     string
	Category    string `json:"media_category"`
	Published   string `json:"publication_date"`
	Author      string `json:"x_opencti_created_by_ref"`
	About       string `json:"x_opencti_description"`
	Labels      []string
	Kind        string `json:"relationship_type"`
	Source      string `json:"source_ref"`
	Target      string `json:"target_ref"`
	Start       string `json:"start_time"`
}

// of gives the case's objects of a type.
func (g golden) of(kind string) (list []object) {
	for _, o := range g.objects {
		if o.Type == kind {
			list = append(list, o)
		}
	}
	return list
}

// goldens reads all cases, by their names.
func goldens(t *testing.T) []golden {
	t.Helper()
	paths, err := filepath.Glob("mapping/testdata/golden/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("goldens: %v, %v", paths, err)
	}
	var list []golden
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{name: strings.TrimSuffix(filepath.Base(path), ".txtar"), comment: strings.Join(strings.Fields(string(archive.Comment)), " ")}
		for _, f := range archive.Files {
			switch f.Name {
			case "scene.json":
				g.scene = string(f.Data)
			case "events.json":
				g.events = string(f.Data)
			case "bundle.json":
				var bundle struct{ Objects []object }
				if strings.HasPrefix(string(f.Data), "{") {
					decode(t, path, f.Data, &bundle)
				}
				g.objects = bundle.Objects
			case "files.json":
				var files []struct{ Name string }
				decode(t, path, f.Data, &files)
				for _, file := range files {
					g.files = append(g.files, file.Name)
				}
			}
		}
		list = append(list, g)
	}
	return list
}

func decode(t *testing.T, path string, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestTheManualShowsWhatTheMappingDoes(t *testing.T) {
	list := goldens(t)
	at := slices.IndexFunc(list, func(g golden) bool { return g.name == "whole" })
	if at < 0 {
		t.Fatal("there is no case whole")
	}
	text := read(t, mappingPage)
	for name, want := range map[string]string{
		"cases": casesBlock(list), "lines": linesBlock(t, list), "doubts": doubtsBlock(t, list), "example": exampleBlock(list[at]),
	} {
		text = block(t, text, name, want)
	}
	generated(t, mappingPage, text)
	generated(t, "../docs/images/graph.svg", draw(list[at]))
}

// block puts want between the marks of a name.
func block(t *testing.T, text, name, want string) string {
	t.Helper()
	start, end := "<!-- "+name+": go test ./internal -update -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(text, start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks of the generated part %s", mappingPage, name)
	}
	return before + start + "\n" + want + "\n" + end + after
}

// generated compares a file with what it has to hold, or writes it.
func generated(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale; run go test ./internal -update\n%s", path, diff)
	}
}

// chapters are the headings under which cases stand, each with the names of its cases; a
// case stands under the first that fits, and under the last where none does.
var chapters = []struct {
	head  string
	names []string
}{
	{"Whom to believe", []string{"trust-*", "plaintext-*", "file-encrypted", "server-notice-claimed", "html-differs", "per-message-profile", "*-false-*", "*-foreign*", "far-future"}},
	{"Hostile or odd", []string{"*hostile*", "text-inert", "empty", "*poison*"}},
	{"Texts", []string{"text*", "notice", "emote", "extensible*", "html*", "maths*", "mentions*", "link-preview*", "custom-emoji", "other", "unknown*"}},
	{"Files, stickers and places", []string{"image*", "audio*", "video*", "voice*", "file*", "gallery*", "sticker*", "location*"}},
	{"Polls and reactions", []string{"poll*", "reaction*"}},
	{"Replies and threads", []string{"reply*", "thread*", "whole"}},
	{"Edits and redactions", []string{"edit*", "redact*", "mask*", "delete*", "keep*", "un*"}},
	{"Rooms", []string{"room-*", "case-twin"}},
	{"Others", nil},
}

func chapter(g golden) string {
	for _, c := range chapters {
		for _, pattern := range c.names {
			if ok, _ := filepath.Match(pattern, g.name); ok {
				return c.head
			}
		}
	}
	return "Others"
}

// casesBlock is a table for each chapter, and one of what says nothing.
func casesBlock(list []golden) string {
	var b strings.Builder
	for _, c := range chapters {
		var rows []string
		for _, g := range list {
			if chapter(g) == c.head && len(g.objects) > 0 {
				rows = append(rows, caseRow(g, c.head == "Rooms"))
			}
		}
		if len(rows) == 0 {
			continue
		}
		columns := "| case | content | description, files and relations |"
		if c.head == "Rooms" {
			columns = "| case | name | description and relations |"
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n|---|---|---|\n%s\n\n", c.head, columns, strings.Join(rows, "\n"))
	}
	b.WriteString("### Nothing is said of\n\n")
	for _, g := range list {
		if len(g.objects) == 0 {
			fmt.Fprintf(&b, "- %s\n", g.comment)
		}
	}
	return b.String()
}

func caseRow(g golden, room bool) string {
	var value, about string
	kinds := []string{"related-to"}
	if room {
		o := g.of("channel")[0]
		value, about, kinds = o.Name, o.Description, []string{"derived-from"}
	} else {
		o := g.of("media-content")[0]
		value, about = o.Content, o.About
	}
	var cells []string
	for _, line := range lines(about) {
		// Every message has these.
		if line != "" && !strings.HasPrefix(line, "Message: ") && (!strings.HasPrefix(line, "Display name: ") || chapter(g) == "Hostile or odd") {
			cells = append(cells, code(line))
		}
	}
	if !room {
		for _, name := range g.files {
			if !slices.ContainsFunc(lines(about), func(line string) bool {
				return strings.HasPrefix(line, "Attachment not imported") && strings.Contains(line, "): "+name)
			}) {
				cells = append(cells, "file "+code(name))
			}
		}
	}
	for _, o := range g.of("relationship") {
		if slices.Contains(kinds, o.Kind) {
			cells = append(cells, "relation `"+o.Kind+"`")
		}
	}
	if len(cells) == 0 {
		cells = []string{"–"}
	}
	var said []string
	for _, line := range lines(value) {
		said = append(said, code(line))
	}
	return fmt.Sprintf("| %s | %s | %s |", g.comment, strings.Join(said, "<br>"), strings.Join(cells, "<br>"))
}

// lines are those of a Markdown text of ours.
func lines(text string) []string {
	return strings.Split(strings.ReplaceAll(text, "  \n", "\n"), "\n")
}

// code shows a text literally in a cell of a table: the Markdown that the platform is
// sent, clipped.
func code(text string) string {
	const most = 240
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + " …"
	}
	if text == "" {
		return ""
	}
	text = strings.ReplaceAll(text, "|", `\|`)
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 || strings.HasPrefix(text, " ") {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}

// said are the lines that a description may hold, with what they mean: of a message, and
// of a Channel. Each is shown as some case has it.
var said = []struct{ start, means string }{
	{"Display name: ", "how the sender called themselves then. Anybody may take any name: the account is the author"},
	{"Automated notice", "a program says so of itself"},
	{"Message type: ", "a kind that Matrix does not define"},
	{"Authenticity: ", "see below"},
	{"Attachment not imported (", "why there is no file; name, type and size are what the sender announced"},
	{"Voice message", "its length, as announced"},
	{"Duration: ", "of audio and video, as announced"},
	{"In reply to: ", "the message that this one answers, whether it was imported or not"},
	{"In the thread of: ", "the message that the thread hangs on"},
	{"Mentions: ", "whom the sender wanted to be told; a claim like the text"},
	{"Shown under a name", "clients show this name in place of the sender's; it is the sender's own words"},
	{"It says that it is a notice", "anybody can send what looks like one"},
	{"Link with a preview: ", "an address that people saw a preview of, and that the text does not hold"},
	{"Location: ", "of a place, as numbers"},
	{"Location as sent: ", "the same, in the sender's own form"},
	{"Poll: ", "how many answers a person has, and whether votes were shown before the end"},
	{"Poll closed: ", "when, and by whom"},
	{"Voters: ", "how many people's votes count"},
	{"Spoilt votes: ", "of people whose last vote names no answer of the poll"},
	{"Votes not counted, ", "the answer that they were for is another one by now"},
	{"Votes for (", "counted by the connector: how many, and whose"},
	{"Reaction by ", "how many people put a sign there, and the first of them"},
	{"Edited: ", "when the newest edit that counts was made; the text is what it says"},
	{"Earlier versions:", "below it, each with its time: what was said before"},
	{"Attachment of an earlier version: ", "a file that an edit took out; it stays"},
	{"Formatted:", "below it, quoted: what people were shown, where it says more than the text"},
	{"In plain text, which says something else:", "below it, quoted: what was sent beside the formatted text, and people were not shown"},
	{"Message: ", "this message. The address opens in a Matrix client, for members of the room"},
	{"MXID: ", "of an Individual: the account's own id, where another account's differs from it only in case"},
	{"Room: ", "of a Channel: the room's own id, where another Channel has it, or another room's differs from it only in case"},
	{"Topic: ", "of a Channel: what the room says it is about; further lines of it begin with │"},
	{"Address: ", "of a Channel: the room's alias"},
	{"End-to-end encrypted: ", "of a Channel: once yes, always yes"},
	{"Picture: ", "of a Channel: the address of its picture, which is not imported"},
	{"Read through the homeserver: ", "of a Channel: whose word stands behind what is not encrypted"},
	{"In the space: ", "of a Channel: a space that names the room and that the room names"},
	{"Says that it replaces the room: ", "of a Channel: a claim, unless the other room says the same"},
	{"Says that it is replaced by the room: ", "of a Channel: a claim, unless the other room says the same"},
	{"No longer read: ", "of a Channel: nothing comes any more, and by whom the account was taken out. What was said before stays"},
}

// linesBlock is the table of what descriptions say. A line that no case has is no longer
// said, and its row a mistake.
func linesBlock(t *testing.T, list []golden) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| line | means |\n|---|---|\n")
	for _, s := range said {
		example := ""
		for _, g := range list {
			for _, o := range g.objects {
				for _, line := range slices.Concat(lines(o.Description), lines(o.About)) {
					if strings.HasPrefix(line, s.start) && (example == "" || len(line) < len(example)) {
						example = line
					}
				}
			}
		}
		if example == "" {
			t.Errorf("the manual explains the line %q, which no case has", s.start)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s |\n", code(example), s.means)
	}
	for _, line := range unexplained(list) {
		fmt.Fprintf(&b, "| %s | as it says |\n", code(line))
	}
	return b.String()
}

// unexplained are the facts in descriptions that said does not have, each once. Facts stand
// before the first empty line; what people said in them is indented, or marked as theirs.
func unexplained(list []golden) []string {
	var rest []string
	for _, g := range list {
		for _, o := range g.objects {
			for _, text := range []string{o.Description, o.About} {
				facts, _, _ := strings.Cut(text, "\n\n")
				for _, line := range lines(facts) {
					theirs := line == "" || strings.HasPrefix(line, "│") || strings.HasPrefix(line, "\u00a0") || line[0] >= '0' && line[0] <= '9'
					known := slices.ContainsFunc(said, func(s struct{ start, means string }) bool { return strings.HasPrefix(line, s.start) })
					if !theirs && !known && !slices.Contains(rest, line) {
						rest = append(rest, line)
					}
				}
			}
		}
	}
	return rest
}

// proofs are the doubts about who said a message, with what is to be done about them.
var proofs = []struct{ start, means string }{
	{"Authenticity: in doubt.", "do not rely on the author: the key is another person's. Homeservers can relabel what somebody said"},
	{"Authenticity: sent without encryption", "the homeserver could have written it, or whoever runs it; everybody else in the room would have encrypted it"},
	{"Authenticity: not proven. The sending device", "most likely a device that has been deleted since; ask the sender"},
	{"Authenticity: not proven. The key came", "read with a key that somebody handed over: the words are those of the key's session, its owner is not certain"},
	{"Authenticity: sent by a device", "the usual case where people do not verify their sessions: the account is certain, as far as the homeserver knows its devices"},
}

// doubtsBlock is the table of those, and fails for one that it does not know.
func doubtsBlock(t *testing.T, list []golden) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| the description says | which means |\n|---|---|\n")
	explained := map[string]bool{}
	for _, p := range proofs {
		for _, g := range list {
			for _, o := range g.objects {
				for _, line := range lines(o.About) {
					if strings.HasPrefix(line, p.start) && !explained[line] {
						explained[line] = true
						fmt.Fprintf(&b, "| %s | %s |\n", code(line), p.means)
					}
				}
			}
		}
	}
	for _, g := range list {
		for _, o := range g.objects {
			for _, line := range lines(o.About) {
				if strings.HasPrefix(line, "Authenticity: ") && !explained[line] {
					t.Errorf("%s has the doubt %q, which the manual does not explain", g.name, line)
				}
			}
		}
	}
	if len(explained) < len(proofs) {
		t.Errorf("%d doubts are shown by cases, %d explained", len(explained), len(proofs))
	}
	b.WriteString("| nothing about it | sent by a device that its owner has verified; or not encrypted, in a room that is not, and the homeserver vouches |\n")
	return b.String()
}

// exampleBlock shows one case whole: what was sent, and every object that came of it.
func exampleBlock(g golden) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s The event:\n\n```json\n%s```\n\nwhich becomes:\n\n| object | field | value |\n|---|---|---|\n", g.comment, g.events)
	row := func(o, field, value string) {
		if value == "" {
			return
		}
		var cells []string
		for _, line := range lines(value) {
			cells = append(cells, code(line))
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", o, field, strings.Join(cells, "<br>"))
	}
	names := map[string]string{}
	for _, o := range g.objects {
		names[o.ID] = map[string]string{"channel": "the Channel", "identity": "the Individual", "media-content": "the Media-Content"}[o.Type]
	}
	end := func(id string) string {
		if name := names[id]; name != "" {
			return name
		}
		kind, _, _ := strings.Cut(id, "--")
		return map[string]string{"channel": "the former room's Channel", "media-content": "the answered Media-Content"}[kind]
	}
	for _, o := range g.objects {
		switch o.Type {
		case "channel":
			row("Channel", "name", o.Name)
			row("", "aliases", strings.Join(o.Aliases, ", "))
			row("", "description", o.Description)
		case "identity":
			row("Individual", "name", o.Name)
			row("", "description", o.Description)
		case "media-content":
			row("Media-Content", "url", o.URL)
			row("", "title", o.Title)
			row("", "content", o.Content)
			row("", "x_opencti_description", o.About)
			row("", "publication_date", o.Published)
			row("", "labels", strings.Join(o.Labels, ", "))
			fmt.Fprintf(&b, "| | author | %s |\n", end(o.Author))
			row("", "files", strings.Join(g.files, ", "))
		case "relationship":
			fmt.Fprintf(&b, "| relationship | `%s` | %s → %s", o.Kind, end(o.Source), end(o.Target))
			if o.Start != "" {
				fmt.Fprintf(&b, ", from `%s`", o.Start)
			}
			b.WriteString(" |\n")
		}
	}
	return b.String()
}
