package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// inlineMax is the size in bytes up to which a file stands inside its object.
const inlineMax = 1 << 20

// errContent says that the bytes are not those that were announced.
var errContent = errors.New("the content is not what its hash and size announce")

// Attach puts the file into the object's bundle, or beside it when it is larger
// than a mebibyte. A file of the same name is replaced.
func (d *Directory) Attach(ctx context.Context, to stix.ID, f stix.File, r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	stored, err := d.read(to)
	if errors.Is(err, fs.ErrNotExist) {
		return stix.ErrGone
	}
	if err != nil {
		return fmt.Errorf("attach file to %s: %w", to, err)
	}
	i := slices.IndexFunc(stored, func(o object) bool { return o.id == to })
	if i < 0 {
		return stix.ErrGone
	}
	w := newWriter(d.root)
	key, entry, err := d.entry(ctx, w, f, r)
	if err != nil {
		return fmt.Errorf("attach file to %s: %w", to, err)
	}
	for _, k := range []string{inlineFiles, besideFiles} {
		files := slices.DeleteFunc(stored[i].files(k), func(o object) bool { return strings.EqualFold(o.text("name"), f.Name) })
		if k == key {
			files = append(files, entry)
		}
		stored[i].setFiles(k, files)
	}
	if err := d.put(w, d.index[to], stored); err != nil {
		return fmt.Errorf("attach file to %s: %w", to, err)
	}
	return w.sync()
}

// Detach takes a file out of the object's bundle, and from beside it. What is not there
// is no error.
func (d *Directory) Detach(_ context.Context, from stix.ID, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.detach(from, func(file string) bool { return strings.EqualFold(file, name) })
}

func (d *Directory) detach(from stix.ID, which func(name string) bool) error {
	stored, err := d.read(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("detach file from %s: %w", from, err)
	}
	i := slices.IndexFunc(stored, func(o object) bool { return o.id == from })
	if i < 0 {
		return nil
	}
	var paths []string
	for _, key := range []string{inlineFiles, besideFiles} {
		stored[i].setFiles(key, slices.DeleteFunc(stored[i].files(key), func(o object) bool {
			if !which(o.text("name")) {
				return false
			}
			if path := o.text("path"); path != "" {
				paths = append(paths, filepath.FromSlash(path))
			}
			return true
		}))
	}
	w := newWriter(d.root)
	if err := d.put(w, d.index[from], stored); err != nil {
		return fmt.Errorf("detach file from %s: %w", from, err)
	}
	if err := w.sync(); err != nil {
		return err
	}
	for _, path := range paths {
		if !filepath.IsLocal(path) || filepath.Dir(path) != filesFolder {
			continue // no path of ours
		}
		if err := os.Remove(filepath.Join(d.root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("detach file from %s: %w", from, err)
		}
	}
	return nil
}

// Delete removes the bundle of a message, and its files. What is not there is no error.
func (d *Directory) Delete(_ context.Context, id stix.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.detach(id, func(string) bool { return true }); err != nil {
		return err
	}
	path, ok := d.index[id]
	if !ok {
		return nil
	}
	if err := os.Remove(filepath.Join(d.root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	delete(d.index, id)
	w := newWriter(d.root)
	w.touch(path)
	return w.sync()
}

// entry is what stands in the object for the file, and under which key. A large
// file is on disk when it returns.
func (d *Directory) entry(ctx context.Context, w *writer, f stix.File, r io.Reader) (string, object, error) {
	r = &contextReader{ctx: ctx, r: r}
	if f.Bytes > inlineMax {
		path := filepath.Join(filesFolder, f.SHA256+"-"+safeName(f.Name))
		if err := w.write(path, func(out io.Writer) error { return copyExactly(out, r, f) }); err != nil {
			return "", object{}, err
		}
		entry, err := makeObject("name", f.Name, "path", filepath.ToSlash(path),
			"mime_type", f.MediaType, "size", f.Bytes, "sha256", f.SHA256)
		return besideFiles, entry, err
	}
	var content bytes.Buffer
	if err := copyExactly(&content, r, f); err != nil {
		return "", object{}, err
	}
	pairs := []any{
		"name", f.Name, "data", base64.StdEncoding.EncodeToString(content.Bytes()), "mime_type", f.MediaType,
		"version", stix.Timestamp(f.Version),
	}
	if f.Marking != "" {
		pairs = append(pairs, "object_marking_refs", []stix.ID{f.Marking})
	}
	entry, err := makeObject(append(pairs, "no_trigger_import", !f.AutoImport)...)
	return inlineFiles, entry, err
}

// makeObject makes a JSON object of keys and values.
func makeObject(pairs ...any) (object, error) {
	var o object
	for pair := range slices.Chunk(pairs, 2) {
		value, err := encode(pair[1])
		if err != nil {
			return object{}, err
		}
		key, _ := pair[0].(string)
		o.members = append(o.members, member{key: key, value: value})
	}
	return o, nil
}

// copyExactly copies the file and checks its size and hash.
func copyExactly(w io.Writer, r io.Reader, f stix.File) error {
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, hash), io.LimitReader(r, f.Bytes+1))
	if err != nil {
		return fmt.Errorf("copy file: %w", err)
	}
	if n != f.Bytes || hex.EncodeToString(hash.Sum(nil)) != f.SHA256 {
		return errContent
	}
	return nil
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// files are the attachments under a key.
func (o object) files(key string) []object {
	var raw []json.RawMessage
	_ = json.Unmarshal(o.value(key), &raw) // absent: none
	var files []object
	for _, r := range raw {
		if file, err := parseJSON(r); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// setFiles writes the attachments under a key; the key goes when there are none.
func (o *object) setFiles(key string, files []object) {
	if len(files) == 0 {
		o.members = slices.DeleteFunc(slices.Clone(o.members), func(m member) bool { return m.key == key })
		return
	}
	list, err := encode(files)
	if err != nil {
		return // objects that were parsed are JSON
	}
	o.set(key, list)
}

// keepFiles takes over the attachments of the object as it was written before:
// text is sent again without them. One of the same name gives way.
func (o *object) keepFiles(before object) {
	own := append(o.files(inlineFiles), o.files(besideFiles)...)
	names := make([]string, 0, len(own))
	for _, file := range own {
		names = append(names, strings.ToLower(file.text("name")))
	}
	for _, key := range []string{inlineFiles, besideFiles} {
		files := o.files(key)
		kept := len(files)
		for _, file := range before.files(key) {
			if !slices.Contains(names, strings.ToLower(file.text("name"))) {
				files = append(files, file)
			}
		}
		if len(files) > kept {
			o.setFiles(key, files)
		}
	}
}

// safeName keeps of a file's name what no file system and no shell takes amiss.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name)
	const most = 80
	if len(name) > most {
		name = name[len(name)-most:] // the end holds the extension
	}
	return strings.TrimLeft(name, ".-")
}
