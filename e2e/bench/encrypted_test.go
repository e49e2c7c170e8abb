package bench_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// people speak in so many encrypted rooms each.
const people, each = 8, 8

// BenchmarkEncrypted is the built binary from its start until the platform holds
// every one of the encrypted texts that wait in 64 rooms: eight people, one Megolm
// session a room. The device is older than the messages, or it could not read them.
func BenchmarkEncrypted(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{})
		s.Works()
		said := whispered(b, s)

		began := time.Now()
		run := s.Starts()
		read := make(chan time.Duration, 1)
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		defer cancel()
		go func() {
			if awaitPosts(ctx, s, len(said)) == nil {
				read <- time.Since(began)
			}
			close(read)
		}()
		objects := 2*len(said) + people*each + people
		run.Await(5*time.Minute, "all texts were there", func() bool { n, _ := s.Platform.Imported(); return n >= objects })
		took := time.Since(began)
		holds(b, s, said)
		run.Ends()

		bench.SecretRate.Is(b, "", float64(len(said))/took.Seconds())
		if took, ok := <-read; ok {
			bench.SecretRead.Is(b, "read", float64(len(said))/took.Seconds())
		} else {
			b.Errorf("not all of %d messages were read", len(said))
		}
		bench.SecretCPU.Is(b, "", run.Spent().Seconds()/float64(len(said))*1000)
	}
}

// whispered makes 64 encrypted rooms in which eight people have said everything
// while the bot, which has a device, was not there.
func whispered(b *testing.B, s *bench.Stage) []id.EventID {
	b.Helper()
	speakers := make([]*matrixtest.Peer, people)
	rooms := make([]*matrixtest.Room, 0, people*each)
	for i := range speakers {
		p, err := s.Homeserver.NewPeer(b.Context(), "speaker"+string(rune('a'+i)))
		if err != nil {
			b.Fatal(err)
		}
		speakers[i] = p
		rooms = append(rooms, s.Rooms(each, p.User, matrixtest.RoomOptions{Encrypted: true})...)
	}
	device(b, s)
	said := make([]id.EventID, *secrets)
	for i := range said {
		room, p := rooms[i%len(rooms)], speakers[i%len(rooms)/each]
		cipher, err := p.Encrypt(b.Context(), room.ID, event.EventMessage, text(sentence(i)))
		if err != nil {
			b.Fatal(err)
		}
		said[i] = room.Send(p.User, event.EventEncrypted.Type, cipher)
	}
	return said
}

func text(body string) matrixtest.Content {
	return matrixtest.Content{"msgtype": "m.text", "body": body}
}

// device lets the bot log in, make its keys and see its rooms, and stops it.
func device(b *testing.B, s *bench.Stage) {
	b.Helper()
	run := s.Starts()
	run.Synced(1)
	run.Ends()
	devices := s.Homeserver.DeviceIDs(s.Bot)
	if len(devices) != 1 || s.Homeserver.DeviceKeys(s.Bot, devices[0]) == nil || s.Homeserver.OneTimeKeys(s.Bot, devices[0]) == 0 {
		b.Fatalf("devices %v, of which the first has no keys", devices)
	}
}

// awaitPosts waits until the ledger has so many posts. It looks ten times a second.
func awaitPosts(ctx context.Context, s *bench.Stage, n int) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Store(), store.FileName)+"?mode=ro")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // only read
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var posts int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM ledger_post").Scan(&posts); err != nil {
			return err
		}
		if posts >= n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
