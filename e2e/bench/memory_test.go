package bench_test

import (
	"io"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// rest is how long nothing happens before memory counts as being at rest. The
// runtime gives free memory back in the background, for minutes; this is the upper
// part of it.
const rest = 20 * time.Second

// BenchmarkMemory is the memory that the binary holds some time after a hundred
// messages, and the largest amount while a file of 1 GiB passes through it: from the
// homeserver, encrypted to the spool, from there to the platform.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		s := bench.New(b, matrixtest.Options{})
		s.Works()
		s.Env["MATRIX_ATTACHMENT_MAX_SIZE"] = "2GiB"
		alice := s.Homeserver.Account("alice", "secret")
		rooms := s.Rooms(4, alice, matrixtest.RoomOptions{})
		run := s.Starts()
		run.Synced(1)
		var said []id.EventID
		for i := range 100 {
			said = append(said, rooms[i%len(rooms)].Say(alice, sentence(i)))
			pause(b, 20*time.Millisecond)
		}
		run.Await(time.Minute, "all texts were there", func() bool { n, _ := s.Platform.Imported(); return n >= 2*len(said)+len(rooms)+1 })
		holds(b, s, said)
		pause(b, rest)
		idle, err := run.Memory()
		if err != nil {
			b.Fatal(err)
		}

		const gibibyte = 1 << 30
		if err := run.ForgetPeak(); err != nil {
			b.Fatal(err)
		}
		file := s.Homeserver.AddMedia(matrixtest.Media{
			Open: func() io.Reader { return io.LimitReader(new(pattern), gibibyte) }, Size: gibibyte, Type: "application/octet-stream",
		})
		sent := rooms[0].Send(alice, "m.room.message", matrixtest.Content{
			"msgtype": "m.file", "body": "disk-image.bin", "url": file.CUString(),
			"info": matrixtest.Content{"mimetype": "application/octet-stream", "size": gibibyte},
		})
		run.Await(5*time.Minute, "the file was there", func() bool { return uploaded(s, sent) == gibibyte })
		peak := run.Peak()
		run.Ends()

		bench.IdleMemory.Is(b, "idle", float64(idle.Resident)/(1<<20))
		bench.IdleAnonymous.Is(b, "idle-anonymous", float64(idle.Anonymous)/(1<<20))
		bench.FilePeak.Is(b, "file-peak", float64(peak)/(1<<20))
	}
}

// uploaded is the size of the file of a message; 0 when there is none.
func uploaded(s *bench.Stage, e id.EventID) int64 {
	for _, o := range s.Platform.Objects("Media-Content") {
		if o.Text("url") == string(e) {
			for _, f := range s.Platform.Files(o.ID) {
				return f.Size
			}
		}
	}
	return 0
}

// pattern is an endless file that costs nothing to make.
type pattern struct{ n byte }

func (p *pattern) Read(to []byte) (int, error) {
	p.n++
	if len(to) > 0 {
		to[0] = p.n
	}
	return len(to), nil
}
