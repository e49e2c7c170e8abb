package openctitest

import (
	"path"
	"slices"
	"strings"
	"time"
)

// storedFile is a file of an object. It outlives its object in the trash.
type storedFile struct {
	id, owner string // owner: internal id of the object
	name      string
	mediaType string
	size      int64
	sha256    string
	data      []byte // nil where the file is larger than what is kept
	version   time.Time
	markings  []string // as stored: generation 6 keeps what was given
	noTrigger bool
	stored    time.Time
}

// fileInput is a file on its way to an object.
type fileInput struct {
	name, mediaType string
	size            int64
	sha256          string
	data            []byte
	version         *time.Time
	markings        []string
	noTrigger       bool
	hasType         bool
}

// fileID is where a file of an object is kept: names are compared without case
// and without path.
func fileID(e *entity, name string) string {
	return "import/" + e.kind.entity + "/" + e.internal + "/" + strings.ToLower(name)
}

// cleanName strips path prefixes and cuts overlong names.
func cleanName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	return cut(stem, 200) + cut(ext, 10)
}

func cut(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		r = r[:n]
	}
	return string(r)
}

// importPush stores an uploaded file. Nothing is inherited from the object: a
// file without markings has none.
func (p *Platform) importPush(a *account, id string, f fileInput) (*storedFile, error) {
	e := p.graph.visible(a, id)
	if e == nil {
		return nil, unsupported("Cant upload a file an none existing element", map[string]any{"id": id})
	}
	marks, err := p.fileMarkings(a, f.markings)
	if err != nil {
		return nil, err
	}
	return p.store(a, e, f, marks, f.version != nil), nil
}

// fileMarkings checks the right to use each marking. Generation 7 keeps
// internal ids; generation 6 what was given, so that a STIX id hides the file
// from nobody.
func (p *Platform) fileMarkings(a *account, ids []string) ([]string, error) {
	out := []string{}
	for _, id := range ids {
		m := p.marking(id)
		if m == nil || !a.uses(m.internal) {
			at := id
			if m != nil && p.gen == Gen7 {
				at = m.internal
			}
			var have []any //nolint:prealloc // a message; null where there is none
			for _, x := range a.allowed {
				have = append(have, x, p.graph.entities[x].standard)
			}
			return nil, functional("User trying to create the data has missing markings", map[string]any{"id": at, "user_markings": have})
		}
		if p.gen == Gen7 {
			id = m.internal
		}
		out = addNew(out, id)
	}
	return out, nil
}

// store writes the file unless one of the same name is at least as new.
func (p *Platform) store(a *account, e *entity, f fileInput, marks []string, versioned bool) *storedFile {
	name := cleanName(f.name)
	id := fileID(e, name)
	version := p.now()
	if versioned {
		version = *f.version
	}
	if old := p.graph.files[id]; old != nil && versioned && !version.After(old.version) {
		return old
	}
	s := &storedFile{
		id: id, owner: e.internal, name: name, mediaType: f.mediaType, size: f.size, sha256: f.sha256, data: f.data,
		version: version, markings: marks, noTrigger: f.noTrigger, stored: p.now(),
	}
	p.graph.drop(id)
	p.graph.files[id] = s
	p.graph.owned[e.internal] = append(p.graph.owned[e.internal], s)
	e.updated = p.now()
	p.record(a, e, "update", "x_opencti_files", nil, name)
	return s
}

// drop removes a file from storage.
func (g *graph) drop(id string) {
	if f := g.files[id]; f != nil {
		delete(g.files, id)
		g.owned[f.owner] = slices.DeleteFunc(g.owned[f.owner], func(x *storedFile) bool { return x == f })
	}
}

// filesOf lists the files of an object that the user may see, newest first.
func (p *Platform) filesOf(a *account, e *entity) []*storedFile {
	var out []*storedFile
	for _, f := range p.graph.owned[e.internal] {
		if p.opens(a, f) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(x, y *storedFile) int {
		if c := y.stored.Compare(x.stored); c != 0 {
			return c
		}
		return strings.Compare(x.id, y.id)
	})
	return out
}

// opens says whether the user may read the file: only internal ids of markings
// restrict.
func (p *Platform) opens(a *account, f *storedFile) bool {
	for _, id := range f.markings {
		if m := p.graph.entities[id]; m != nil && !a.uses(id) {
			return false
		}
	}
	return true
}

func (p *Platform) deleteImport(a *account, id string) (string, error) {
	f := p.graph.files[id]
	if f == nil || !p.opens(a, f) {
		return "", unsupported("File removed or inaccessible", map[string]any{"fileId": id})
	}
	p.graph.drop(id)
	if e := p.graph.entities[f.owner]; e != nil {
		e.updated = p.now()
		p.record(a, e, "update", "x_opencti_files", f.name, nil)
	}
	return id, nil
}
