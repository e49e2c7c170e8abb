package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Prometheus's own checker reads the alerts, and plays them: each is quiet while all
// is well, and fires when it should.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	promtool, err := filepath.Abs("../build/prometheus/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(promtool); err != nil {
		if promtool, err = exec.LookPath("promtool"); err != nil {
			t.Fatal("no promtool to check the alerts with: run make setup")
		}
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
