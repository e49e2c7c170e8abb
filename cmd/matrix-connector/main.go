// Command matrix-connector imports Matrix conversations into OpenCTI.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/matrix-connector/matrix-connector/internal/cli"
)

// gcPercent is how much garbage the process lets grow beside what it holds, in per
// cent of that. It holds so little that twice Go's default costs 3 MiB at rest, and
// saves an eighth of the processor time while much waits (docs/performance.md). GOGC
// is obeyed where it is set.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		// Whoever asks twice does not want to wait; the ledger knows what is left. As
		// long as there is a channel no signal falls between two ways of handling it.
		if s, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(s))
		}
	}()
	end := profile()
	code := cli.Main(ctx, os.Args[1:], cli.Environ(), os.Stdin, os.Stdout, os.Stderr)
	end()
	os.Exit(code)
}
