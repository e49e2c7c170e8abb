package internal_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheGuaranteesNameWhatIsTried: whatever is tried again and again is tried for a
// promise, and docs/guarantees.md says for which.
func TestTheGuaranteesNameWhatIsTried(t *testing.T) {
	page := read(t, "../docs/guarantees.md")
	files, err := filepath.Glob("../e2e/soak/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the stories of e2e/soak: %v, %v", files, err)
	}
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, file), -1) {
			if m[1] != "TestMain" && !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("docs/guarantees.md names no promise of %s", m[1])
			}
		}
	}
}
