package matrix

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// No known input makes the reader panic, so that the test takes its machine away.
func TestAPanicEndsOneEventOnly(t *testing.T) {
	st, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "store"), Key: []byte("a key for tests, long enough to be one")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	a := &Account{config: Config{UserID: "@bot:x"}, log: slog.New(slog.DiscardHandler), store: st, now: time.Now}
	if err := a.tables(t.Context()); err != nil {
		t.Fatal(err)
	}
	raws := []json.RawMessage{
		json.RawMessage(`{"type":"m.room.message","event_id":"$1","sender":"@a:x","origin_server_ts":1,"content":{"body":"one"}}`),
		json.RawMessage(`{"type":"m.room.encrypted","event_id":"$2","sender":"@a:x","origin_server_ts":1,"content":{"algorithm":"m.megolm.v1.aes-sha2","session_id":"` +
			strings.Repeat("A", 43) + `","ciphertext":"` + strings.Repeat("A", 100) + `"}}`),
		json.RawMessage(`{"type":"m.room.message","event_id":"$3","sender":"@a:x","origin_server_ts":1,"content":{"body":"three"}}`),
	}
	var b timeline.Batch
	if err := a.absorb(new(storeCalls).attach(t.Context()), &machine{}, &b, "!r:x", raws, true); err != nil {
		t.Fatal(err)
	}
	if len(b.Events) != 2 || len(b.Unreadable) != 1 || b.Unreadable[0].ID != "$2" || b.Unreadable[0].Reason != badReader {
		t.Errorf("events %d, unreadable %+v", len(b.Events), b.Unreadable)
	}
}
