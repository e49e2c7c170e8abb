package soak_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"

	"maunium.net/go/mautrix/id"
)

var (
	long  = flag.Bool("soak", false, "the long forms: every moment to die at, a thousand kills, every fault")
	kills = flag.Int("kills", 0, "how many random kills; 0: 20, or 1,000 with -soak")
	share = flag.String("share", "1/1", "which part of the moments to die at in the long form, such as 2/6")
	seed  = flag.Uint64("seed", 0, "of what is chosen by chance; 0: another one each time")
)

func TestMain(m *testing.M) {
	flag.Parse()
	scene.Main(m)
}

// chance is what decides, and can be had again with -seed.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed=%d", n)
	return rand.New(rand.NewPCG(n, n))
}

// recovery is how long the slowest of several recoveries took.
type recovery struct {
	longest time.Duration
	from    string
}

func (r *recovery) took(d time.Duration, from string) {
	if d > r.longest {
		r.longest, r.from = d, from
	}
}

func (r *recovery) String() string {
	return fmt.Sprintf("the longest recovery took %.1f s (%s)", r.longest.Seconds(), r.from)
}

// joined is a room of somebody's that the running bot has joined.
func joined(s *scene.Scene, alice *people.Person, name string, options ...people.RoomOption) id.RoomID {
	room := alice.Creates(name, options...)
	alice.Invites(room, s.Bot)
	alice.Sees(room, s.Bot)
	return room
}
