package cli_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/cli"
)

// busy answers every request with "later", and tells of the first one.
func busy(t *testing.T) (url string, first <-chan *http.Request) {
	t.Helper()
	seen := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r:
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
}

// The sample, with nothing but its placeholders replaced, is enough to start: the
// program turns to the homeserver and to the platform, waits for both, and stops
// when it is told to.
func TestTheSampleEnvironmentStartsTheProgram(t *testing.T) {
	sample, err := os.ReadFile("../../.env.sample")
	if err != nil {
		t.Fatal(err)
	}
	homeserver, fromMatrix := busy(t)
	platform, fromOpenCTI := busy(t)
	text := string(sample)
	for name, value := range map[string]string{
		"OPENCTI_URL": platform, "OPENCTI_TOKEN": "canary-token", "CONNECTOR_ID": "7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11",
		"MATRIX_SERVER": homeserver, "MATRIX_USER_ID": "@octi:example.org", "MATRIX_PASSWORD": "canary-password",
	} {
		text = strings.Replace(text, "\n"+name+"=ChangeMe\n", "\n"+name+"="+value+"\n", 1)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile(".env", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var log strings.Builder
	done := make(chan int, 1)
	go func() { done <- cli.Main(ctx, nil, nil, strings.NewReader(""), &strings.Builder{}, &log) }()
	for range 2 {
		select {
		case r := <-fromMatrix:
			if !strings.HasPrefix(r.URL.Path, "/_matrix/") {
				t.Errorf("the homeserver was asked for %s", r.URL.Path)
			}
			fromMatrix = nil
		case r := <-fromOpenCTI:
			if r.URL.Path != "/graphql" || r.Header.Get("Authorization") != "Bearer canary-token" {
				t.Errorf("the platform was asked for %s", r.URL.Path)
			}
			fromOpenCTI = nil
		case code := <-done:
			t.Fatalf("ended with code %d: %s", code, log.String())
		case <-ctx.Done():
			t.Fatal("homeserver or platform was not asked")
		}
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("code %d, want 0 when told to stop: %s", code, log.String())
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("a secret is in the log: %s", log.String())
	}
	if _, err := os.Stat("store"); err != nil {
		t.Errorf("the store is not where the settings say: %v", err)
	}
}
