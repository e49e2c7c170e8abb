// Command demo shows, on a machine that has nothing but Go, what the connector
// makes of a chat: it starts a homeserver, lets a few people talk in an open and
// in an encrypted room, runs the real binary with export, and prints what each
// message became. The bundles stay in demo-out/, everything else is cleared away.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/exported"
	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
)

func main() { os.Exit(run()) }

// run is the exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := play(ctx)
	switch {
	case ctx.Err() != nil:
		fmt.Println("\nStopped; everything was cleared away.")
		return 130
	case err != nil:
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		return 1
	}
	return 0
}

// play is the demo from beginning to end. Whatever it started is gone when it
// returns, and only a whole export stays.
func play(ctx context.Context) (err error) {
	root, err := parts.Root()
	if err != nil {
		return err
	}
	out := filepath.Join(root, "demo-out")
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(out) // half an export shows nothing
		}
	}()
	s := newStage(ctx)
	defer s.clear()
	defer s.recover(&err)

	if err := step("Building the connector", func() error { _, err := parts.BuildConnector(ctx); return err }); err != nil {
		return err
	}
	if err := step("Building the homeserver Dendrite (a minute or two the first time)", func() error { _, err := parts.BuildDendrite(ctx); return err }); err != nil {
		return err
	}
	var hs *parts.Homeserver
	err = step("Starting the homeserver", func() (err error) {
		hs, err = parts.StartDendrite(ctx, parts.HomeserverConfig{Dir: s.TempDir()})
		return err
	})
	if err != nil {
		return err
	}
	s.Cleanup(func() { _ = hs.Close() })

	town := people.New(s, hs)
	bot := town.Registers("octi")
	var connector *parts.Connector
	err = step("Starting the connector: matrix-connector export --output demo-out --follow", func() (err error) {
		connector, err = parts.StartConnector(ctx, parts.ConnectorConfig{
			Dir:  s.TempDir(),
			Args: []string{"export", "--output", out, "--follow"},
			Env: map[string]string{
				"MATRIX_SERVER": hs.URL, "MATRIX_USER_ID": bot.String(), "MATRIX_PASSWORD": people.Password,
				"MATRIX_INVITE_FROM": "*:" + parts.ServerName, "MATRIX_TLP": "AMBER",
			},
		})
		return err
	})
	if err != nil {
		return err
	}
	s.Cleanup(connector.Kill)

	var rooms []room
	err = step("Letting Alice, Bob and Carol chat", func() error { rooms = chat(town, bot); return nil })
	if err != nil {
		return err
	}
	var messages map[id.EventID]exported.Message
	err = step("Waiting until everything is exported", func() (err error) {
		messages, err = s.await(connector, town.Said(), out)
		return err
	})
	if err != nil {
		return err
	}
	if err := step("Stopping the connector", connector.Close); err != nil {
		return err
	}
	return tell(os.Stdout, root, out, rooms, town.Said(), messages)
}

// step shows what goes on and how long it took.
func step(what string, do func() error) error {
	fmt.Printf("• %s …", what)
	started := time.Now()
	err := do()
	if err != nil {
		fmt.Println(" failed")
		return err
	}
	fmt.Printf(" %.1f s\n", time.Since(started).Seconds())
	return nil
}

// exportTime bounds the wait for the export.
const exportTime = time.Minute

var errUnfinished = errors.New("not everything was exported in time")

// await waits until all that was said is in the folder, files included.
func (s *stage) await(connector *parts.Connector, said []people.Said, out string) (map[id.EventID]exported.Message, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, exportTime, errUnfinished)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		messages, err := complete(said, out)
		if err == nil {
			return messages, nil
		}
		select {
		case <-tick.C:
		case <-connector.Done():
			return nil, fmt.Errorf("the connector ended: %w\n%s", err, connector.Stderr.Tail(20))
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w\n%s", context.Cause(ctx), err, connector.Stderr.Tail(20))
		}
	}
}

func complete(said []people.Said, out string) (map[id.EventID]exported.Message, error) {
	bundles, err := exported.Read(out)
	if err != nil {
		return nil, err
	}
	messages, err := exported.Messages(bundles)
	if err != nil {
		return nil, err
	}
	for _, one := range said {
		m, ok := messages[one.Event]
		if !ok {
			return nil, fmt.Errorf("%s is missing", one.Event)
		}
		if files, err := m.Files(out); one.File != nil && (err != nil || len(files) != 1) {
			return nil, fmt.Errorf("the file of %s is missing: %w", one.Event, err)
		}
	}
	return messages, nil
}
