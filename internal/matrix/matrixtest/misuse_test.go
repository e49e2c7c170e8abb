package matrixtest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

func TestMisuseIsWrittenDown(t *testing.T) {
	cases := map[string]struct {
		do   func(t *testing.T, s *matrixtest.Server, c *mautrix.Client)
		want string
	}{
		"an unknown route": {func(t *testing.T, s *matrixtest.Server, _ *mautrix.Client) {
			t.Helper()
			get(t, s.URL()+"/_matrix/client/v3/nonsense", "")
		}, "unknown route"},
		"a request without a token": {func(t *testing.T, s *matrixtest.Server, _ *mautrix.Client) {
			t.Helper()
			get(t, s.URL()+"/_matrix/client/v3/sync", "")
		}, "missing token"},
		"a token that was never issued": {func(t *testing.T, s *matrixtest.Server, _ *mautrix.Client) {
			t.Helper()
			get(t, s.URL()+"/_matrix/client/v3/sync", "stolen")
		}, "token never issued"},
		"a sync from a token of nobody": {func(t *testing.T, _ *matrixtest.Server, c *mautrix.Client) {
			t.Helper()
			_, _ = c.FullSyncRequest(t.Context(), mautrix.ReqSync{Since: "s99_0"})
		}, "not handed out"},
		"a sync that goes back": {func(t *testing.T, s *matrixtest.Server, c *mautrix.Client) {
			t.Helper()
			first := syncOnce(t, c, "", 1)
			s.SendToDevice("@x:y", c.UserID, "*", "m.dummy", matrixtest.Content{})
			second := syncOnce(t, c, first.NextBatch, 1)
			third := syncOnce(t, c, second.NextBatch, 1)
			_ = third
			syncOnce(t, c, first.NextBatch, 1)
		}, "outdated"},
		"a path that climbs": {func(t *testing.T, s *matrixtest.Server, c *mautrix.Client) {
			t.Helper()
			get(t, s.URL()+"/_matrix/client/v1/media/download/test.example/..%2f..%2fadmin/../x", c.AccessToken)
		}, "path climbs"},
		"unauthenticated media on a new server": {func(t *testing.T, s *matrixtest.Server, _ *mautrix.Client) {
			t.Helper()
			get(t, s.URL()+"/_matrix/media/v3/download/test.example/m", "")
		}, "unauthenticated media"},
		"a filter by an allow-list of types": {func(t *testing.T, _ *matrixtest.Server, c *mautrix.Client) {
			t.Helper()
			_, _ = c.FullSyncRequest(t.Context(), mautrix.ReqSync{FilterID: `{"room":{"timeline":{"types":["m.room.message"]}}}`})
		}, "allow-list"},
		"two syncs at once": {func(t *testing.T, s *matrixtest.Server, c *mautrix.Client) {
			t.Helper()
			since := syncOnce(t, c, "", 1).NextBatch
			reached := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			s.Inject(matrixtest.Fault{On: matrixtest.Sync, Times: 1, Reach: func() { close(reached) }})
			go func() {
				defer close(done)
				_, _ = c.FullSyncRequest(ctx, mautrix.ReqSync{Since: since, Timeout: 60_000})
			}()
			<-reached
			for s.Count(matrixtest.Sync) < 2 {
				<-time.After(time.Millisecond)
			}
			// Whichever of the two comes first, the other one is the second.
			short, end := context.WithTimeout(t.Context(), 5*time.Second)
			_, _ = c.FullSyncRequest(short, mautrix.ReqSync{Since: since, Timeout: 4000})
			end()
			cancel()
			<-done
		}, "while one was running"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := start(t, matrixtest.Options{})
			c := login(t, s, s.Account("bot", "secret"))
			tc.do(t, s, c)
			if got := strings.Join(s.Violations(), "\n"); !strings.Contains(got, tc.want) {
				t.Errorf("violations %q, want one with %q", got, tc.want)
			}
		})
	}
}

func TestAClientThatHangsUpMayPollAgain(t *testing.T) {
	s := start(t, matrixtest.Options{})
	c := login(t, s, s.Account("bot", "secret"))
	since := syncOnce(t, c, "", 1).NextBatch
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		reached := make(chan struct{})
		s.Inject(matrixtest.Fault{On: matrixtest.Sync, Times: 1, Reach: func() { close(reached) }})
		go func() { <-reached; cancel() }()
		if _, err := c.FullSyncRequest(ctx, mautrix.ReqSync{Since: since, Timeout: 60_000}); err == nil {
			t.Fatal("a cancelled sync answered")
		}
	}
	syncOnce(t, c, since, 1)
	wellUsed(t, s)
}

// get asks for url and leaves the answer aside: the server writes the misuse down.
func get(t *testing.T, url, token string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}
