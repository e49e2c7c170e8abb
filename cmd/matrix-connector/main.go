// Command matrix-connector imports Matrix conversations into OpenCTI.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/matrix-connector/matrix-connector/internal/cli"
)

func main() {
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
