package bench_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// loaded puts a copy of a store with so many landed events into a folder. The
// original is kept in the build folder, as long as no table changes.
func loaded(ctx context.Context, folder string, events int) error {
	root, err := parts.Root()
	if err != nil {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(root, "internal", "ledger", "schema", "*.sql"))
	if err != nil || len(tables) == 0 {
		return errors.Join(fmt.Errorf("find the ledger's tables: %d files", len(tables)), err)
	}
	key, err := fingerprint(tables)
	if err != nil {
		return err
	}
	original := filepath.Join(root, "build", "bench", fmt.Sprintf("store-%d-%s", events, key[:12]))
	if _, err := os.Stat(original); err != nil {
		if err := fill(ctx, original, events); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return copyFiles(folder, original)
}

// fill makes a store with landed messages.
func fill(ctx context.Context, folder string, events int) (err error) {
	unfinished := folder + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Config{Path: unfinished})
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, s.Close()); err == nil {
			err = os.Rename(unfinished, folder)
		}
	}()
	l := ledger.New(ledger.Config{Store: s})
	if err := l.Open(ctx); err != nil {
		return err
	}
	const batch = 2000
	for n := 0; n < events; n += batch {
		if err := l.Record(ctx, past(n, min(batch, events-n), events)); err != nil {
			return err
		}
	}
	for _, statement := range landed {
		if _, err := s.DB().Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func copyFiles(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue // the spool is empty
		}
		if err := copyFile(filepath.Join(to, e.Name()), filepath.Join(from, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// fingerprint is a hash of the files' bytes.
func fingerprint(files []string) (string, error) {
	h := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// past is a page of history: messages of ten people in fifty rooms, said every second
// up to now.
func past(from, count, of int) timeline.Batch {
	now := time.Now().UTC().Truncate(time.Millisecond)
	b := timeline.Batch{Events: make([]timeline.Event, count)}
	for i := range b.Events {
		n := from + i
		// Ids are hashes, which land all over the index.
		sum := sha256.Sum256(fmt.Append(nil, "event ", n))
		sender := id.UserID(fmt.Sprintf("@person%d:test.example", n%10))
		sent := now.Add(time.Duration(n-of) * time.Second)
		content, err := json.Marshal(text(sentence(n)))
		if err != nil {
			panic(err) // a map of strings
		}
		e := timeline.Event{
			Room: id.RoomID(fmt.Sprintf("!past%d:test.example", n%50)), ID: id.EventID("$" + base64.RawURLEncoding.EncodeToString(sum[:])),
			Sender: sender, SenderName: string(sender), RoomName: "A room of the past", Type: "m.room.message",
			Sent: sent, Received: sent, Live: true, Content: content,
		}
		e.Raw = fmt.Appendf(nil, `{"event_id":%q,"sender":%q,"type":"m.room.message","origin_server_ts":%d,"content":%s}`, e.ID, sender, sent.UnixMilli(), content)
		b.Events[i] = e
	}
	return b
}

// landed leaves everything as it is after it has landed.
var landed = []string{
	"UPDATE ledger_room SET state = 'landed', landed = revision, due_at = 0",
	"UPDATE ledger_author SET state = 'landed', landed = revision, due_at = 0",
	"UPDATE ledger_post SET state = 'landed', landed = revision, due_at = 0, landed_at = received",
}
