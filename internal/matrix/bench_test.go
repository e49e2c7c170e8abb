package matrix_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// counter is a journal that only counts: what is measured is the reader.
type counter struct {
	token               string
	events, undecrypted int
}

func (c *counter) Token(context.Context) (string, error) { return c.token, nil }

func (c *counter) Record(_ context.Context, b timeline.Batch) error {
	c.token = b.Next
	c.events += len(b.Events)
	c.undecrypted += len(b.Undecrypted)
	return nil
}

func (c *counter) Known(context.Context, id.RoomID, []id.EventID) (map[id.EventID]bool, error) {
	return nil, nil
}
func (c *counter) Newest(context.Context, id.RoomID) (id.EventID, error) { return "", nil }
func (c *counter) Needed(context.Context, timeline.KeyNeed, int) ([]timeline.KeyNeed, error) {
	return nil, nil
}

func (c *counter) AwaitsKey(context.Context, id.RoomID, id.SessionID) (bool, error) {
	return false, nil
}

func (c *counter) Waiting(context.Context, int) ([]timeline.Undecrypted, error) {
	return nil, nil
}

// BenchmarkSync reads responses of 100 messages in one room. A Megolm session holds
// 10,000 messages, so that the encrypted one can run 99 times at most.
func BenchmarkSync(b *testing.B) {
	const messages = 100
	for _, encrypted := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "encrypted"}[encrypted], func(b *testing.B) {
			ctx := context.Background()
			server, err := matrixtest.New(matrixtest.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			st, err := store.Open(ctx, store.Config{Path: b.TempDir(), Key: []byte("a key for tests, long enough to be one")})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = st.Close() }()
			journal := &counter{}
			bot := server.Account("bot", botPassword)
			a, err := matrix.New(matrix.Config{Homeserver: server.URL(), UserID: bot, Password: botPassword, Store: st, Journal: journal})
			if err != nil {
				b.Fatal(err)
			}
			if err := a.Open(ctx); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = a.Close() }()
			alice, err := server.NewPeer(ctx, "alice")
			if err != nil {
				b.Fatal(err)
			}
			room := server.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: encrypted})
			if encrypted {
				room.SetState(alice.User, "m.room.encryption", "", matrixtest.Content{"algorithm": id.AlgorithmMegolmV1, "rotation_period_msgs": 10_000})
			}
			room.Join(bot)
			if _, err := alice.Say(ctx, room.ID, "the key"); err != nil {
				b.Fatal(err)
			}
			if _, err := a.Poll(ctx); err != nil {
				b.Fatal(err)
			}
			var answers []matrixtest.Answer
			for i := range b.N {
				answers = append(answers, matrixtest.Answer{Body: bigAnswer(b, alice, room.ID, encrypted, i, messages)})
			}
			server.Script(bot, journal.token, answers...)
			journal.events, journal.undecrypted = 0, 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := a.Poll(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if journal.undecrypted > 0 || journal.events != b.N*messages {
				b.Fatalf("%d events read, %d not decrypted", journal.events, journal.undecrypted)
			}
			b.ReportMetric(float64(journal.events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func bigAnswer(b *testing.B, alice *matrixtest.Peer, room id.RoomID, encrypted bool, n, messages int) string {
	b.Helper()
	var events []string
	for i := range messages {
		content := fmt.Sprintf(`{"msgtype":"m.text","body":"%s %d"}`, strings.Repeat("word ", 40), i)
		kind := "m.room.message"
		if encrypted {
			cipher, err := alice.Encrypt(context.Background(), room, event.EventMessage, matrixtest.Content{"msgtype": "m.text", "body": strings.Repeat("word ", 40)})
			if err != nil {
				b.Fatal(err)
			}
			text, err := (&event.Content{Parsed: cipher}).MarshalJSON()
			if err != nil {
				b.Fatal(err)
			}
			kind, content = "m.room.encrypted", string(text)
		}
		events = append(events, fmt.Sprintf(`{"type":%q,"event_id":"$%d-%d","sender":%q,"origin_server_ts":%d,"content":%s}`,
			kind, n, i, alice.User, 1700000000000+i, content))
	}
	return fmt.Sprintf(`{"next_batch":"bench%d","rooms":{"join":{%q:{"timeline":{"events":[%s]}}}}}`, n, room, strings.Join(events, ","))
}
