package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/matrix-connector/matrix-connector/internal/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// told is a source that says what a test tells it to.
type told struct {
	mu       sync.Mutex
	asked    int
	snapshot status.Snapshot
	err      error
	hangs    error
}

func (s *told) Snapshot(context.Context) (status.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.snapshot, s.err
}
func (s *told) Readiness() status.Readiness { return s.snapshot.Readiness }
func (s *told) Alive() error                { return s.hangs }

func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}

func handler(s *told, now *time.Time) http.Handler {
	return status.NewHandler(status.Config{Source: s, Now: func() time.Time { return *now }})
}

func TestEveryPathAnswersAsItShould(t *testing.T) {
	now := noon
	ready := &told{snapshot: status.Snapshot{At: noon, Readiness: status.Readiness{Ready: true}}}
	away := &told{
		hangs: errors.New("loop sync hangs"),
		snapshot: status.Snapshot{Readiness: status.Readiness{Reasons: []status.Reason{
			{What: "the homeserver is unreachable", Since: noon.Add(-90 * time.Second), Detail: "connection\nrefused", Cure: "start it"},
			{What: "the connector is being registered"},
		}}},
	}
	broken := &told{err: errors.New("open /secret/place: disk I/O error")}
	for name, c := range map[string]struct {
		source       *told
		method, path string
		code         int
		kind, body   string
	}{
		"the page":                     {ready, "GET", "/", 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		"the head of the page":         {ready, "HEAD", "/", 200, "text/html; charset=utf-8", ""},
		"JSON":                         {ready, "GET", "/status.json", 200, "application/json", `"ready": true`},
		"alive":                        {ready, "GET", "/healthz", 200, "text/plain; charset=utf-8", "alive\n"},
		"ready":                        {ready, "GET", "/readyz", 200, "text/plain; charset=utf-8", "ready\n"},
		"hanging":                      {away, "GET", "/healthz", 503, "text/plain; charset=utf-8", "loop sync hangs\n"},
		"no metrics":                   {ready, "GET", "/metrics", 404, "text/plain; charset=utf-8", ""},
		"another path":                 {ready, "GET", "/etc/passwd", 404, "text/plain; charset=utf-8", ""},
		"writing":                      {ready, "POST", "/", 405, "text/plain; charset=utf-8", "only to be read\n"},
		"a store that cannot be asked": {broken, "GET", "/", 503, "text/plain; charset=utf-8", "the status cannot be read; the log says why\n"},
		"the same as JSON":             {broken, "GET", "/status.json", 503, "text/plain; charset=utf-8", "the status cannot be read; the log says why\n"},
		"not ready": {
			away, "GET", "/readyz", 503, "text/plain; charset=utf-8",
			"not ready: the homeserver is unreachable, since 2026-11-22T11:58:30Z (1 min): connection refused; cure: start it\n" +
				"not ready: the connector is being registered\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(t, handler(c.source, &now), c.method, c.path)
			if w.Code != c.code || w.Header().Get("Content-Type") != c.kind {
				t.Errorf("code %d, type %q", w.Code, w.Header().Get("Content-Type"))
			}
			if !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("body %q, want %q in it", w.Body.String(), c.body)
			}
			for _, head := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
				if w.Header().Get(head) == "" {
					t.Errorf("no %s", head)
				}
			}
			if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; style-src 'sha256-") || strings.Contains(p, "unsafe") {
				t.Errorf("policy %q", p)
			}
		})
	}
}

func TestWhoeverAsksTooOftenGetsTheSameAnswer(t *testing.T) {
	now := noon
	s := &told{}
	h := handler(s, &now)
	for range 20 {
		get(t, h, "GET", "/")
		get(t, h, "GET", "/status.json")
	}
	if s.asked != 1 {
		t.Errorf("asked %d times", s.asked)
	}
	now = now.Add(3 * time.Second)
	get(t, h, "GET", "/")
	if s.asked != 2 {
		t.Errorf("asked %d times after a while", s.asked)
	}
}

func TestJSONIsTheSnapshot(t *testing.T) {
	now := noon
	s := &told{snapshot: status.Snapshot{At: noon, Rooms: []status.Room{{ID: "!r:example.org", Name: "<b>"}}, Lag: status.Lag{Sync: new(1.5)}}}
	var got status.Snapshot
	if err := json.Unmarshal(get(t, handler(s, &now), "GET", "/status.json").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rooms) != 1 || got.Rooms[0].Name != "<b>" || !got.At.Equal(noon) || got.Lag.Sync == nil || *got.Lag.Sync != 1.5 || got.Lag.Delivery != nil {
		t.Errorf("got %+v", got)
	}
}

func TestTheServerEndsWhenItIsToldTo(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	now := noon
	go func() { done <- status.Serve(ctx, l, handler(&told{}, &now)) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil || string(body) != "alive\n" {
		t.Errorf("%q, %v", body, err)
	}
	// A head of a request that is too large is refused, not kept.
	r.Header.Set("X-Much", strings.Repeat("x", 64<<10))
	if res, err = client.Do(r); err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head of 64 KiB: %d, %v", res.StatusCode, err)
	}
	client.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
