package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// BenchmarkWaitingTexts measures the built binary, from its start until the
// platform holds every one of b.N plain texts that wait on the homeserver, in four
// rooms. The homeserver is scripted and the platform a stand-in, so what is measured
// is the connector and a real broker:
//
//	go test -run='^$' -bench=WaitingTexts -benchtime=20000x ./e2e
func BenchmarkWaitingTexts(b *testing.B) {
	hs, err := matrixtest.New(matrixtest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = hs.Close() })
	bot, alice := hs.Account("bot", "secret"), hs.Account("alice", "secret")
	var rooms []*matrixtest.Room
	for i := range 4 {
		room := hs.NewRoom(alice, matrixtest.RoomOptions{Name: fmt.Sprintf("Room %d", i)})
		room.Join(bot)
		rooms = append(rooms, room)
	}
	for i := range b.N {
		rooms[i%len(rooms)].Say(alice, fmt.Sprintf("Message %d says that evil[.]example came back at 198.51.100.%d", i, i%250))
	}
	broker, err := parts.StartRabbitMQ(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = broker.Close() })
	platform, err := openctitest.New(openctitest.Config{
		Generation: openctitest.Gen7, NoLag: true,
		Broker: &openctitest.Broker{Host: broker.Host, Port: broker.Port, User: parts.BrokerUser, Password: parts.BrokerPassword},
	})
	if err != nil {
		b.Fatal(err)
	}
	working, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = platform.Run(working) }()
	b.Cleanup(func() { stop(); <-ended; _ = platform.Close() })

	dir := b.TempDir()
	b.ResetTimer()
	started := time.Now()
	c, err := parts.StartConnector(b.Context(), parts.ConnectorConfig{Dir: dir, Env: map[string]string{
		"OPENCTI_URL": platform.URL(), "OPENCTI_TOKEN": platform.Token("connector"), "CONNECTOR_ID": uuid.NewString(),
		"MATRIX_SERVER": hs.URL(), "MATRIX_USER_ID": bot.String(), "MATRIX_PASSWORD": "secret",
		"MATRIX_STORE_PATH": filepath.Join(dir, "store"),
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	// A Channel for each room in which something was said, one Individual, and two
	// objects for each message.
	if err := platform.Await(ctx, func() bool { n, _ := platform.Imported(); return n >= 2*b.N+min(b.N, len(rooms))+1 }); err != nil {
		n, _ := platform.Imported()
		b.Fatalf("%v; the platform holds %d objects of %d messages\n%s", err, n, b.N, c.Stderr.Tail(40))
	}
	took := time.Since(started)
	b.StopTimer()
	peak, err := c.PeakMemory()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "messages/s")
	b.ReportMetric(processorTime(b, c.PID()).Seconds()/float64(b.N)*1000, "cpu-s/1000-messages")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
	b.ReportMetric(float64(storeSize(b, dir))/float64(b.N), "B-store/message")
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
}

// processorTime is what a process has used so far, by proc(5): utime and stime in
// hundredths of a second.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// storeSize is the size of all files of the store.
func storeSize(b *testing.B, dir string) (size int64) {
	b.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}
