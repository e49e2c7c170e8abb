package connector_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// withFiles counts the bundles below a folder that hold a file.
func withFiles(root string) (n int) {
	found, _ := filepath.Glob(filepath.Join(root, "messages", "*", "*.json")) // the pattern is good
	for _, path := range found {
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte("x_opencti_files")) {
			n++
		}
	}
	return n
}

func TestAFileThatIsRefusedForeverHoldsUpNoOther(t *testing.T) {
	for name, fault := range map[string]matrixtest.Fault{
		"as too often asked for": {Status: http.StatusTooManyRequests, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 100},
		"for want of a token":    {Status: http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			hs := homeserver(t)
			user := hs.Account("alice", "secret")
			room := hs.NewRoom(user, matrixtest.RoomOptions{Name: "Square"})
			room.Join(hs.UserID("bot"))
			stuck := hs.Upload([]byte("stuck"), "text/plain")
			fault.On, fault.Path = matrixtest.MediaDownload, stuck.FileID
			hs.Inject(fault)
			hs.Inject(matrixtest.Fault{On: matrixtest.MediaDownload, Delay: 300 * time.Millisecond}) // the others are on their way meanwhile
			room.Send(user, "m.room.message", map[string]any{"msgtype": "m.file", "body": "stuck.txt", "url": stuck.String()})
			want := []string{"[file: stuck.txt]"}
			for _, text := range []string{"a", "b", "c", "d", "e"} {
				file := text + ".txt"
				room.Send(user, "m.room.message", map[string]any{"msgtype": "m.file", "body": file, "url": hs.Upload([]byte(text), "text/plain").String()})
				want = append(want, "[file: "+file+"] | "+file+" = "+text)
			}
			slices.Sort(want)
			store, output := t.TempDir(), t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			stop, told := context.WithCancel(ctx)
			defer told()
			go func() {
				defer told()
				for stop.Err() == nil {
					if withFiles(output) == len(want)-1 {
						return
					}
					select {
					case <-time.After(50 * time.Millisecond):
					case <-stop.Done():
					}
				}
			}()
			if log, err := export(stop, t, hs, store, output, true); err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			if diff := cmp.Diff(want, exported(t, output)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A quota that holds no file lets them through one by one: each waits until the one before
// it was delivered.
func TestAFullSpoolHoldsUpFilesAndNoText(t *testing.T) {
	hs := homeserver(t)
	user := hs.Account("alice", "secret")
	room := hs.NewRoom(user, matrixtest.RoomOptions{Name: "Square"})
	room.Join(hs.UserID("bot"))
	want := []string{"a text", "[file: large.txt]"}
	for _, text := range []string{"aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"} {
		file := text + ".txt"
		room.Send(user, "m.room.message", map[string]any{
			"msgtype": "m.file", "body": file, "url": hs.Upload([]byte(text), "text/plain").String(), "info": map[string]any{"size": len(text)},
		})
		want = append(want, "[file: "+file+"] | "+file+" = "+text)
	}
	// What is only to be refused needs no room, and waits for none.
	room.Send(user, "m.room.message", map[string]any{
		"msgtype": "m.file", "body": "large.txt", "url": hs.Upload([]byte("large"), "text/plain").String(), "info": map[string]any{"size": 1 << 30},
	})
	room.Send(user, "m.room.message", map[string]any{"msgtype": "m.text", "body": "a text"})
	slices.Sort(want)
	output := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log, err := export(ctx, t, hs, t.TempDir(), output, false, "MATRIX_SPOOL_MAX_SIZE=1")
	if err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v\n%s", err, ctx.Err(), log)
	}
	got := exported(t, output)
	for i, line := range got {
		if strings.HasPrefix(line, "[file: large.txt]") {
			got[i] = "[file: large.txt]" // and that it was too large
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(log, "attachments wait: those on their way take all of MATRIX_SPOOL_MAX_SIZE") || !strings.Contains(log, "attachments are fetched again") {
		t.Errorf("the log does not tell of the wait:\n%s", log)
	}
}

// What the homeserver did not have is lost until somebody asks for it once more; that is
// listed, and afterwards it is not.
func TestALostFileIsFetchedWhenItIsTriedOnceMore(t *testing.T) {
	hs := homeserver(t)
	user := hs.Account("alice", "secret")
	room := hs.NewRoom(user, matrixtest.RoomOptions{Name: "Square"})
	room.Join(hs.UserID("bot"))
	file := hs.Upload([]byte("here again"), "text/plain")
	hs.Inject(matrixtest.Fault{On: matrixtest.MediaDownload, Path: file.FileID, Status: http.StatusNotFound, Code: "M_NOT_FOUND", Times: 1})
	event := room.Send(user, "m.room.message", map[string]any{"msgtype": "m.file", "body": "file.txt", "url": file.String()})
	store, output := t.TempDir(), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if log, err := export(ctx, t, hs, store, output, false); err != nil || withFiles(output) != 0 {
		t.Fatalf("%v, %d with files\n%s", err, withFiles(output), log)
	}
	settings, err := config.Load(config.Input{Purpose: config.ForDirectory, Environ: []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + hs.UserID("bot").String(), "MATRIX_PASSWORD=secret",
		"MATRIX_STORE_PATH=" + store, "MATRIX_STORE_KEY=" + strings.Repeat("k", 32),
	}})
	if err != nil {
		t.Fatal(err)
	}
	missing := func() (list []connector.Missing) {
		trial, err := connector.OpenTrial(ctx, settings, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		defer trial.Close() //nolint:errcheck // it was only read
		for m, err := range trial.Missing(ctx, connector.Choice{Reasons: []string{"not_found"}}) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, m)
		}
		return list
	}
	if got := missing(); len(got) != 1 || got[0].What != "attachment" || got[0].Event != event.String() || got[0].File != 1 || !strings.Contains(got[0].Cure, "requeue --reason not_found") {
		t.Errorf("missing: %+v", got)
	}
	n, err := connector.Requeue(ctx, connector.Config{Settings: settings}, connector.Choice{Event: event})
	if diff := cmp.Diff(connector.Requeued{Attachments: 1}, n); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if log, err := export(ctx, t, hs, store, output, false); err != nil || withFiles(output) != 1 {
		t.Errorf("%v, %d with files\n%s", err, withFiles(output), log)
	}
	if got := missing(); len(got) != 0 {
		t.Errorf("still missing: %+v", got)
	}
}
