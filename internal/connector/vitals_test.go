package connector_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// fullError is an error as SQLite's driver makes them: with a code.
type fullError struct{}

func (fullError) Error() string { return "database or disk is full (13)" }
func (fullError) Code() int     { return 13 }

// brokenError is another one of the driver's.
type brokenError struct{}

func (brokenError) Error() string { return "disk I/O error (10)" }
func (brokenError) Code() int     { return 10 }

func TestReadinessNamesWhatIsAway(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	refused := errors.New("connection refused")
	broker := fmt.Errorf("publish batch: %w", &opencti.Error{Op: "publish", Class: opencti.Temporary, Code: "nacked"})
	token := &opencti.Error{Op: "Ping", Class: opencti.Unauthorized, Code: "AUTH_REQUIRED"}
	login := &matrix.LoginError{Reason: matrix.ReasonPassword}
	up := func(v connector.Vitals) { v.Opened(); v.LoggedIn(); v.Registered(); v.Worked("sync") }
	for name, c := range map[string]struct {
		happens func(v connector.Vitals)
		want    []string
	}{
		"a start":           {func(connector.Vitals) {}, []string{"the store is being opened"}},
		"another process":   {func(v connector.Vitals) { v.Failed("start", refused, "temporary") }, []string{"another process works on the store"}},
		"an open store":     {func(v connector.Vitals) { v.Opened() }, []string{"the bot is being logged in", "the connector is being registered with the platform"}},
		"a homeserver away": {func(v connector.Vitals) { v.Opened(); v.Registered(); v.Failed("log in", refused, "temporary") }, []string{"the bot is not logged in: the homeserver is unreachable"}},
		"a wrong password":  {func(v connector.Vitals) { v.Opened(); v.Registered(); v.Failed("log in", login, "unauthorized") }, []string{"the bot is not logged in: the homeserver refuses the bot"}},
		"no platform":       {func(v connector.Vitals) { up(v); v.Failed("register", refused, "temporary") }, nil}, // registered before: deliver and ping tell
		"before the first":  {func(v connector.Vitals) { v.Opened(); v.LoggedIn(); v.Registered() }, []string{"the first /sync is not answered yet"}},
		"the first /sync": {func(v connector.Vitals) {
			v.Opened()
			v.LoggedIn()
			v.Registered()
			v.Failed("sync", refused, "temporary")
		}, []string{"the homeserver is unreachable"}},
		"all works":          {up, nil},
		"a /sync that fails": {func(v connector.Vitals) { up(v); v.Failed("sync", refused, "temporary") }, []string{"the homeserver is unreachable"}},
		"patience":           {func(v connector.Vitals) { up(v); v.Failed("sync", refused, "rate_limited") }, []string{"the homeserver asks for patience"}},
		"it comes back":      {func(v connector.Vitals) { up(v); v.Failed("sync", refused, "temporary"); v.Worked("sync") }, nil},
		"a token that ends":  {func(v connector.Vitals) { up(v); v.Failed("ping", token, "unauthorized") }, []string{"the platform refuses the connector"}},
		"a broker away":      {func(v connector.Vitals) { up(v); v.Failed("deliver", broker, "temporary") }, []string{"the broker is unreachable"}},
		"said once": {func(v connector.Vitals) {
			up(v)
			v.Failed("deliver", &opencti.Error{Op: "Work"}, "temporary")
			v.Failed("ping", &opencti.Error{Op: "Ping"}, "temporary")
		}, []string{"the platform is unreachable"}},
		"a full disk":     {func(v connector.Vitals) { up(v); v.Failed("sync", fmt.Errorf("sync: %w", fullError{}), "temporary") }, []string{"the disk of the store is full"}},
		"a broken disk":   {func(v connector.Vitals) { up(v); v.Failed("sync", fmt.Errorf("sync: %w", brokenError{}), "temporary") }, []string{"the store cannot be used"}},
		"one room's past": {func(v connector.Vitals) { up(v); v.Failed("fill", refused, "rate_limited") }, nil},
		"one file":        {func(v connector.Vitals) { up(v); v.Missed("attach", refused, "temporary") }, nil},
		"told to stop":    {func(v connector.Vitals) { up(v); v.Failed("sync", context.Canceled, "cancelled") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := connector.NewVitals(func() time.Time { return start }, nil)
			c.happens(v)
			r := v.Readiness()
			var got []string
			for _, reason := range r.Reasons {
				got = append(got, reason.What)
			}
			for _, reason := range r.Reasons {
				if reason.What == "the disk of the store is full" && !strings.Contains(reason.Cure, "MATRIX_STORE_PATH") {
					t.Errorf("a full disk is cured by %q", reason.Cure)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || r.Ready != (c.want == nil) {
				t.Errorf("ready %v; %s", r.Ready, diff)
			}
		})
	}
}

func TestAFailureIsToldSinceWhenWithItsCureAndWithoutSecrets(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	v := connector.NewVitals(func() time.Time { return now }, nil, "canary-token")
	v.Opened()
	v.LoggedIn()
	v.Registered()
	v.Worked("sync")
	err := fmt.Errorf("with canary-token: %w", &opencti.Error{Op: "Ping", Class: opencti.Unauthorized, Code: "AUTH_REQUIRED"})
	v.Failed("ping", err, "unauthorized")
	first := now
	now = now.Add(time.Minute)
	v.Failed("ping", err, "unauthorized")
	r := v.Readiness()
	if len(r.Reasons) != 1 || !r.Reasons[0].Since.Equal(first) || !strings.Contains(r.Reasons[0].Cure, "OPENCTI_TOKEN") {
		t.Fatalf("reasons %+v", r.Reasons)
	}
	want := status.Failure{Operation: "ping", Class: "unauthorized", Error: "with [redacted]: Ping: AUTH_REQUIRED", Cure: r.Reasons[0].Cure, Count: 2, At: now, Since: first}
	if diff := cmp.Diff([]status.Failure{want}, v.Failures()); diff != "" {
		t.Error(diff)
	}
	v.Worked("ping")
	want.Since = time.Time{}
	if diff := cmp.Diff([]status.Failure{want}, v.Failures()); diff != "" || !v.Readiness().Ready {
		t.Errorf("after it works again: %s", diff)
	}
}

func TestALoopThatHangsIsNamed(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	v := connector.NewVitals(func() time.Time { return now }, nil)
	end := v.Turn("fetch")
	defer end()
	now = now.Add(5 * time.Hour) // a large file
	ended := v.Turn("sync")
	if err := v.Alive(); err != nil {
		t.Errorf("all turn: %v", err)
	}
	now = now.Add(31 * time.Minute)
	if err := v.Alive(); err == nil || !strings.Contains(err.Error(), "loop sync hangs since 2026-11-22T17:00:00Z") {
		t.Errorf("a /sync that never ends: %v", err)
	}
	ended()
	now = now.Add(time.Hour) // between turns a loop may wait as long as it was asked to
	if err := v.Alive(); err != nil {
		t.Errorf("a loop that waits: %v", err)
	}
}
