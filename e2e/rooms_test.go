package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// rooms runs the real binary's command rooms, beside the connector or without it, and
// gives what it writes.
func rooms(t *testing.T, s *scene.Scene, args ...string) (stdout, stderr string) {
	t.Helper()
	run, err := parts.StartConnector(t.Context(), parts.ConnectorConfig{
		Dir: s.Dir, Args: append([]string{"rooms"}, args...), Env: maps.Clone(s.Env), Program: s.Program,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	if code, err := run.Wait(ctx); err != nil || code != 0 {
		t.Fatalf("rooms %v ended with %d, %v\n%s", args, code, err, run.Stderr)
	}
	return run.Stdout.String(), run.Stderr.String()
}

// explained gives the texts of the messages that rooms --explain shows, and the
// markings and labels of all of them.
func explained(t *testing.T, s *scene.Scene, room string) (texts, marks []string) {
	t.Helper()
	stdout, _ := rooms(t, s, "--explain", room)
	var bundle struct {
		Type    string
		Objects []struct {
			Type, Content string
			Markings      []string `json:"object_marking_refs"`
			Labels        []string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &bundle); err != nil || bundle.Type != "bundle" {
		t.Fatalf("%s is explained by a %q, %v", room, bundle.Type, err)
	}
	for _, o := range bundle.Objects {
		if o.Type == "media-content" {
			texts = append(texts, o.Content)
			marks = append(marks, slices.Concat(o.Markings, o.Labels)...)
		}
	}
	slices.Sort(marks)
	return texts, slices.Compact(marks)
}

// rules writes config.yml.
func rules(t *testing.T, s *scene.Scene, format string, args ...any) {
	t.Helper()
	text := "matrix:\n  rooms:\n" + fmt.Sprintf(format, args...)
	if err := os.WriteFile(filepath.Join(s.Dir, "config.yml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	tlpRed   = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
	tlpGreen = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
)

func TestRulesAreTriedAndThenInForce(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	ops, square, hr := alice.Creates("Ops", people.Encrypted()), alice.Creates("Square"), alice.Creates("HR")
	rules(t, s, "    - {room: %q, tlp: RED, labels: [Phishing, ops]}\n    - {room: %q, skip: true}\n", ops, hr)
	s.Marked(ops, "RED")
	s.NotRead(hr)
	s.Starts()
	for _, room := range []id.RoomID{ops, square} {
		alice.Invites(room, s.Bot)
		alice.Sees(room, s.Bot)
	}
	alice.Invites(hr, s.Bot)
	s.Logs("invite stays pending", hr.String(), "or a rule")
	secret := alice.Says(ops, "What is said among the operators stays there")
	alice.Says(square, "What is said in the square is for everybody")
	s.Receives()
	if got := s.Message(secret.Event).Labels; !slices.Equal(got, []string{"phishing", "ops"}) {
		t.Errorf("the message of a room with labels has %v", got)
	}

	// Beside the running connector, which reads back what stands on the platform.
	s.Until("both rooms are listed with what has landed", func() bool {
		text, _ := rooms(t, s, "--json")
		var list []struct {
			ID       id.RoomID `json:"room_id"`
			Imported bool
			Rule     int
			TLP      string
			Messages map[string]int
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		got := map[id.RoomID]string{}
		for _, r := range list {
			got[r.ID] = fmt.Sprintf("rule %d, %s, imported %t, landed %d", r.Rule, r.TLP, r.Imported, r.Messages["landed"])
		}
		return maps.Equal(got, map[id.RoomID]string{ops: "rule 1, RED, imported true, landed 1", square: "rule 0, AMBER, imported true, landed 1"})
	})
	texts, marks := explained(t, s, "Ops")
	if diff := cmp.Diff([]string{secret.Text}, texts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{tlpRed, "ops", "phishing"}, marks); diff != "" {
		t.Error(diff)
	}
	table, _ := rooms(t, s)
	if !strings.Contains(table, square.String()) || !strings.Contains(table, "phishing") && !strings.Contains(table, "Phishing") {
		t.Errorf("the table is\n%s", table)
	}
	s.Stops()

	// Without it: a rule that is only tried changes neither store nor platform.
	before := filesOf(t, s.Env["MATRIX_STORE_PATH"])
	rules(t, s, "    - {room: %q, tlp: GREEN}\n    - {room: %q, skip: true}\n", ops, square)
	if _, marks = explained(t, s, ops.String()); !slices.Equal(marks, []string{tlpGreen}) {
		t.Errorf("the tried rule gives %v", marks)
	}
	if _, says := rooms(t, s, "--explain", "Square"); !strings.Contains(says, "rule 2 skips it") {
		t.Errorf("a room that the tried rule skips: %s", says)
	}
	if diff := cmp.Diff(before, filesOf(t, s.Env["MATRIX_STORE_PATH"])); diff != "" {
		t.Errorf("trying changed the store:\n%s", diff)
	}
	s.Receives()

	// In force: the room is left out, and comes back with what was said meanwhile.
	s.Marked(ops, "RED") // what has landed stays as it is
	rules(t, s, "    - {room: %q, tlp: RED}\n    - {room: %q, skip: true}\n", ops, square)
	s.Starts()
	skipped := alice.Says(square, "What is said while the square is left out")
	s.NotImported(skipped.Event)
	alice.Says(ops, "What is said after that among the operators")
	s.Receives()
	s.Until("the skipped message is in the store", func() bool {
		texts, _ := skippedTexts(t, s, square, ops)
		return slices.Contains(texts, skipped.Text)
	})
	s.Stops()
	rules(t, s, "    - {room: %q, tlp: RED}\n", ops)
	s.Imported(skipped.Event)
	s.Starts()
	s.Receives()
}

// skippedTexts explains a room as if no rule skipped it.
func skippedTexts(t *testing.T, s *scene.Scene, room, ops id.RoomID) (texts, marks []string) {
	t.Helper()
	path := filepath.Join(s.Dir, "config.yml")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Error(err)
		}
	}()
	rules(t, s, "    - {room: %q, tlp: RED}\n", ops)
	return explained(t, s, room.String())
}
