package openctitest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
)

// maxOperations is the platform's bound on the operations field of a multipart
// request, in bytes.
const maxOperations = 1_000_000

// readUpload reads a GraphQL multipart request: the fields operations and map,
// then the files, which are hashed as they stream by and kept only where they
// are small.
func (p *Platform) readUpload(w http.ResponseWriter, r *http.Request, boundary string) *request {
	mr := multipart.NewReader(r.Body, boundary)
	ops, err := p.field(mr, "operations")
	if errors.Is(err, errTooLarge) {
		_, _ = io.Copy(io.Discard, r.Body)
		p.expressError(w, "PayloadTooLargeError", "The ‘operations’ multipart field value exceeds the 1000000 byte size limit.")
		return nil
	}
	body, ok := ops.(*dict)
	if err != nil || !ok {
		p.expressError(w, "BadRequestError", "Missing multipart field ‘operations’ (https://github.com/jaydenseric/graphql-multipart-request-spec).")
		return nil
	}
	m, err := p.field(mr, "map")
	paths, ok := m.(*dict)
	if err != nil || !ok {
		p.expressError(w, "BadRequestError", "Missing multipart field ‘map’ (https://github.com/jaydenseric/graphql-multipart-request-spec).")
		return nil
	}
	left := len(paths.keys)
	for {
		part, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			// The client broke off: there is nobody to answer.
			return nil
		}
		f, err := p.readFile(part)
		if err != nil {
			return nil
		}
		for _, at := range paths.strings(part.FormName()) {
			if !putFile(body, strings.Split(at, "."), f) {
				p.expressError(w, "BadRequestError", "Invalid object path for the ‘map’ multipart field entry.")
				return nil
			}
		}
		left--
	}
	if left > 0 {
		p.expressError(w, "BadRequestError", "File missing in the request.")
		return nil
	}
	return p.request(w, body)
}

func (p *Platform) field(mr *multipart.Reader, name string) (any, error) {
	part, err := mr.NextPart()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(part, maxOperations+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxOperations {
		return nil, errTooLarge
	}
	if part.FormName() != name {
		return nil, errors.New("unexpected field")
	}
	return parseOrdered(b)
}

func (p *Platform) readFile(part *multipart.Part) (*fileInput, error) {
	f := &fileInput{name: part.FileName(), mediaType: part.Header.Get("Content-Type"), hasType: true}
	if f.mediaType == "" {
		f.mediaType = "application/octet-stream"
	}
	h := sha256.New()
	kept, err := io.ReadAll(io.TeeReader(io.LimitReader(part, p.cfg.KeepFiles), h))
	if err != nil {
		return nil, err
	}
	more, err := io.Copy(h, part)
	if err != nil {
		return nil, err
	}
	f.size, f.sha256 = int64(len(kept))+more, hex.EncodeToString(h.Sum(nil))
	if more == 0 {
		f.data = kept
	}
	return f, nil
}

// putFile puts a file at a path such as variables.file or variables.files.0,
// where null stood.
func putFile(v any, path []string, f *fileInput) bool {
	switch v := v.(type) {
	case *dict:
		if len(path) == 1 {
			if old, ok := v.values[path[0]]; !ok || old != nil {
				return false
			}
			v.values[path[0]] = f
			return true
		}
		return putFile(v.values[path[0]], path[1:], f)
	case []any:
		i := 0
		for _, c := range path[0] {
			if c < '0' || c > '9' {
				return false
			}
			i = i*10 + int(c-'0')
		}
		if i >= len(v) {
			return false
		}
		if len(path) == 1 {
			v[i] = f
			return true
		}
		return putFile(v[i], path[1:], f)
	}
	return false
}
