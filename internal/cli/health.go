package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/control"
)

// healthCommand asks the running connector how it is: for images without a shell.
type healthCommand struct {
	Live bool `help:"ask whether it lives, not whether it is ready"`
}

// answerBytes bounds what is shown of an answer.
const answerBytes = 16 << 20

func (c *healthCommand) run(ctx context.Context, in *invocation) int {
	// What an export needs is enough: only the store's folder is made use of.
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	folder := settings.Matrix.StorePath
	answer, healthy, err := askConnector(ctx, folder, path)
	switch {
	case errors.Is(err, control.ErrNobody):
		return in.fail(fmt.Errorf("%w: %s", control.ErrNobody, folder),
			"start it, or set MATRIX_STORE_PATH to the folder that it uses")
	case err != nil:
		return in.fail(fmt.Errorf("ask the running connector: %w", err), "")
	}
	if _, err := io.WriteString(in.stdout, answer); err != nil {
		return in.fail(fmt.Errorf("write health: %w", err), "")
	}
	if !healthy {
		return exitFailed
	}
	return exitFine
}

// askConnector gets a path from the connector that runs on a store.
func askConnector(ctx context.Context, folder, path string) (answer string, ok bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://connector"+path, nil)
	if err != nil {
		return "", false, err
	}
	res, err := control.Client(folder).Do(r)
	if err != nil {
		return "", false, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerBytes))
	return string(body), res.StatusCode == http.StatusOK, err
}
