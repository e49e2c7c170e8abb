package matrix_test

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// blank is a journal that remembers nothing but the token.
type blank struct{ token string }

func (j *blank) Token(context.Context) (string, error) { return j.token, nil }

func (j *blank) Record(_ context.Context, b timeline.Batch) error {
	if b.Next != "" {
		j.token = b.Next
	}
	return nil
}

func (*blank) Known(context.Context, id.RoomID, []id.EventID) (map[id.EventID]bool, error) {
	return nil, nil
}
func (*blank) Newest(context.Context, id.RoomID) (id.EventID, error) { return "", nil }
func (*blank) Needed(context.Context, timeline.KeyNeed, int) ([]timeline.KeyNeed, error) {
	return nil, nil
}

func (*blank) AwaitsKey(context.Context, id.RoomID, id.SessionID) (bool, error) {
	return false, nil
}

func (*blank) Waiting(context.Context, int) ([]timeline.Undecrypted, error) {
	return nil, nil
}

func benchAccount(b *testing.B) (*matrixtest.Server, *store.Store, *matrix.Account, id.UserID) {
	b.Helper()
	server, err := matrixtest.New(matrixtest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	st, err := store.Open(b.Context(), store.Config{Path: b.TempDir(), Key: []byte("a key for tests, long enough to be one")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	bot := server.Account("bot", botPassword)
	a, err := matrix.New(matrix.Config{Homeserver: server.URL(), UserID: bot, Password: botPassword, Store: st, Journal: &blank{}})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Close() })
	return server, st, a, bot
}

// BenchmarkFill reads a page of 100 encrypted events over HTTP and commits it.
func BenchmarkFill(b *testing.B) {
	server, _, a, bot := benchAccount(b)
	alice, err := server.NewPeer(b.Context(), "alice")
	if err != nil {
		b.Fatal(err)
	}
	den := server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	den.Join(bot)
	for i := range 100 {
		if _, err := alice.Say(b.Context(), den.ID, strconv.Itoa(i)); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := a.Poll(b.Context()); err != nil {
		b.Fatal(err)
	}
	gap := timeline.Gap{ID: 1, Room: den.ID, Kind: timeline.GapHistory}
	for b.Loop() {
		if _, err := a.Fill(b.Context(), gap); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkFetch downloads a file of 64 MiB, and reads it back.
func BenchmarkFetch(b *testing.B) {
	const size = 64 << 20
	server, st, a, _ := benchAccount(b)
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	uri := server.Upload(content, "")
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		got, err := a.Fetch(b.Context(), timeline.Attachment{File: timeline.File{URI: uri}}, 0)
		if err != nil {
			b.Fatal(err)
		}
		r, err := matrix.OpenSpooled(st, got)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if err != nil || n != size {
			b.Fatal(n, err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		if err := st.Spool().Remove(got.Spool); err != nil {
			b.Fatal(err)
		}
	}
}
