package openctitest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

const (
	messageID  = "media-content--9a5db1e2-2348-53a2-ba45-d906ae9eb57d"
	importPush = `mutation ImportPush($id: ID!, $file: Upload!, $version: DateTime, $markings: [String]) { stixCyberObservableEdit(id: $id) { importPush(file: $file, version: $version, fileMarkings: $markings, noTriggerImport: true) { id name size metaData { mimetype version file_markings } } } }`
)

// upload posts a multipart request whose variables are given beside the file.
func upload(t *testing.T, p *openctitest.Platform, vars map[string]any, name string, content io.Reader) (int, string) {
	t.Helper()
	all := map[string]any{"id": messageID, "file": nil}
	maps.Copy(all, vars)
	ops, err := json.Marshal(map[string]any{"query": importPush, "variables": all})
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	mw := multipart.NewWriter(w)
	go func() {
		err := mw.WriteField("operations", string(ops))
		if err == nil {
			err = mw.WriteField("map", `{"0":["variables.file"]}`)
		}
		if err == nil {
			h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="0"; filename=%q`, name)}, "Content-Type": {"text/plain"}}
			var part io.Writer
			if part, err = mw.CreatePart(h); err == nil {
				_, err = io.Copy(part, content)
			}
		}
		if err == nil {
			err = mw.Close()
		}
		_ = w.CloseWithError(err)
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/graphql", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mw.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+p.Token("connector"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func withMessage(t *testing.T, cfg openctitest.Config) *openctitest.Platform {
	t.Helper()
	p := newPlatform(t, cfg)
	if err := p.Import("connector", `{"type":"media-content","id":"`+messageID+`","url":"$evt1"}`); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestALargeFileIsHashedAndNotKept(t *testing.T) {
	p := withMessage(t, openctitest.Config{KeepFiles: 1 << 10})
	const size = 64 << 20
	h := sha256.New()
	content := io.TeeReader(io.LimitReader(endless{}, size), h)
	if status, text := upload(t, p, nil, "big.bin", content); status != 200 || !strings.Contains(text, `"size":67108864`) {
		t.Fatalf("%d %s", status, text)
	}
	f := p.Files(messageID)
	if len(f) != 1 || f[0].Size != size || f[0].SHA256 != hex.EncodeToString(h.Sum(nil)) || f[0].Data != nil {
		t.Errorf("%+v", f)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i * 7)
	}
	return len(b), nil
}

func TestFilesOfAMessage(t *testing.T) {
	amber := markingIDs["TLP:AMBER"]
	type file struct {
		Name, Data string
		Restricted []string
	}
	steps := []struct {
		name, content string
		vars          map[string]any
	}{
		{"../Report A.txt", "one", map[string]any{"version": "2026-01-02T00:00:00.000Z", "markings": []string{amber}}},
		{"report a.TXT", "older", map[string]any{"version": "2026-01-01T00:00:00.000Z"}},
		{"other.txt", "two", nil},
	}
	for g, want := range map[openctitest.Generation][]file{
		openctitest.Gen7: {{"Report A.txt", "one", []string{"TLP:AMBER"}}, {"other.txt", "two", nil}},
		// A STIX id is stored as it was given and restricts nobody.
		openctitest.Gen6: {{"Report A.txt", "one", nil}, {"other.txt", "two", nil}},
	} {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			p := withMessage(t, openctitest.Config{Generation: g})
			for _, s := range steps {
				if status, text := upload(t, p, s.vars, s.name, strings.NewReader(s.content)); status != 200 || strings.Contains(text, "errors") {
					t.Fatalf("%d %s", status, text)
				}
			}
			var got []file
			for _, f := range p.Files(messageID) {
				got = append(got, file{f.Name, string(f.Data), f.Markings})
				if f.AutoImport {
					t.Errorf("%s starts importers", f.Name)
				}
			}
			less := cmp.Transformer("byName", func(l []file) map[string]file {
				m := map[string]file{}
				for _, f := range l {
					m[f.Name] = f
				}
				return m
			})
			if d := cmp.Diff(want, got, less); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefusedUploads(t *testing.T) {
	for name, c := range map[string]struct {
		vars   map[string]any
		status int
		want   string
	}{
		"operations beyond the bound": {map[string]any{"markings": []string{strings.Repeat("x", 1_000_001)}}, 500, "1000000 byte size limit"},
		"an unknown marking":          {map[string]any{"markings": []string{"marking-definition--11111111-2222-4333-8444-555555555555"}}, 200, "missing markings"},
		"an object that is not there": {map[string]any{"id": "media-content--00000000-0000-4000-8000-000000000000"}, 200, "none existing element"},
		"a version that is no date":   {map[string]any{"version": "yesterday"}, 200, "invalid date-time-string yesterday"},
	} {
		t.Run(name, func(t *testing.T) {
			p := withMessage(t, openctitest.Config{})
			status, text := upload(t, p, c.vars, "a.txt", bytes.NewReader([]byte("x")))
			if status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%d %s", status, text)
			}
			if n := len(p.Files(messageID)); n != 0 {
				t.Errorf("%d files", n)
			}
		})
	}
}
