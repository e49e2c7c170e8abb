package opencti

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Attach uploads a file to a landed message. The content is streamed: nothing of
// it is held in memory. A reader that ends early, goes on for longer, fails, or
// gives other bytes than the hash tells fails the upload before the platform has
// all of it. The file counts as attached only when it is read back
// at the object, with its size, as far as the platform tells it, and its marking.
//
// The marking is named by the platform's internal id every time: nothing is
// inherited, an upload without one clears it, and before 7.x a STIX id there
// hides the file from nobody (opencti.md §12.5, §12.10).
//
// A file that is there already is not uploaded again. An absent object is
// [stix.ErrGone].
func (p *Platform) Attach(ctx context.Context, to stix.ID, f stix.File, r io.Reader) error {
	p.mu.Lock()
	m, ok := p.markings[f.Marking]
	canRead := p.canRead
	p.mu.Unlock()
	if !ok {
		return &Error{Class: Permanent, Op: opImportPush, Code: "unknown_marking"}
	}
	if canRead {
		there, err := p.attached(ctx, to, f, m, f.Name)
		if err != nil || there {
			return err
		}
	}
	stored, err := p.upload(ctx, to, f, m, r)
	if err != nil {
		return fmt.Errorf("attach to %s: %w", to, err)
	}
	if !canRead {
		return nil
	}
	there, err := p.attached(ctx, to, f, m, stored.Name)
	if err != nil {
		return err
	}
	if !there {
		// An older version never replaces a newer one: another file has the name.
		return fmt.Errorf("attach to %s: %w", to, &Error{Class: Permanent, Op: opImportPush, Code: "not_stored"})
	}
	return nil
}

// attached reports whether the object has the file; an absent object is an error.
func (p *Platform) attached(ctx context.Context, to stix.ID, f stix.File, m marking, name string) (bool, error) {
	files, err := p.readFiles(ctx, []stix.ID{to})
	if err != nil {
		return false, fmt.Errorf("read the files of %s: %w", to, err)
	}
	if len(files) == 0 {
		return false, fmt.Errorf("attach to %s: %w", to, stix.ErrGone)
	}
	for _, list := range files {
		for _, s := range list {
			if strings.EqualFold(s.Name, name) && s.holds(f, m) {
				return true, nil
			}
		}
	}
	return false, nil
}

// holds reports whether a stored file is the one that was to be attached.
func (s storedFile) holds(f stix.File, m marking) bool {
	if s.Size != nil && *s.Size != f.Bytes {
		return false
	}
	if !f.Version.IsZero() && !sameTime(f.Version, s.Meta.Version) {
		return false
	}
	return slices.Contains(s.Meta.Markings, m.InternalID)
}

// upload sends the multipart request (graphql-multipart-request-spec): the
// operation, the map of its files, then the file.
func (p *Platform) upload(ctx context.Context, to stix.ID, f stix.File, m marking, r io.Reader) (storedFile, error) {
	operation, err := json.Marshal(request{Query: document(opImportPush), Operation: opImportPush, Variables: map[string]any{
		"id":        string(to),
		"file":      nil,
		"version":   instant(f.Version),
		"markings":  []string{m.InternalID},
		"notrigger": !f.AutoImport && !p.config.AutoImport,
	}})
	if err != nil {
		return storedFile{}, &Error{Class: Permanent, Op: opImportPush, cause: err}
	}
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	err = writeFields(form, operation, f)
	if err != nil {
		return storedFile{}, &Error{Class: Permanent, Op: opImportPush, cause: err}
	}
	head := frame.Len()
	if err := form.Close(); err != nil {
		return storedFile{}, &Error{Class: Permanent, Op: opImportPush, cause: err}
	}
	content := &exact{r: r, left: f.Bytes, sum: sha256.New(), want: f.SHA256}
	body := io.MultiReader(bytes.NewReader(frame.Bytes()[:head]), content, bytes.NewReader(frame.Bytes()[head:]))
	var out struct {
		Edit struct {
			File *storedFile `json:"importPush"`
		} `json:"stixCyberObservableEdit"`
	}
	if err := p.client.send(ctx, opImportPush, form.FormDataContentType(), body, int64(frame.Len())+f.Bytes, &out); err != nil {
		return storedFile{}, err
	}
	if out.Edit.File == nil {
		return storedFile{}, &Error{Class: Temporary, Op: opImportPush, Code: "unexpected_shape"}
	}
	return *out.Edit.File, nil
}

// exact reads what was announced or fails. The failure comes before the end of
// the form is sent: a server that has seen that end may keep what came before it,
// whatever length was announced.
type exact struct {
	r    io.Reader
	left int64
	sum  hash.Hash
	want string // SHA-256 in lower-case hex; empty where it is not known
}

func (e *exact) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	e.sum.Write(p[:n])
	switch {
	case e.left < 0:
		return 0, errors.New("file is longer than announced")
	case errors.Is(err, io.EOF) && e.left > 0:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && e.want != "" && hex.EncodeToString(e.sum.Sum(nil)) != e.want:
		return n, errors.New("file is not the one that was announced")
	}
	return n, err
}

// writeFields writes everything that stands before the file's content.
func writeFields(form *multipart.Writer, operation []byte, f stix.File) error {
	if err := form.WriteField("operations", string(operation)); err != nil {
		return err
	}
	if err := form.WriteField("map", `{"0": ["variables.file"]}`); err != nil {
		return err
	}
	mediaType := f.MediaType
	if _, _, err := mime.ParseMediaType(mediaType); err != nil {
		mediaType = "application/octet-stream"
	}
	header := textproto.MIMEHeader{}
	header.Set("Content-Disposition", disposition(f.Name))
	header.Set("Content-Type", mediaType)
	_, err := form.CreatePart(header)
	return err
}

// disposition names the part and the file. A name beyond ASCII is given twice:
// servers differ in what they take a plain one to be encoded in.
func disposition(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '_'
		}
		return r
	}, name)
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean)
	d := `form-data; name="0"; filename="` + quoted + `"`
	for _, r := range clean {
		if r > 0x7e {
			return d + "; filename*=UTF-8''" + percent(clean)
		}
	}
	return d
}

// percent encodes a text as RFC 5987 asks for.
func percent(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(plain, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}
