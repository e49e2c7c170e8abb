package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// statusCommand shows what the connector is doing or, where none runs, what it has left.
type statusCommand struct {
	JSON bool `name:"json"`
}

func (c *statusCommand) run(ctx context.Context, in *invocation) int {
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	s, err := c.ask(ctx, settings)
	if err != nil {
		return in.failOf(err, settings)
	}
	if c.JSON {
		err = writeJSON(in.stdout, s)
	} else {
		err = status.WriteText(in.stdout, s)
	}
	if err != nil {
		return in.fail(err, "")
	}
	return exitFine
}

// ask asks the connector that runs on the store, and else the store itself.
func (c *statusCommand) ask(ctx context.Context, settings *config.Config) (s status.Snapshot, err error) {
	answer, ok, err := askConnector(ctx, settings.Matrix.StorePath, "/status.json")
	switch {
	case errors.Is(err, control.ErrNobody):
		return connector.Stopped(ctx, settings, version(), time.Now())
	case err != nil:
		return s, fmt.Errorf("ask the running connector: %w", err)
	case !ok:
		return s, fmt.Errorf("the running connector answered: %s", printable(answer))
	}
	if err := json.Unmarshal([]byte(answer), &s); err != nil {
		return s, fmt.Errorf("read the answer of the running connector: %w", err)
	}
	return s, nil
}
