package connector_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// The recovery key of a new identity has one place, where nothing stood before.
func TestARecoveryKeyIsWrittenWholeAndOverNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "recovery-key.txt")
	const key = "EsTb LW2K PGiF"
	for _, name := range []string{"first", "again, after a start that died"} {
		if err := connector.RecoveryFile(path)(key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := connector.RecoveryFile(path)("another key"); err == nil {
		t.Error("another key is written over it")
	}
	if err := connector.RecoveryFile(filepath.Join(dir, "nowhere", "key"))(key); err == nil {
		t.Error("a folder that does not exist is no mistake")
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != key+"\n" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("it leaves %v, %v", files, err)
	}
}
