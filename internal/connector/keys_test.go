package connector_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// darkRoom is an encrypted room in which alice said what the bot has no key of, and the key
// file that she exports.
func darkRoom(ctx context.Context, t *testing.T, hs *matrixtest.Server, texts ...string) (file []byte) {
	t.Helper()
	alice, err := hs.NewPeer(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	r := hs.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Den", Encrypted: true})
	r.Join(hs.UserID("bot"))
	end := hs.LoseToDevice(hs.UserID("bot"), "m.room.encrypted")
	for _, text := range texts {
		if _, err := alice.Say(ctx, r.ID, text); err != nil {
			t.Fatal(err)
		}
	}
	end()
	out, err := alice.Store.GetOutboundGroupSession(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	in, err := alice.Store.GetGroupSession(ctx, r.ID, out.ID())
	if err != nil {
		t.Fatal(err)
	}
	if file, err = crypto.ExportKeys("a passphrase", []*crypto.InboundGroupSession{in}); err != nil {
		t.Fatal(err)
	}
	return file
}

func settingsOf(t *testing.T, hs *matrixtest.Server, path string) *config.Config {
	t.Helper()
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + path, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32), "MATRIX_INVITE_FROM=*:" + hs.Name(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestAKeyFileIsTakenInWithoutAConnector(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hs := homeserver(t)
	path, output := t.TempDir(), t.TempDir()
	file := darkRoom(ctx, t, hs, "canary one", "canary two")
	settings := settingsOf(t, hs, path)
	if _, err := connector.ImportKeys(ctx, settings, file, "a passphrase"); err == nil {
		t.Error("keys were taken into a store that nobody has worked on")
	}
	if log, err := export(ctx, t, hs, path, output, false); err != nil || messages(output) != 0 {
		t.Fatalf("%d messages, %v\n%s", messages(output), err, log)
	}
	_, err := connector.ImportKeys(ctx, settings, file, "another one")
	if wrong, ok := errors.AsType[*connector.KeyFileError](err); !ok || wrong.Hint() == "" || !errors.Is(err, matrix.ErrKeyFilePhrase) {
		t.Errorf("with another passphrase: %v", err)
	}
	for range 2 {
		got, err := connector.ImportKeys(ctx, settings, file, "a passphrase")
		if diff := cmp.Diff(connector.Imported{Sessions: 1, Taken: 1}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	if log, err := export(ctx, t, hs, path, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if diff := cmp.Diff([]string{"canary one", "canary two"}, exported(t, output)); diff != "" {
		t.Error(diff)
	}
	text, n, err := connector.ExportKeys(ctx, settings, "another passphrase")
	if err != nil || n != 1 {
		t.Fatalf("%d keys: %v", n, err)
	}
	back, err := matrix.ReadKeyFile(text, "another passphrase")
	if err != nil || len(back) != 1 {
		t.Errorf("%d keys come back: %v", len(back), err)
	}
}

func TestAKeyFileIsTakenInBesideTheRunningConnector(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hs := homeserver(t)
	path, output := t.TempDir(), t.TempDir()
	file := darkRoom(ctx, t, hs, "canary one", "canary two")
	settings := settingsOf(t, hs, path)
	c, err := connector.New(connector.Config{Settings: settings, Output: output, Follow: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(running) }()
	for {
		// The connector counts what it could not decrypt.
		s, err := c.Snapshot(ctx)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("nothing undecryptable was seen: %v", err)
		}
		if slices.ContainsFunc(s.Rooms, func(r status.Room) bool { return r.Undecrypted == 2 }) {
			break
		}
	}
	got, err := connector.ImportKeys(ctx, settings, file, "a passphrase")
	if diff := cmp.Diff(connector.Imported{Sessions: 1, Taken: 1}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for messages(output) < 2 && ctx.Err() == nil {
		_ = messages(output)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"canary one", "canary two"}, exported(t, output)); diff != "" {
		t.Error(diff)
	}
}
