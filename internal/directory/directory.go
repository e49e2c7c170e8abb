package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// The folders.
const (
	channelsFolder = "channels"
	authorsFolder  = "authors"
	messagesFolder = "messages"
	filesFolder    = "files"
)

// Directory is a sink that writes files. It is safe for concurrent use.
type Directory struct {
	root string
	lock *os.File // the folder, held by flock

	mu    sync.Mutex         // held by whoever reads or writes a bundle
	index map[stix.ID]string // path below root of each owner's bundle
}

// Open makes the folder where it does not exist, clears away what a crash left
// half written, and finds what was exported before.
func Open(root string) (*Directory, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make export folder: %w", err)
	}
	lock, err := os.Open(root) //nolint:gosec // the folder that the operator names
	if err != nil {
		return nil, fmt.Errorf("open export folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("open export folder: %w", err), lock.Close())
	}
	d := &Directory{root: root, lock: lock, index: map[stix.ID]string{}}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// ErrInUse says that another process exports to the folder.
var ErrInUse = errors.New("another process exports to this folder")

// Close lets others export to the folder.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// prepare makes the folders and finds what is in them.
func (d *Directory) prepare() error {
	for folder, kind := range map[string]string{
		channelsFolder: stix.TypeChannel, authorsFolder: stix.TypeIdentity, messagesFolder: stix.TypeMediaContent, filesFolder: "",
	} {
		if err := os.MkdirAll(filepath.Join(d.root, folder), 0o700); err != nil {
			return fmt.Errorf("make export folder: %w", err)
		}
		if err := d.scan(folder, kind); err != nil {
			return fmt.Errorf("read export folder: %w", err)
		}
	}
	return nil
}

// scan notes the bundles in a folder and removes half-written files.
func (d *Directory) scan(folder, kind string) error {
	return filepath.WalkDir(filepath.Join(d.root, folder), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.HasPrefix(entry.Name(), passingPrefix) {
			return os.Remove(path) //nolint:gosec // below a folder of ours, mode 0700, held by the lock
		}
		name := strings.TrimSuffix(entry.Name(), ".json")
		if kind == "" || name == entry.Name() || len(name) < 36 {
			return nil
		}
		if id := name[len(name)-36:]; uuid.Validate(id) == nil {
			below, err := filepath.Rel(d.root, path)
			if err != nil {
				return err
			}
			d.index[stix.ID(kind+"--"+id)] = below
		}
		return nil
	})
}

// Begin gives a receipt; there is nothing to open.
func (d *Directory) Begin(context.Context, int) (string, error) { return uuid.NewString(), nil }

// Publish writes the bundles of all objects, and returns once they are on disk.
// What refers to an object that is neither in b nor in the folder is left out, for
// [Directory.Settle] to tell.
func (d *Directory) Publish(ctx context.Context, _ string, b stix.Bundle) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := newWriter(d.root)
	for _, g := range d.group(b) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if g.missing != "" {
			continue
		}
		if err := d.write(w, g); err != nil {
			return fmt.Errorf("write bundle of %s: %w", g.owner, err)
		}
	}
	return w.sync()
}

// Settle reads back what is on disk: an object has landed when its bundle holds
// it, word for word.
func (d *Directory) Settle(_ context.Context, _ string, b stix.Bundle) (stix.Verdicts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	verdicts := stix.Verdicts{}
	w := newWriter(d.root)
	for _, g := range d.group(b) {
		if g.missing != "" {
			for _, o := range g.objects {
				verdicts[o.id] = stix.Verdict{State: stix.MissingEnd, Reason: string(g.missing) + " is not in the folder"}
			}
			continue
		}
		stored, err := d.read(g.owner)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read back bundle of %s: %w", g.owner, err)
		}
		for _, o := range g.objects {
			verdicts[o.id] = verdict(o, stored)
		}
		// A crash may have come between the naming of a file and the syncing of its
		// folder.
		w.touch(d.index[g.owner])
	}
	return verdicts, w.sync()
}

// verdict compares what was to be written with what is there. Files come to an
// object later, and stay when it is written again.
func verdict(o object, stored []object) stix.Verdict {
	i := slices.IndexFunc(stored, func(s object) bool { return s.id == o.id })
	switch {
	case i < 0:
		return stix.Verdict{State: stix.Missing}
	case !o.saysSame(stored[i]):
		return stix.Verdict{State: stix.Differs}
	}
	return stix.Verdict{State: stix.Landed}
}

// Amend writes the bundles again.
func (d *Directory) Amend(ctx context.Context, b stix.Bundle) (stix.Verdicts, error) {
	if err := d.Publish(ctx, "", b); err != nil {
		return nil, err
	}
	return d.Settle(ctx, "", b)
}

// Revise changes name and description in the Channel's own bundle, each where it still
// is what was written. Copies of it in bundles of messages keep the words that the room
// had when the message was written.
func (d *Directory) Revise(_ context.Context, c *stix.Channel, written stix.Written) (stix.Written, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stored, err := d.read(c.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return written, stix.ErrGone
	}
	if err != nil {
		return written, fmt.Errorf("revise %s: %w", c.ID, err)
	}
	i := slices.IndexFunc(stored, func(o object) bool { return o.id == c.ID })
	if i < 0 {
		return written, stix.ErrGone
	}
	now := written
	if held := stored[i].text("name"); held == written.Name || held == c.Name {
		now.Name = c.Name
		err = stored[i].setText("name", c.Name)
	}
	digest := stix.Digest(c.Description)
	if held := stix.Digest(stored[i].text("description")); held == written.Digest || held == digest {
		now.Digest = digest
		err = errors.Join(err, stored[i].setText("description", c.Description))
	}
	if err != nil {
		return written, fmt.Errorf("revise %s: %w", c.ID, err)
	}
	w := newWriter(d.root)
	if err := d.put(w, d.index[c.ID], stored); err != nil {
		return written, fmt.Errorf("revise %s: %w", c.ID, err)
	}
	return now, w.sync()
}

// Find tells which rooms, authors and messages are in the folder.
func (d *Directory) Find(_ context.Context, ids []stix.ID) (map[stix.ID]stix.Found, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := map[stix.ID]stix.Found{}
	for _, id := range ids {
		stored, err := d.read(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", id, err)
		}
		for _, o := range stored {
			if o.id == id {
				found[id] = o.found()
			}
		}
	}
	return found, nil
}
