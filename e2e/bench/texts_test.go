package bench_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// BenchmarkTexts is the built binary from its start until the platform holds every
// one of the plain texts that wait in four rooms.
func BenchmarkTexts(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{})
		s.Works()
		alice := s.Homeserver.Account("alice", "secret")
		rooms := s.Rooms(4, alice, matrixtest.RoomOptions{})
		said := make([]id.EventID, *texts)
		for i := range said {
			said[i] = rooms[i%len(rooms)].Say(alice, sentence(i))
		}
		ours, brokers := standIns(b), cpu(b, s.Broker.CPU)

		began := time.Now()
		run := s.Starts()
		// A Channel for each room, one Individual, and two objects for each message.
		run.Await(10*time.Minute, "all texts were there", func() bool { n, _ := s.Platform.Imported(); return n >= 2*len(said)+len(rooms)+1 })
		took := time.Since(began)
		holds(b, s, said)
		peak := run.Peak()
		run.Ends()

		thousands := float64(len(said)) / 1000
		bench.TextRate.Is(b, "", float64(len(said))/took.Seconds())
		bench.TextCPU.Is(b, "", run.Spent().Seconds()/thousands)
		imported, _ := s.Platform.Imported()
		bench.TextObjects.Is(b, "", float64(imported)/float64(len(said)))
		bench.TextDisk.Is(b, "store", float64(size(b, s.Store()))/1024/thousands)
		bench.TextPeak.Is(b, "peak", float64(peak)/(1<<20))
		// What the machine did besides: how much of the rate is the connector's.
		b.ReportMetric((standIns(b)-ours).Seconds()/thousands, "stand-ins-cpu-s")
		b.ReportMetric((cpu(b, s.Broker.CPU)-brokers).Seconds()/thousands, "broker-cpu-s")
	}
}

// sentence is a message of about 90 characters.
func sentence(i int) string {
	return fmt.Sprintf("Message %d says that evil[.]example came back at 198.51.100.%d, see hxxps://evil[.]example/%x", i, i%250, i)
}

// holds asserts that each event is one object of the platform, and nothing else is.
func holds(b *testing.B, s *bench.Stage, said []id.EventID) {
	b.Helper()
	if lost, doubled, strange := compare(s, said); lost+doubled+strange > 0 {
		b.Fatalf("of %d messages %d are lost, %d doubled; %d are nobody's", len(said), lost, doubled, strange)
	}
	for _, v := range s.Platform.Violations() {
		b.Fatalf("the platform complains: %v", v)
	}
	for _, v := range s.Homeserver.Violations() {
		b.Fatalf("the homeserver complains: %v", v)
	}
}

func compare(s *bench.Stage, said []id.EventID) (lost, doubled, strange int) {
	found := map[id.EventID]int{}
	for _, o := range s.Platform.Objects("Media-Content") {
		found[id.EventID(o.Text("url"))]++
	}
	for _, e := range said {
		switch n := found[e]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
		delete(found, e)
	}
	return lost, doubled, len(found)
}

// size is the size of a folder's files in bytes.
func size(b *testing.B, dir string) (sum int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}

// standIns is the processor time of this process: homeserver and platform.
func standIns(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(os.NewSyscallError("getrusage", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func cpu(b *testing.B, of func() (time.Duration, error)) time.Duration {
	b.Helper()
	d, err := of()
	if err != nil {
		b.Fatal(err)
	}
	return d
}
