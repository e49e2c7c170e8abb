package connector_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestPaceDoublesToABoundAndLogsAChangeOnly(t *testing.T) {
	var log bytes.Buffer
	clock := time.Unix(0, 0)
	p := connector.NewPace(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return clock })
	down := errors.New("down")
	var waits []time.Duration
	for range 8 {
		waits = append(waits, p.After(down, "temporary", 0))
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 15 * s, 15 * s, 15 * s, 15 * s}, waits); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines for one failure that goes on", n)
	}
	if got := p.After(down, "rate_limited", 7*s); got != 7*s {
		t.Errorf("asked for 7 s, waits %s", got)
	}
	if got := p.After(nil, "", 0); got != 0 {
		t.Errorf("waits %s after a success", got)
	}
	if !strings.Contains(log.String(), "works again") {
		t.Error("the end of the failure is not logged")
	}
	if got := p.After(down, "temporary", 0); got != s {
		t.Errorf("starts again with %s", got)
	}
	waits = nil
	for range 7 {
		waits = append(waits, p.After(down, "unauthorized", 0))
	}
	if diff := cmp.Diff([]time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s}, waits); diff != "" {
		t.Errorf("after a refusal: %s", diff)
	}
}

func TestAChannelIsForeignWhenItCarriesAnotherRoom(t *testing.T) {
	const room = "!Den:example.org"
	for name, c := range map[string]struct {
		found stix.Found
		want  bool
	}{
		"ours":                             {stix.Found{Name: "The den (!Den:example.org)", Aliases: []string{room}}, false},
		"renamed by an analyst":            {stix.Found{Name: "Phishing", Aliases: []string{room}}, false},
		"of the Python connector":          {stix.Found{Name: "general", Aliases: []string{room}}, false},
		"fused by the Python connector":    {stix.Found{Name: "general", Aliases: []string{"!other:example.org", room}}, true},
		"another room's name":              {stix.Found{Name: "The den (!other:example.org)"}, true},
		"a case twin by alias":             {stix.Found{Name: "x", Aliases: []string{"!den:example.org"}}, true},
		"a case twin by name":              {stix.Found{Name: "The den (!den:example.org)"}, true},
		"the bare id as a name":            {stix.Found{Name: room}, false},
		"the bare id of another room":      {stix.Found{Name: "!den:example.org"}, true},
		"an analyst's alias beside the id": {stix.Found{Name: "The den (!Den:example.org)", Aliases: []string{room, "war room"}}, false},
	} {
		if got := connector.ForeignRoom(c.found, room, room); got != c.want {
			t.Errorf("%s: foreign is %v", name, got)
		}
	}
}

func TestAnIndividualIsForeignWhenItsNameDiffersInCase(t *testing.T) {
	const user = "@Alice:example.org"
	for name, want := range map[string]bool{user: false, "@alice:example.org": true, "Alice Example": false} {
		if got := connector.ForeignPerson(stix.Found{Name: name}, user, user); got != want {
			t.Errorf("%s: foreign is %v", name, got)
		}
	}
}

func TestNobodyCanAskForMoreThanAnHour(t *testing.T) {
	p := connector.NewPace(slog.New(slog.DiscardHandler), time.Now)
	if got := p.After(errors.New("busy"), "rate_limited", 68*365*24*time.Hour); got != time.Hour {
		t.Errorf("waits %s", got)
	}
}
