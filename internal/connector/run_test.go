package connector_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// export runs an export to its end, or until stop, and gives the log.
func export(ctx context.Context, t *testing.T, hs *matrixtest.Server, path, output string, follow bool, more ...string) (string, error) {
	t.Helper()
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Environ: append([]string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + path, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32), "MATRIX_INVITE_FROM=*:" + hs.Name(),
	}, more...)})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c, err := connector.New(connector.Config{
		Settings: settings, Output: output, Follow: follow,
		Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(ctx)
	return log.String(), err
}

func homeserver(t *testing.T) *matrixtest.Server {
	t.Helper()
	hs, err := matrixtest.New(matrixtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hs.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string(nil), hs.Violations()); diff != "" {
			t.Error(diff)
		}
	})
	hs.Account("bot", "secret")
	return hs
}

// exported gives the contents of all Media Contents below a folder, sorted.
func exported(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(root, "messages"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var bundle struct {
			Objects []struct {
				Type    string `json:"type"`
				Content string `json:"content"`
				Files   []struct {
					Name string `json:"name"`
					Data []byte `json:"data"`
				} `json:"x_opencti_files"`
			} `json:"objects"`
		}
		if err := json.Unmarshal(data, &bundle); err != nil {
			return err
		}
		for _, o := range bundle.Objects {
			if o.Type != "media-content" {
				continue
			}
			line := []string{o.Content}
			for _, f := range o.Files {
				line = append(line, f.Name+" = "+string(f.Data))
			}
			out = append(out, strings.Join(line, " | "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// messages counts the bundles of messages below a folder.
func messages(root string) int {
	found, _ := filepath.Glob(filepath.Join(root, "messages", "*", "*.json")) // the pattern is good
	return len(found)
}

func TestAnExportHoldsEverythingThatWasSaidAndEndsByItself(t *testing.T) {
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
	secret.Invite(alice.User, hs.UserID("bot"))
	plain.Say(alice.User, "canary one")
	store, output := t.TempDir(), t.TempDir()

	// The first run makes the device and joins the room that it is invited to.
	if log, err := export(ctx, t, hs, store, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if _, err := alice.Say(ctx, secret.ID, "canary two"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := alice.SendFile(ctx, secret.ID, "canary.txt", "text/plain", []byte("canary three")); err != nil {
		t.Fatal(err)
	}
	plain.Say(alice.User, "canary four")
	log, err := export(ctx, t, hs, store, output, false)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	want := []string{"canary four", "canary one", "canary two", `[file: canary.txt] | canary.txt = canary three`}
	slices.Sort(want)
	if diff := cmp.Diff(want, exported(t, output)); diff != "" {
		t.Errorf("%s\n%s", diff, log)
	}
	if strings.Contains(log, "canary") {
		t.Error("the log shows what was said")
	}
	if devices := hs.DeviceIDs(hs.UserID("bot")); len(devices) != 1 {
		t.Errorf("the bot has the devices %v", devices)
	}
}

func TestAStoreThatDeliversToAPlatformIsNotExported(t *testing.T) {
	hs := homeserver(t)
	store := t.TempDir()
	output := t.TempDir()
	if log, err := export(t.Context(), t, hs, store, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	settings, err := config.Load(config.Input{Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + store, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32),
		"OPENCTI_URL=http://127.0.0.1:1", "OPENCTI_TOKEN=token", "CONNECTOR_ID=7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11",
	}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := connector.New(connector.Config{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	var wrong *connector.StoreError
	if err := c.Run(t.Context()); !asStoreError(err, &wrong) || !strings.Contains(wrong.Hint(), "MATRIX_STORE_PATH") {
		t.Errorf("run gave %v", err)
	}
}

func TestAConnectorStopsWhenToldAndGoesOnWhereItWas(t *testing.T) {
	hs := homeserver(t)
	user := hs.Account("alice", "secret")
	room := hs.NewRoom(user, matrixtest.RoomOptions{Name: "Square"})
	room.Join(hs.UserID("bot"))
	store, output := t.TempDir(), t.TempDir()
	var want []string
	for i := range 5 {
		text := "round " + string(rune('a'+i))
		room.Say(user, text)
		want = append(want, text)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		stop, told := context.WithCancel(ctx)
		go func() {
			// Told to stop at the first sight of the text, or in the middle of something.
			for ctx.Err() == nil && i%2 == 0 && messages(output) <= i {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
			}
			told()
		}()
		if log, err := export(stop, t, hs, store, output, true); err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		cancel()
	}
	if log, err := export(t.Context(), t, hs, store, output, false); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if diff := cmp.Diff(want, exported(t, output)); diff != "" {
		t.Error(diff)
	}
}

// listener is a log that tells when it hears a word.
type listener struct {
	word  string
	once  sync.Once
	heard chan struct{}
}

func (l *listener) Write(line []byte) (int, error) {
	if strings.Contains(string(line), l.word) {
		l.once.Do(func() { close(l.heard) })
	}
	return len(line), nil
}

func TestASecondProcessTouchesNothingUntilTheFirstHasEnded(t *testing.T) {
	hs := homeserver(t)
	user := hs.Account("alice", "secret")
	room := hs.NewRoom(user, matrixtest.RoomOptions{Name: "Square"})
	room.Join(hs.UserID("bot"))
	room.Say(user, "hello")
	path, output := t.TempDir(), t.TempDir()
	first, err := store.Open(t.Context(), store.Config{Path: path, Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	release, err := first.Lock("connector")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + path, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32),
	}})
	if err != nil {
		t.Fatal(err)
	}
	once, err := connector.New(connector.Config{Settings: settings, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	if err := once.Run(t.Context()); !errors.Is(err, store.ErrLocked) {
		t.Errorf("an export that ends by itself: %v, want %v", err, store.ErrLocked)
	}
	waits := &listener{word: store.ErrLocked.Error(), heard: make(chan struct{})}
	lands := &listener{word: "batch settled", heard: make(chan struct{})}
	second, err := connector.New(connector.Config{
		Settings: settings, Output: output, Follow: true,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(waits, lands), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- second.Run(running) }()
	select {
	case err := <-ended:
		t.Fatalf("ended beside the first: %v", err)
	case <-waits.heard:
	}
	if n := messages(output); n != 0 {
		t.Errorf("%d messages exported beside the first", n)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	<-lands.heard
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"hello"}, exported(t, output)); diff != "" {
		t.Error(diff)
	}
}
