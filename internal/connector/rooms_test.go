package connector_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// settingsWith are those of a bot with rules: YAML below matrix.rooms.
func settingsWith(t *testing.T, hs *matrixtest.Server, path, rules string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	if rules != "" {
		rules = "matrix:\n  rooms:\n" + rules
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Folders: []string{dir}, Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + path, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// exportWith runs an export with the settings to its end.
func exportWith(t *testing.T, settings *config.Config, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := connector.New(connector.Config{Settings: settings, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func openTrial(t *testing.T, s *config.Config) *connector.Trial {
	t.Helper()
	trial, err := connector.OpenTrial(t.Context(), s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trial.Close(); err != nil {
			t.Error(err)
		}
	})
	return trial
}

// said is what a bundle says of messages: text, marking and labels.
func said(t *testing.T, b stix.Bundle) []string {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Objects []struct {
			Type     string    `json:"type"`
			Content  string    `json:"content"`
			Markings []stix.ID `json:"object_marking_refs"`
			Labels   []string  `json:"labels"`
		} `json:"objects"`
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, o := range bundle.Objects {
		if o.Type != "media-content" {
			continue
		}
		line := []string{o.Content}
		for _, level := range []stix.TLP{stix.TLPAmber, stix.TLPRed, stix.TLPGreen} {
			if slices.Contains(o.Markings, level.MarkingID()) {
				line = append(line, string(level))
			}
		}
		list = append(list, strings.Join(append(line, o.Labels...), " | "))
	}
	slices.Sort(list)
	return list
}

func TestRulesDecideWhatARoomBecomes(t *testing.T) {
	hs := homeserver(t)
	alice := hs.Account("alice", "secret")
	room := func(name string, alias id.RoomAlias) *matrixtest.Room {
		r := hs.NewRoom(alice, matrixtest.RoomOptions{Name: name, Alias: alias})
		r.Join(hs.UserID("bot"))
		r.Say(alice, "said in "+name)
		return r
	}
	ops, hr := room("Ops", "#ops-east:example.org"), room("HR", "#hr:example.org")
	room("Square", "")
	path, output := t.TempDir(), t.TempDir()
	const rules = `
    - room: "#ops-*:example.org"
      tlp: RED
      labels: [Phishing, ops]
      import_start_date: "2020-01-01"
      attachment_max_size: 0
    - room: "#hr:example.org"
      skip: true
    - room: "*"
      labels: [chat]
`
	settings := settingsWith(t, hs, path, rules)
	exportWith(t, settings, output)
	if diff := cmp.Diff([]string{"said in Ops", "said in Square"}, exported(t, output)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}

	trial := openTrial(t, settings)
	rooms, err := trial.Rooms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]connector.RoomTrial{}
	for _, r := range rooms {
		byName[r.Name] = r
	}
	got := byName["Ops"]
	if got.Since == nil || got.Since.Format(time.DateOnly) != "2020-01-01" {
		t.Errorf("history of Ops starts at %v", got.Since)
	}
	got.Since = nil
	want := connector.RoomTrial{
		ID: ops.ID, Name: "Ops", Alias: "#ops-east:example.org", Membership: "join", Imported: true, Rule: 1,
		TLP: config.TLPRed, Labels: []string{"Phishing", "ops"}, AttachmentTypes: []string{},
		Messages: map[string]int{"landed": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Ops (-want +got):\n%s", diff)
	}
	if r := byName["HR"]; r.Imported || r.Why != "skipped_by_rule" || r.Rule != 2 {
		t.Errorf("HR is %+v", r)
	}
	if r := byName["Square"]; !r.Imported || r.Rule != 3 || r.TLP != config.TLPAmber || r.AttachmentMaxSize != 100<<20 || !slices.Equal(r.Labels, []string{"chat"}) {
		t.Errorf("Square is %+v", r)
	}

	bundle, n, err := trial.Explain(t.Context(), byName["Ops"], 5)
	if err != nil || n != 1 {
		t.Fatalf("%d messages are explained, %v", n, err)
	}
	if diff := cmp.Diff([]string{"said in Ops | TLP:RED | phishing | ops"}, said(t, bundle)); diff != "" {
		t.Errorf("explained (-want +got):\n%s", diff)
	}
	if bundle, n, err := trial.Explain(t.Context(), byName["HR"], 5); err != nil || n != 0 || len(bundle.Objects) != 0 {
		t.Errorf("%d messages of a skipped room are explained, %v", n, err)
	}

	// What is tried is what the settings say at the time, also of a room that was skipped.
	other := openTrial(t, settingsWith(t, hs, path, "    - room: \""+string(hr.ID)+"\"\n      tlp: GREEN\n"))
	found, err := other.Find(t.Context(), "hr")
	if err != nil {
		t.Fatal(err)
	}
	bundle, _, err = other.Explain(t.Context(), found, 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"said in HR | TLP:GREEN"}, said(t, bundle)); diff != "" {
		t.Errorf("explained (-want +got):\n%s", diff)
	}

	// A rule that goes brings the room's messages in at the next start.
	exportWith(t, settingsWith(t, hs, path, ""), output)
	if diff := cmp.Diff([]string{"said in HR", "said in Ops", "said in Square"}, exported(t, output)); diff != "" {
		t.Errorf("exported without rules (-want +got):\n%s", diff)
	}
}

func TestARoomIsFoundByWhatAPersonCallsIt(t *testing.T) {
	hs := homeserver(t)
	alice := hs.Account("alice", "secret")
	var twins []id.RoomID
	for _, name := range []string{"Twins", "twins", "Alone"} {
		r := hs.NewRoom(alice, matrixtest.RoomOptions{Name: name})
		r.Join(hs.UserID("bot"))
		r.Say(alice, "hello")
		twins = append(twins, r.ID)
	}
	path := t.TempDir()
	exportWith(t, settingsWith(t, hs, path, ""), t.TempDir())
	trial := openTrial(t, settingsWith(t, hs, path, ""))
	for _, text := range []string{string(twins[2]), "Alone", " alone "} {
		if r, err := trial.Find(t.Context(), text); err != nil || r.ID != twins[2] {
			t.Errorf("%q finds %s, %v", text, r.ID, err)
		}
	}
	_, err := trial.Find(t.Context(), "TWINS")
	ambiguous, ok := errors.AsType[*connector.RoomNameError](err)
	if !ok || len(ambiguous.Rooms) != 2 || !strings.Contains(ambiguous.Hint(), string(twins[0])) || !strings.Contains(ambiguous.Hint(), string(twins[1])) {
		t.Errorf("an ambiguous name gives %v", err)
	}
	_, err = trial.Find(t.Context(), "nowhere")
	if none, ok := errors.AsType[*connector.RoomNameError](err); !ok || len(none.Rooms) != 0 {
		t.Errorf("a name of no room gives %v", err)
	}
}

func TestAStoreThatNobodyWorkedOnSaysWhatToRunFirst(t *testing.T) {
	hs := homeserver(t)
	path := filepath.Join(t.TempDir(), "never")
	_, err := connector.OpenTrial(t.Context(), settingsWith(t, hs, path, ""), time.Now())
	unseen, ok := errors.AsType[*connector.UnseenError](err)
	if !ok || !strings.Contains(unseen.Hint(), "start the connector once") {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a trial made the store")
	}
}

func TestRulesDecideOnFilesAndHistory(t *testing.T) {
	hs := homeserver(t)
	alice := hs.Account("alice", "secret")
	room := func(name string, alias id.RoomAlias) {
		r := hs.NewRoom(alice, matrixtest.RoomOptions{Name: name, Alias: alias})
		r.Say(alice, "long ago in "+name)
		r.Say(alice, "later in "+name)
		r.Say(alice, "last in "+name)
		r.Join(hs.UserID("bot"))
		for _, kind := range []string{"text/plain", "application/pdf"} {
			content, file := "some text", name+".txt"
			if kind == "application/pdf" {
				content, file = "%PDF-1.4\n", name+".pdf"
			}
			r.Send(alice, "m.room.message", map[string]any{"msgtype": "m.file", "body": file, "url": hs.Upload([]byte(content), kind).String()})
		}
	}
	room("all", "#all:x")
	room("small", "#small:x")
	room("text", "#text:x")
	path, output := t.TempDir(), t.TempDir()
	const files = "    - {room: \"#small:x\", attachment_max_size: 0%s}\n    - {room: \"#text:x\", attachment_types: text/*}\n"
	exportWith(t, settingsWith(t, hs, path, strings.Replace(files, "%s", ", import_start_date: none", 1)), output)
	want := []string{
		"[file: all.pdf] | all.pdf = %PDF-1.4\n", "[file: all.txt] | all.txt = some text",
		"[file: text.pdf]", "[file: text.txt] | text.txt = some text",
		"last in all", "last in text", "later in all", "later in text", "long ago in all", "long ago in text",
	}
	if diff := cmp.Diff(want, exported(t, output)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}

	// The rule wants the past of its room after all.
	exportWith(t, settingsWith(t, hs, path, strings.Replace(files, "%s", ", import_start_date: P30D", 1)), output)
	want = append(want, "[file: small.pdf]", "[file: small.txt]", "last in small", "later in small", "long ago in small")
	slices.Sort(want)
	if diff := cmp.Diff(want, exported(t, output)); diff != "" {
		t.Errorf("exported with the room's past (-want +got):\n%s", diff)
	}
}

func TestEveryMarkingThatARuleNamesIsCheckedAtTheStart(t *testing.T) {
	hs := homeserver(t)
	s := settingsWith(t, hs, t.TempDir(), `
    - {room: "#a:x", tlp: RED}
    - {room: "#b:x", tlp: GREEN, skip: true}
    - {room: "#c:x", tlp: AMBER}
    - {room: "#d:x", tlp: RED}
`)
	c, err := connector.PlatformConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]stix.ID{stix.TLPAmber.MarkingID(), stix.TLPRed.MarkingID()}, c.Markings); diff != "" {
		t.Errorf("markings (-want +got):\n%s", diff)
	}
}

// What is said after an upgrade must not be marked less strictly than before.
func TestAnUpgradeIsFollowedWhereTheSameRuleHolds(t *testing.T) {
	hs := homeserver(t)
	s := settingsWith(t, hs, t.TempDir(), `
    - {room: "!red:x", tlp: RED}
    - {room: ["!both:x", "!next"], tlp: GREEN}
    - {room: "#alias:x", tlp: RED}
    - {room: "!hidden*", skip: true}
`)
	follow := connector.InviteConfig(s).Follow
	for _, c := range []struct {
		former id.RoomID
		alias  id.RoomAlias
		next   id.RoomID
		want   bool
	}{
		{"!any:x", "", "!other", true},
		{"!red:x", "", "!other", false},
		{"!any:x", "", "!red:x", false},
		{"!both:x", "", "!next", true},
		{"!any:x", "#alias:x", "!other", false}, // whether the alias moves along nobody knows yet
		{"!any:x", "", "!hidden:x", false},
	} {
		if got := follow(c.former, c.alias, c.next); got != c.want {
			t.Errorf("%s %s to %s: %t", c.former, c.alias, c.next, got)
		}
	}
	if why := connector.SkipRoom(s)(timeline.Room{ID: "!any:x", Astray: true}); why == "" {
		t.Error("a room that nobody has asked for is imported")
	}
}
