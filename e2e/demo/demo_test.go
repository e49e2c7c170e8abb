package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/exported"
	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// patience is what the demo promises to stay below once everything was built.
const patience = 2 * time.Minute

// The test runs the program as make does, and reads what a person would.
func TestTheDemoTellsWhatEachMessageBecameAndClearsUp(t *testing.T) {
	root, err := parts.Root()
	if err != nil {
		t.Fatal(err)
	}
	// What is built before stays out of the measured time, as the demo promises.
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=goolm", "-o", program, ".")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, err := parts.BuildConnector(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := parts.BuildDendrite(t.Context()); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	scratch := t.TempDir()
	demo := exec.CommandContext(ctx, program)
	demo.Env = append(os.Environ(), "TMPDIR="+scratch)
	started := time.Now()
	output, err := demo.CombinedOutput()
	text := string(output)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Logf("the demo took %.1f s", time.Since(started).Seconds())

	for _, part := range []string{
		"(end-to-end encrypted) ━━", "→ Channel \"", "→ Media-Content \"", "by the Individual @alice:",
		"related to ", "image/png", "application/pdf", "STIX 2.1 bundles in demo-out/.",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the transcript lacks %q:\n%s", part, text)
		}
	}
	bundles, err := exported.Read(filepath.Join(root, "demo-out"))
	if err != nil {
		t.Fatal(err)
	}
	messages, err := exported.Messages(bundles)
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) < 5 {
		t.Errorf("%d messages were exported", len(messages))
	}
	for event, m := range messages {
		if id := m.Text("id"); !strings.Contains(text, id) {
			t.Errorf("the transcript does not show %s, which became %s", event, id)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^   → Media-Content `).FindAllString(text, -1)); n != len(messages) {
		t.Errorf("the transcript shows %d messages, %d were exported", n, len(messages))
	}
	left, err := os.ReadDir(scratch)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}
