package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// readme is the README's text, and the repository's folder.
func readme(t *testing.T) (text, root string) {
	t.Helper()
	root, err := parts.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page), root
}

// block is the first shell block below a heading.
func block(t *testing.T, page, heading string) string {
	t.Helper()
	_, below, ok := strings.Cut(page, "\n"+heading+"\n")
	_, below, ok2 := strings.Cut(below, "\n```sh\n")
	shell, _, ok3 := strings.Cut(below, "\n```\n")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("the README has no shell block below %q", heading)
	}
	return shell
}

// The line that makes the bot's account is the newcomer's first one.
func TestTheReadmesLineMakesTheBotsAccountOnSynapse(t *testing.T) {
	t.Parallel()
	page, root := readme(t)
	line := block(t, page, "### 1. An account for the bot")
	dir := t.TempDir()
	hs, err := parts.StartSynapse(t.Context(), parts.HomeserverConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hs.Close() })
	for from, to := range map[string]string{
		"/etc/matrix-synapse/homeserver.yaml": filepath.Join(dir, "homeserver.yaml"),
		"http://localhost:8008":               hs.URL,
	} {
		if !strings.Contains(line, from) {
			t.Fatalf("the line lacks %s: %s", from, line)
		}
		line = strings.ReplaceAll(line, from, to)
	}
	// There is no terminal to ask for the password.
	line = strings.Replace(line, "register_new_matrix_user ", "register_new_matrix_user -p secret-of-octi ", 1)
	register := exec.CommandContext(t.Context(), "bash", "-ec", line)
	register.Env = append(os.Environ(), "PATH="+filepath.Join(root, "build", "venv-synapse", "bin")+":"+os.Getenv("PATH"))
	if out, err := register.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	login, err := json.Marshal(map[string]any{
		"type": "m.login.password", "password": "secret-of-octi",
		"identifier": map[string]string{"type": "m.id.user", "user": "octi"},
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(hs.URL+"/_matrix/client/v3/login", "application/json", bytes.NewReader(login))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the account that the line made cannot log in: %s", res.Status)
	}
}

// The sample is copied, an id and a key are made.
func TestTheReadmesLinesForTheSettingsRun(t *testing.T) {
	t.Parallel()
	page, root := readme(t)
	dir := t.TempDir()
	sample, err := os.ReadFile(filepath.Join(root, ".env.sample"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env.sample"), sample, 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "bash", "-ec", block(t, page, "### 3. The settings"))
	run.Dir, run.Env = dir, append(os.Environ(), "EDITOR=grep -q ChangeMe")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !regexp.MustCompile(`(?m)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).Match(out) || !regexp.MustCompile(`(?m)^[A-Za-z0-9+/]{43}=$`).Match(out) {
		t.Errorf("no id or no key came out:\n%s", out)
	}
}

// The check of the README passes before the first start, and so does the start.
func TestTheReadmesCheckPassesBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	page, _ := readme(t)
	call := regexp.MustCompile("`build/matrix-connector (check [^`]+)`").FindStringSubmatch(page)
	if call == nil {
		t.Fatal("the README does not check")
	}
	s := scene.New(t, scene.Config{})
	s.Env["MATRIX_STORE_KEY"] = "a long text that is kept elsewhere"
	c, err := parts.StartConnector(t.Context(), parts.ConnectorConfig{Dir: s.Dir, Args: strings.Fields(call[1]), Env: maps.Clone(s.Env)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, err := c.Wait(ctx)
	said := c.Stdout.String()
	if err != nil || code != 0 || regexp.MustCompile(`(?m)^failed`).MatchString(said) {
		t.Fatalf("ended with %d, %v:\n%s%s", code, err, said, c.Stderr)
	}
	// What the README shows of a check is what it says.
	for _, want := range []string{
		"homeserver  ", " speaks Matrix v", " can log in with its password; its device is made at the first start",
		"markings    TLP:AMBER: there, and the user may use it", "broker      ", "queue       ",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("check does not say %q:\n%s", want, said)
		}
	}
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room")
	alice.Says(room, "It was checked before")
	s.Receives()
}
