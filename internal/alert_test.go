package internal_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEachAlertIsExplained(t *testing.T) {
	rules, err := filepath.Glob("../deploy/prometheus/*.yml")
	if err != nil || len(rules) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	_, manual, ok := strings.Cut(read(t, "../docs/operations.md"), "\n## Alerts\n")
	manual, _, ok2 := strings.Cut(manual, "\n## ")
	if !ok || !ok2 {
		t.Fatal("docs/operations.md has no section on alerts")
	}
	explained := anchors(manual)
	alerts := 0
	for _, path := range rules {
		for _, m := range regexp.MustCompile(`(?m)^\s*-? ?alert: (\w+)$`).FindAllStringSubmatch(read(t, path), -1) {
			alerts++
			anchor := strings.ToLower(m[1])
			if !explained[anchor] {
				t.Errorf("docs/operations.md does not explain %s", m[1])
			}
			delete(explained, anchor)
		}
	}
	for left := range explained {
		t.Errorf("docs/operations.md explains %s, which no rule raises", left)
	}
	if alerts < 5 {
		t.Errorf("only %d alerts were found", alerts)
	}
}
