package opencti_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// refusing stands before a platform and refuses registrations while it is told to, as
// platforms do whose broker is away.
func refusing(t *testing.T, platform string, refuses *atomic.Bool) string {
	t.Helper()
	to, err := url.Parse(platform)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read a request: %v", err)
		}
		if refuses.Load() && bytes.Contains(body, []byte("registerConnector")) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, graphQL("INTERNAL_SERVER_ERROR", "connect ECONNREFUSED"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestABrokerThatIsAwayIsNamedHoweverOftenItIsTried(t *testing.T) {
	var refuses atomic.Bool
	s := newScene(t, openctitest.Gen7, func(c *opencti.Config) { c.URL = refusing(t, c.URL, &refuses) })
	s.broker.set(func(r *rabbit) { r.down = true })
	if _, err := s.platform.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := func(down bool) {
		s.broker.set(func(r *rabbit) { r.down = down })
		refuses.Store(down)
	}
	away(true)
	for try := range 3 {
		_, err := s.platform.Begin(t.Context(), 1)
		e, ok := errors.AsType[*opencti.Error](err)
		if !ok || e.Op != "dial" || opencti.ClassOf(err) != opencti.Temporary {
			t.Errorf("try %d: %v, want the broker's failure", try+1, err)
		}
	}
	away(false)
	if _, err := s.platform.Begin(t.Context(), 1); err != nil {
		t.Errorf("with the broker back: %v", err)
	}
	// Now the platform alone refuses: nothing of the broker is told.
	refuses.Store(true)
	if err := s.octi.DeleteConnector(connectorID); err != nil {
		t.Fatal(err)
	}
	_, err := s.platform.Ping(t.Context(), nil, opencti.PingInfo{})
	if e, ok := errors.AsType[*opencti.Error](err); !ok || e.Op != "Register" {
		t.Errorf("of a platform that refuses: %v", err)
	}
	refuses.Store(false)
}
