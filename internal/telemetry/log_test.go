package telemetry_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

func TestALineHasTheShapeOfOpenCTIsConnectors(t *testing.T) {
	var out strings.Builder
	log := telemetry.NewLog(telemetry.LogConfig{Out: &out, JSON: true, Name: `Ma"trix`})
	log.With(slog.String("component", "ledger")).WithGroup("g").Warn("batch <lapsed>",
		slog.Int("count", 3), slog.Duration("delay", 1500*time.Millisecond), slog.Any("err", errors.New("a\nb")))
	log.Info("started")
	log.Debug("not shown")

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2: %s", len(lines), out.String())
	}
	shape := regexp.MustCompile(`^{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","level":"WARNING","name":"Ma\\"trix","message":"batch <lapsed>",` +
		`"attributes":{"component":"ledger","g":{"count":3,"delay":"1.5s","err":"a\\nb"}}}$`)
	if !shape.MatchString(lines[0]) {
		t.Errorf("line %s", lines[0])
	}
	var second map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &second); err != nil {
		t.Fatal(err)
	}
	delete(second, "timestamp")
	if diff := cmp.Diff(map[string]any{"level": "INFO", "name": `Ma"trix`, "message": "started"}, second); diff != "" {
		t.Error(diff)
	}
}

func TestPlainTextIsOneLineForAPerson(t *testing.T) {
	var out strings.Builder
	log := telemetry.NewLog(telemetry.LogConfig{Out: &out, Level: slog.LevelDebug})
	log.Error("disk full", slog.String("path", "a b\nc"), slog.Bool("last", true))
	log.Debug("tick")
	want := regexp.MustCompile(`^\d\d:\d\d:\d\d ERROR   disk full  path="a b\\nc" last=true\n\d\d:\d\d:\d\d DEBUG   tick\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got %q", out.String())
	}
}

func TestSecretsAreHidden(t *testing.T) {
	const token = `tok"en-canary`
	for _, asJSON := range []bool{true, false} {
		var out strings.Builder
		log := telemetry.NewLog(telemetry.LogConfig{Out: &out, JSON: asJSON, Hide: []string{token, "short", ""}})
		log.Error("a short call", slog.Any("err", errors.New("Bearer "+token)), slog.Any("token", config.NewSecret(token)))
		got := out.String()
		if strings.Contains(got, "canary") {
			t.Errorf("a secret is shown: %s", got)
		}
		if strings.Count(got, "[redacted]") != 2 || !strings.Contains(got, "a short call") {
			t.Errorf("got %s", got)
		}
	}
}

func TestLinesOfManyGoroutinesAreWhole(t *testing.T) {
	var out strings.Builder
	log := telemetry.NewLog(telemetry.LogConfig{Out: &out, JSON: true})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				log.With(slog.Int("worker", i)).Info("line")
			}
		})
	}
	wg.Wait()
	n := 0
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("broken line %q", line)
		}
		n++
	}
	if n != 400 {
		t.Errorf("%d lines, want 400", n)
	}
}
