package cli

import (
	"context"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// exportCommand writes bundles into a folder instead of delivering to a platform.
type exportCommand struct {
	Output string `short:"o" type:"path" placeholder:"DIR"`
	Follow bool   `short:"f"`
}

func (c *exportCommand) run(ctx context.Context, in *invocation) int {
	if c.Output == "" {
		in.complain("export needs a folder to write to", program+" export --output DIR")
		return exitUsage
	}
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	code := in.connect(ctx, connector.Config{Settings: settings, Output: c.Output, Follow: c.Follow})
	if code == exitFine && (c.Follow || ctx.Err() == nil) { // else it was told to stop before it had caught up
		_, _ = fmt.Fprintf(in.stdout, "The bundles are in %s.\n", c.Output)
	}
	return code
}
