package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// keysCommand takes room keys in, or gives them away, as files of other clients.
type keysCommand struct {
	Import keysImport `cmd:""`
	Export keysExport `cmd:""`
}

type keysImport struct {
	File string `arg:"" type:"path"`
}

type keysExport struct {
	File string `arg:"" type:"path"`
}

// maxKeyFile bounds what is read of a key file: a session takes about 500 bytes.
const maxKeyFile = 512 << 20

func (c *keysImport) run(ctx context.Context, in *invocation) int {
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	text, err := readKeyFile(c.File)
	if err != nil {
		return in.fail(err, "name the file that was exported in a Matrix client")
	}
	passphrase, err := in.passphrase(ctx, "Passphrase of the file: ", false)
	if err != nil {
		return in.fail(err, "")
	}
	sum, err := connector.ImportKeys(ctx, settings, text, passphrase)
	if err != nil {
		return in.failOf(err, settings, passphrase)
	}
	_, err = fmt.Fprintf(in.stdout, "%d keys taken in, of %d. Messages that they open are imported now.\n", sum.Taken, sum.Sessions)
	if sum.Refused > 0 {
		in.say("%d keys do not agree with what is known of their sessions, and were left out", sum.Refused)
	}
	if sum.Unreadable > 0 {
		in.say("%d entries are no keys, and were left out", sum.Unreadable)
	}
	if err != nil {
		return in.fail(fmt.Errorf("write what was done: %w", err), "")
	}
	return exitFine
}

func readKeyFile(path string) (text []byte, err error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if text, err = io.ReadAll(io.LimitReader(f, maxKeyFile+1)); err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s is larger than any file of keys", path)
	}
	return text, err
}

func (c *keysExport) run(ctx context.Context, in *invocation) (code int) {
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	passphrase, err := in.passphrase(ctx, "Passphrase for the file: ", true)
	if err != nil {
		return in.fail(err, "")
	}
	text, n, err := connector.ExportKeys(ctx, settings, passphrase)
	if err != nil {
		return in.failOf(err, settings, passphrase)
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return in.fail(err, "name a file that does not exist yet, in a folder that can be written to")
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(c.File) // half a file is none
		return in.fail(fmt.Errorf("write the key file: %w", err), "")
	}
	if _, err := fmt.Fprintf(in.stdout, "%d keys are in %s. Whoever has the file and its passphrase can read all that was said with them.\n", n, c.File); err != nil {
		return in.fail(fmt.Errorf("write what was done: %w", err), "")
	}
	return exitFine
}

// failOf ends a command with an error, without secrets.
func (in *invocation) failOf(err error, s *config.Config, more ...string) int {
	hide := telemetry.Hide(append(s.Secrets(), more...))
	in.complain(hide.Replace(err.Error()), hide.Replace(connector.Hint(err)))
	return exitFailed
}
