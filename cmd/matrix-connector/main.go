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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the next one does what signals do: it ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
