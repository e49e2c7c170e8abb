// Package exported reads the folder that the connector's export wrote, as somebody
// would who knows STIX and not the connector.
package exported

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"maunium.net/go/mautrix/id"
)

// Object is a STIX object.
type Object map[string]any

// Text is a text property; empty where there is none.
func (o Object) Text(key string) string {
	s, _ := o[key].(string)
	return s
}

// Bundle is one file of the folder.
type Bundle struct {
	Path    string `json:"-"`
	Type    string
	ID      string
	Objects []Object
}

// find is the object of the bundle with this id; nil where there is none.
func (b Bundle) find(id string) Object {
	for _, o := range b.Objects {
		if o.Text("id") == id {
			return o
		}
	}
	return nil
}

// Read reads every bundle below a folder.
func Read(dir string) ([]Bundle, error) {
	var found []Bundle
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b := Bundle{Path: path}
		if err := json.Unmarshal(text, &b); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		found = append(found, b)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the exported bundles: %w", err)
	}
	return found, nil
}

// Message is a message as it was exported.
type Message struct {
	Object // the Media-Content
	Bundle Bundle
}

// Messages are the Media-Contents of the bundles by the event that they came from,
// each of which must be there once.
func Messages(bundles []Bundle) (map[id.EventID]Message, error) {
	found := map[id.EventID]Message{}
	for _, b := range bundles {
		for _, o := range b.Objects {
			if o.Text("type") != "media-content" {
				continue
			}
			e := id.EventID(o.Text("url"))
			if twin, ok := found[e]; ok {
				return nil, fmt.Errorf("%s is in %s and in %s", e, twin.Bundle.Path, b.Path)
			}
			found[e] = Message{Object: o, Bundle: b}
		}
	}
	return found, nil
}

// Author is the Identity in the message's bundle that the message names; nil where
// there is none.
func (m Message) Author() Object { return m.Bundle.find(m.Text("x_opencti_created_by_ref")) }

// Channel is the Channel in the message's bundle that publishes it; nil where there
// is none.
func (m Message) Channel() Object {
	for _, o := range m.Bundle.Objects {
		if o.Text("relationship_type") == "publishes" && o.Text("target_ref") == m.Text("id") {
			return m.Bundle.find(o.Text("source_ref"))
		}
	}
	return nil
}

// Targets are the ids of what the message answers or belongs to.
func (m Message) Targets() []string {
	var targets []string
	for _, o := range m.Bundle.Objects {
		if o.Text("relationship_type") == "related-to" && o.Text("source_ref") == m.Text("id") {
			targets = append(targets, o.Text("target_ref"))
		}
	}
	return targets
}

// File is an attachment of a message.
type File struct {
	Name, MediaType string
	Size            int64
	SHA256          string
	// Beside is the path of a file that is not inside the bundle; empty for one
	// that is.
	Beside string
}

// Files are the message's attachments, hashed from the bytes that are there. dir is
// the folder of the export.
func (m Message) Files(dir string) ([]File, error) {
	var files []File
	inside, _ := m.Object["x_opencti_files"].([]any)
	for _, f := range inside {
		o, _ := f.(map[string]any)
		data, err := base64.StdEncoding.DecodeString(Object(o).Text("data"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Bundle.Path, err)
		}
		sum := sha256.Sum256(data)
		files = append(files, File{
			Name: Object(o).Text("name"), MediaType: Object(o).Text("mime_type"),
			Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
		})
	}
	beside, _ := m.Object["x_matrix_files"].([]any)
	for _, f := range beside {
		o, _ := f.(map[string]any)
		file := File{Name: Object(o).Text("name"), MediaType: Object(o).Text("mime_type"), Beside: filepath.Join(dir, Object(o).Text("path"))}
		if err := file.sum(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Bundle.Path, err)
		}
		files = append(files, file)
	}
	return files, nil
}

// sum hashes a file that stands beside the bundles.
func (f *File) sum() error {
	r, err := os.Open(f.Beside)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	h := sha256.New()
	if f.Size, err = io.Copy(h, r); err != nil {
		return err
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}
