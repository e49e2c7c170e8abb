package e2e_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// assignment is a line of a .env file that sets something; comments stay as they
// are.
var assignment = regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]*)=(.*)$`)

func TestTheSampleFilledInStartsTheConnector(t *testing.T) {
	t.Parallel()
	root, err := parts.Root()
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile(filepath.Join(root, ".env.sample"))
	if err != nil {
		t.Fatal(err)
	}
	s := scene.New(t, scene.Config{})
	alice := s.Town.Moves("alice")
	values := maps.Clone(s.Env)
	values["MATRIX_STORE_PATH"] = "./store"
	filled := map[string]bool{}
	file := assignment.ReplaceAllFunc(sample, func(line []byte) []byte {
		m := assignment.FindSubmatch(line)
		name := string(m[1])
		value, ok := values[name]
		if !ok {
			return line
		}
		filled[name] = true
		return []byte(name + "='" + value + "'")
	})
	for _, m := range assignment.FindAllSubmatch(file, -1) {
		if bytes.Contains(m[2], []byte("ChangeMe")) {
			t.Errorf("the sample wants %s, which the scene cannot fill in", m[1])
		}
	}
	for _, name := range []string{"OPENCTI_URL", "OPENCTI_TOKEN", "CONNECTOR_ID", "MATRIX_SERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD", "MATRIX_TLP"} {
		if !filled[name] {
			t.Errorf("the sample does not set %s", name)
		}
	}
	if !filled["MATRIX_INVITE_FROM"] {
		// A sample need not set it: then nobody is let in, and the room is joined before.
		file = append(file, []byte("MATRIX_INVITE_FROM="+values["MATRIX_INVITE_FROM"]+"\n")...)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, ".env"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	// docker-compose.yml sets these two; all the rest stands in the file.
	whole := s.Env
	s.Env = map[string]string{"CONNECTOR_NAME": whole["CONNECTOR_NAME"], "CONNECTOR_SCOPE": whole["CONNECTOR_SCOPE"]}
	s.Starts()
	s.Env = whole
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "It runs as the sample file says")
	s.Receives()
}
