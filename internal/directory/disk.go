package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/matrix-connector/matrix-connector/internal/crash"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// passingPrefix begins the name of a file that is being written.
const passingPrefix = ".writing-"

// writer writes files so that a crash leaves the former one or the new one.
type writer struct {
	root    string
	folders map[string]bool // whose entries changed and are not yet synced
}

func newWriter(root string) *writer { return &writer{root: root, folders: map[string]bool{}} }

// write makes or replaces the file. Its content is on disk when write returns; its
// name is once [writer.sync] returns.
func (w *writer) write(path string, content func(io.Writer) error) (err error) {
	path = filepath.Join(w.root, path)
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		w.folders[filepath.Dir(folder)] = true
	}
	f, err := os.CreateTemp(folder, passingPrefix+"*") // mode 0600
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := content(f); err != nil {
		return errors.Join(err, f.Close())
	}
	crash.At("directory:", "written")
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync file: %w", err), f.Close())
	}
	crash.At("directory:", "synced")
	if err := f.Close(); err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("name file: %w", err)
	}
	crash.At("directory:", "renamed")
	w.folders[folder] = true
	return nil
}

// remove takes a file away that another one replaces.
func (w *writer) remove(path string) error {
	w.touch(path)
	if err := os.Remove(filepath.Join(w.root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove former file: %w", err)
	}
	return nil
}

// touch has the folder of the file synced.
func (w *writer) touch(path string) { w.folders[filepath.Dir(filepath.Join(w.root, path))] = true }

// sync makes the names of all written files survive a power cut.
func (w *writer) sync() error {
	for folder := range w.folders {
		f, err := os.Open(folder) //nolint:gosec // one that write made
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
	}
	crash.At("directory:", "folders synced")
	return nil
}

// put writes a bundle of the objects, indented for people.
func (d *Directory) put(w *writer, path string, objects []object) error {
	list := make([]stix.Object, len(objects))
	for i, o := range objects {
		list[i] = o
	}
	data, err := stix.NewBundle(list...).MarshalJSON()
	if err != nil {
		return fmt.Errorf("encode bundle: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return fmt.Errorf("encode bundle: %w", err)
	}
	b.WriteByte('\n')
	return w.write(path, func(out io.Writer) error {
		_, err := out.Write(b.Bytes())
		return err
	})
}

// read gives the objects in the owner's file; fs.ErrNotExist when there is none,
// also when somebody has taken it away.
func (d *Directory) read(owner stix.ID) ([]object, error) {
	path, ok := d.index[owner]
	if !ok {
		return nil, fs.ErrNotExist
	}
	data, err := os.ReadFile(filepath.Join(d.root, path)) //nolint:gosec // path is of the index, below the root
	if errors.Is(err, fs.ErrNotExist) {
		delete(d.index, owner)
	}
	if err != nil {
		return nil, err
	}
	var bundle struct {
		Objects []json.RawMessage `json:"objects"`
	}
	if err := json.Unmarshal(data, &bundle); err != nil {
		return nil, fmt.Errorf("read bundle %s: %w", path, err)
	}
	objects := make([]object, 0, len(bundle.Objects))
	for _, raw := range bundle.Objects {
		o, err := parseJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("read bundle %s: %w", path, err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// readIfThere is read, with nothing for an owner that has no file.
func (d *Directory) readIfThere(owner stix.ID) ([]object, error) {
	objects, err := d.read(owner)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return objects, err
}
