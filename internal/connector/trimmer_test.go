package connector_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// trimming runs a connector that keeps no content until it has dropped some.
func trimming(ctx context.Context, t *testing.T, hs *matrixtest.Server, path, output string) {
	t.Helper()
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + path, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32), "MATRIX_CONTENT_RETENTION=P0D",
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dropped := &listener{word: "content of landed posts dropped", heard: make(chan struct{})}
	c, err := connector.New(connector.Config{
		Settings: settings, Output: output, Follow: true, Log: slog.New(slog.NewJSONHandler(io.Writer(dropped), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	select {
	case <-dropped.heard:
	case <-ctx.Done():
		t.Error("nothing is dropped")
	case err := <-ended:
		t.Fatalf("ended by itself: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// Another sink wants everything again, also what the store no longer holds.
func TestDroppedContentIsReadAgainForAnotherSink(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hs := homeserver(t)
	alice, err := hs.NewPeer(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	plain := hs.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Square"})
	secret := hs.NewRoom(alice.User, matrixtest.RoomOptions{Name: "Den", Encrypted: true})
	plain.Join(hs.UserID("bot"))
	secret.Join(hs.UserID("bot"))
	path, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	if log, err := export(ctx, t, hs, path, first, false); err != nil { // makes the device
		t.Fatalf("%v\n%s", err, log)
	}
	plain.Say(alice.User, "canary one")
	if _, err := alice.Say(ctx, secret.ID, "canary two"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := alice.SendFile(ctx, secret.ID, "canary.txt", "text/plain", []byte("canary three")); err != nil {
		t.Fatal(err)
	}
	if log, err := export(ctx, t, hs, path, first, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	trimming(ctx, t, hs, path, first)
	if log, err := export(ctx, t, hs, path, second, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	want := exported(t, first)
	if len(want) != 3 {
		t.Fatalf("exported: %q", want)
	}
	if diff := cmp.Diff(want, exported(t, second)); diff != "" {
		t.Errorf("the second folder holds something else (-first +second):\n%s", diff)
	}
}
