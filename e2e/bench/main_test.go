package bench_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// How much of everything; the figures are those of the defaults.
var (
	texts   = flag.Int("texts", 20_000, "plain texts that wait")
	secrets = flag.Int("secrets", 6_400, "encrypted texts that wait")
	singles = flag.Int("singles", 200, "texts that come one by one")
	paced   = flag.Int("paced", 2_000, "texts that come at 35 a second")
	away    = flag.Duration("away", 2*time.Minute, "how long a part is away")
	events  = flag.Int("events", 1_000_000, "events in the large store")
)

func TestMain(m *testing.M) {
	// The stand-ins live in this process. What they cost is not what is measured, and
	// the machine is shared with them.
	debug.SetGCPercent(400)
	code := m.Run()
	bench.Close()
	if err := tell(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// tell prints what was measured, and writes it into the page where that is wanted.
func tell() error {
	if err := bench.Print(os.Stdout); err != nil {
		return err
	}
	if os.Getenv("BENCH_UPDATE") == "" {
		return nil
	}
	page, err := performance()
	if err != nil {
		return err
	}
	return bench.Update(page, bench.Machine())
}

func performance() (string, error) {
	root, err := parts.Root()
	return filepath.Join(root, "docs", "performance.md"), err
}
