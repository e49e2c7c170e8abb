package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// promtool runs Prometheus's own checker in the folder of the alerts.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := filepath.Abs("../build/prometheus/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("promtool"); err != nil {
			t.Fatal("no promtool to check the alerts with: run make setup")
		}
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = "../deploy/prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// Each alert is quiet while all is well, and fires when it should.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "alerts.yml")
	promtool(t, "test", "rules", "alerts_test.yml")
}

// The dashboard's queries are read as rules, once Grafana's variables are filled in;
// and no panel covers another.
func TestTheDashboardCanBeDrawn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../deploy/grafana/matrix-connector.json")
	if err != nil {
		t.Fatal(err)
	}
	type place struct{ X, Y, W, H int }
	var dashboard struct {
		Panels []struct {
			Title   string
			GridPos place
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	n := 0
	taken := map[[2]int]string{}
	for _, p := range dashboard.Panels {
		g := p.GridPos
		if g.X+g.W > 24 {
			t.Errorf("%s is wider than the page", p.Title)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			n++
			fmt.Fprintf(&rules, "      - record: dashboard:query:%d\n        expr: '%s'\n", n, strings.ReplaceAll(fill.Replace(target.Expr), "'", "''"))
		}
	}
	if n < 40 {
		t.Fatalf("only %d queries found", n)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
