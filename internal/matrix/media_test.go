package matrix_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// png is enough of one to be told from text.
var png = append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), bytes.Repeat([]byte{7}, 5000)...)

func wanted(uri id.ContentURI, key []byte) timeline.Attachment {
	return timeline.Attachment{
		Room: "!r:test.example", Event: "$e",
		// All claims are wrong on purpose.
		File: timeline.File{Name: "report.pdf", URI: uri, Key: key, MimeType: "application/pdf", Size: -3},
	}
}

// encrypted gives ciphertext and the key that a message would announce.
func encrypted(t *testing.T, plain []byte) (cipher, key []byte) {
	t.Helper()
	f := attachment.NewEncryptedFile()
	cipher = bytes.Clone(plain)
	f.EncryptInPlace(cipher)
	key, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return cipher, key
}

func (s *scene) spoolFiles() []string {
	s.t.Helper()
	list, err := os.ReadDir(filepath.Join(s.folder, "spool"))
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// readSpooled gives the plaintext of a fetched attachment.
func (s *scene) readSpooled(a timeline.Attachment) ([]byte, error) {
	s.t.Helper()
	r, err := matrix.OpenSpooled(s.store, a)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestFilesAreSpooledAsCiphertextAndReadBack(t *testing.T) {
	cases := map[string]struct {
		content   []byte
		mediaType string
		encrypted bool
	}{
		"a plain picture":         {png, "image/png", false},
		"an encrypted picture":    {png, "image/png", true},
		"a plain text":            {[]byte("hello, world\n"), "text/plain; charset=utf-8", false},
		"an encrypted text":       {[]byte("hello, world\n"), "text/plain; charset=utf-8", true},
		"an empty file":           {nil, "text/plain", false},
		"an empty encrypted file": {nil, "text/plain", true},
	}
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			served, key := tc.content, []byte(nil)
			if tc.encrypted {
				served, key = encrypted(t, tc.content)
			}
			got, err := a.Fetch(t.Context(), wanted(s.server.Upload(served, "application/x-lie"), key), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if got.Bytes != int64(len(tc.content)) || got.SHA256 != hexSum(tc.content) || got.MediaType != tc.mediaType {
				t.Errorf("%d bytes %s of %s, want %d bytes %s of %s", got.Bytes, got.SHA256, got.MediaType,
					len(tc.content), hexSum(tc.content), tc.mediaType)
			}
			raw, err := os.ReadFile(filepath.Join(s.folder, "spool", got.Spool))
			if err != nil {
				t.Fatal(err)
			}
			if len(tc.content) > 0 && bytes.Contains(raw, tc.content) {
				t.Error("the spool holds plaintext")
			}
			if tc.encrypted && !bytes.Equal(raw, served) {
				t.Error("the spool does not hold Matrix's own ciphertext")
			}
			plain, err := s.readSpooled(got)
			if err != nil || !bytes.Equal(plain, tc.content) {
				t.Errorf("read back %d bytes, %v", len(plain), err)
			}
		})
	}
}

func TestEachPlainFileHasItsOwnKey(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	uri := s.server.Upload(png, "")
	one, err1 := a.Fetch(t.Context(), wanted(uri, nil), 0)
	two, err2 := a.Fetch(t.Context(), wanted(uri, nil), 0)
	if err1 != nil || err2 != nil || bytes.Equal(one.SpoolKey, two.SpoolKey) || one.Spool == two.Spool {
		t.Errorf("two fetches share a key or a file: %v, %v", err1, err2)
	}
}

func TestAFailedFetchIsClassifiedAndLeavesNothing(t *testing.T) {
	cipher, key := encrypted(t, png)
	tampered := bytes.Clone(cipher)
	tampered[100] ^= 1
	changedKey := func(change func(map[string]any)) []byte {
		var f map[string]any
		if err := json.Unmarshal(key, &f); err != nil {
			t.Fatal(err)
		}
		change(f)
		out, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	fault := func(f matrixtest.Fault) func(*scene) timeline.Attachment {
		return func(s *scene) timeline.Attachment {
			f.On = matrixtest.MediaDownload
			s.server.Inject(f)
			return wanted(s.server.Upload(png, ""), nil)
		}
	}
	uri := func(u string) func(*scene) timeline.Attachment {
		return func(*scene) timeline.Attachment {
			parsed, _ := id.ParseContentURI(u) // as wrong as it is
			return wanted(parsed, nil)
		}
	}
	cases := map[string]struct {
		want   func(*scene) timeline.Attachment
		class  matrix.Class
		reason matrix.MediaReason
		delay  time.Duration
	}{
		"a file that was purged": {want: func(s *scene) timeline.Attachment {
			return wanted(id.ContentURI{Homeserver: "test.example", FileID: "gone"}, nil)
		}, class: matrix.ClassPermanent, reason: matrix.MediaNotFound},
		"410":                           {want: fault(matrixtest.Fault{Status: 410, Code: "M_NOT_FOUND"}), class: matrix.ClassPermanent, reason: matrix.MediaNotFound},
		"a 404 that no homeserver said": {want: fault(matrixtest.Fault{Status: 404, Body: "<html>not here</html>"}), class: matrix.ClassTemporary, reason: matrix.MediaUnavailable},
		"a file not uploaded yet": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.AddMedia(matrixtest.Media{Pending: true}), nil)
		}, class: matrix.ClassTemporary, reason: matrix.MediaNotUploaded},
		"a remote file that the homeserver finds too large": {want: fault(matrixtest.Fault{Status: 502, Code: "M_TOO_LARGE"}), class: matrix.ClassPermanent, reason: matrix.MediaRemoteLimit},
		"an unreachable remote server":                      {want: fault(matrixtest.Fault{Status: 502, Code: "M_UNKNOWN"}), class: matrix.ClassTemporary, reason: matrix.MediaUnavailable},
		"403":                                               {want: fault(matrixtest.Fault{Status: 403, Code: "M_FORBIDDEN"}), class: matrix.ClassPermanent, reason: matrix.MediaForbidden},
		"401":                                               {want: fault(matrixtest.Fault{Status: 401, Code: "M_UNKNOWN_TOKEN"}), class: matrix.ClassUnauthorized, reason: matrix.MediaUnauthorized},
		"429 with a header":                                 {want: fault(matrixtest.Fault{Status: 429, Code: "M_LIMIT_EXCEEDED", RetryAfter: "7"}), class: matrix.ClassRateLimited, reason: matrix.MediaRateLimited, delay: 7 * time.Second},
		"429 with a body only":                              {want: fault(matrixtest.Fault{Status: 429, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 2500}), class: matrix.ClassRateLimited, reason: matrix.MediaRateLimited, delay: 2500 * time.Millisecond},
		"a body that ends early":                            {want: fault(matrixtest.Fault{CutAfter: 2000}), class: matrix.ClassTemporary, reason: matrix.MediaTruncated},
		"a connection that ends at once":                    {want: fault(matrixtest.Fault{CutAfter: -1}), class: matrix.ClassTemporary, reason: matrix.MediaUnavailable},
		"a redirect that leads to itself":                   {want: fault(matrixtest.Fault{Location: "/_matrix/client/v1/media/download/test.example/loop"}), class: matrix.ClassTemporary, reason: matrix.MediaRedirect},
		"a Content-Length that is too long": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.AddMedia(matrixtest.Media{Open: func() io.Reader { return bytes.NewReader(png) }, Size: int64(len(png)) + 9}), nil)
		}, class: matrix.ClassTemporary, reason: matrix.MediaTruncated},
		"a tampered file": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.Upload(tampered, ""), key)
		}, class: matrix.ClassPermanent, reason: matrix.MediaHashMismatch},
		"a file that was cut before it was stored": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.Upload(cipher[:len(cipher)-1], ""), key)
		}, class: matrix.ClassPermanent, reason: matrix.MediaHashMismatch},
		"a key that is no JSON": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.Upload(cipher, ""), []byte("{"))
		}, class: matrix.ClassPermanent, reason: matrix.MediaBadKey},
		"a key of another version": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.Upload(cipher, ""), changedKey(func(f map[string]any) { f["v"] = "v1" }))
		}, class: matrix.ClassPermanent, reason: matrix.MediaBadKey},
		"a key without its hash": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.Upload(cipher, ""), changedKey(func(f map[string]any) { delete(f, "hashes") }))
		}, class: matrix.ClassPermanent, reason: matrix.MediaBadKey},
		"a key that is too short": {want: func(s *scene) timeline.Attachment {
			return wanted(s.server.Upload(cipher, ""), changedKey(func(f map[string]any) { f["key"].(map[string]any)["k"] = "AAAA" }))
		}, class: matrix.ClassPermanent, reason: matrix.MediaBadKey},
		"no address":                       {want: uri(""), class: matrix.ClassPermanent, reason: matrix.MediaBadURI},
		"an address that climbs":           {want: uri("mxc://test.example/../../admin"), class: matrix.ClassPermanent, reason: matrix.MediaBadURI},
		"an address with a climbing host":  {want: uri("mxc://../x"), class: matrix.ClassPermanent, reason: matrix.MediaBadURI},
		"an address with a query":          {want: uri("mxc://test.example/x?allow_remote=false"), class: matrix.ClassPermanent, reason: matrix.MediaBadURI},
		"an address with a space":          {want: uri("mxc://test.example/a b"), class: matrix.ClassPermanent, reason: matrix.MediaBadURI},
		"an address with an escaped slash": {want: uri("mxc://test.example/a%2fb"), class: matrix.ClassPermanent, reason: matrix.MediaBadURI},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			before := s.server.Count(matrixtest.MediaDownload)
			_, err := a.Fetch(t.Context(), tc.want(s), 1<<20)
			e, ok := errors.AsType[*matrix.MediaError](err)
			if !ok || e.Class != tc.class || e.Reason != tc.reason || e.Delay != tc.delay {
				t.Errorf("error %#v (%v), want %s %s %s", e, err, tc.class, tc.reason, tc.delay)
			}
			if left := s.spoolFiles(); len(left) != 0 {
				t.Errorf("left in the spool: %v", left)
			}
			asked := s.server.Count(matrixtest.MediaDownload) - before
			if early := tc.reason == matrix.MediaBadKey || tc.reason == matrix.MediaBadURI; early && asked != 0 {
				t.Errorf("%d requests for what cannot be had", asked)
			}
		})
	}
}

func TestALargeFileIsTooLargeWhateverItAnnounces(t *testing.T) {
	cipher, key := encrypted(t, png)
	cases := map[string]struct {
		content []byte
		key     []byte
		size    int64
		limit   int64
		want    error
	}{
		"announced":              {png, nil, int64(len(png)), int64(len(png)) - 1, matrix.ErrTooLarge},
		"not announced":          {png, nil, -1, int64(len(png)) - 1, matrix.ErrTooLarge},
		"encrypted, announced":   {cipher, key, int64(len(png)), int64(len(png)) - 1, matrix.ErrTooLarge},
		"encrypted, unannounced": {cipher, key, -1, int64(len(png)) - 1, matrix.ErrTooLarge},
		"just as large":          {png, nil, -1, int64(len(png)), nil},
		"without a limit":        {cipher, key, -1, 0, nil},
	}
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := len(s.spoolFiles())
			uri := s.server.AddMedia(matrixtest.Media{Open: func() io.Reader { return bytes.NewReader(tc.content) }, Size: tc.size})
			got, err := a.Fetch(t.Context(), wanted(uri, tc.key), tc.limit)
			if !errors.Is(err, tc.want) || (tc.want == nil && (err != nil || got.SHA256 != hexSum(png))) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if after := len(s.spoolFiles()); tc.want != nil && after != before {
				t.Error("a file that is too large was left in the spool")
			}
		})
	}
}

func TestTheTokenStaysAtHomeWhenTheFileIsElsewhere(t *testing.T) {
	s := newScene(t, matrixtest.Options{}) // notes a violation for a token at the other host
	a := s.open()
	uri := s.server.AddMedia(matrixtest.Media{Open: func() io.Reader { return bytes.NewReader(png) }, Size: int64(len(png)), Elsewhere: true})
	got, err := a.Fetch(t.Context(), wanted(uri, nil), 0)
	if err != nil || got.SHA256 != hexSum(png) || s.server.Count(matrixtest.CDN) != 1 {
		t.Errorf("%+v, %v, %d requests to the other host", got, err, s.server.Count(matrixtest.CDN))
	}
}

func TestOldServersServeMediaOnTheirOldPath(t *testing.T) {
	s := newScene(t, matrixtest.Options{Versions: []string{"v1.1", "v1.10"}})
	a := s.open()
	got, err := a.Fetch(t.Context(), wanted(s.server.Upload(png, ""), nil), 0)
	if err != nil || got.SHA256 != hexSum(png) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = a.Fetch(t.Context(), wanted(id.ContentURI{Homeserver: "test.example", FileID: "gone"}, nil), 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Reason != matrix.MediaNotFound {
		t.Errorf("a purged file: %v", err)
	}
}

func TestNewServersAreNeverAskedOnTheOldPath(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	s.server.Inject(matrixtest.Fault{On: matrixtest.MediaDownload, Status: 404, Code: "M_UNRECOGNIZED"})
	_, err := a.Fetch(t.Context(), wanted(s.server.Upload(png, ""), nil), 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Class != matrix.ClassPermanent || s.server.Count(matrixtest.MediaLegacy) != 0 {
		t.Errorf("%v, %d requests on the old path", err, s.server.Count(matrixtest.MediaLegacy))
	}
}

func TestASpoolThatCannotBeWrittenIsTemporary(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	if err := os.Remove(filepath.Join(s.folder, "spool")); err != nil {
		t.Fatal(err)
	}
	_, err := a.Fetch(t.Context(), wanted(s.server.Upload(png, ""), nil), 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Class != matrix.ClassTemporary || e.Reason != matrix.MediaSpool {
		t.Errorf("%v, want a temporary failure of the spool", err)
	}
	// A disk that is full cannot be had in a test without rights; the error that it
	// gives can.
	full := fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	if e := matrix.SpoolFailure(full); e.Class != matrix.ClassTemporary || e.Reason != matrix.MediaDiskFull {
		t.Errorf("%s %s for a full disk", e.Class, e.Reason)
	}
}

// hangingUp answers as HTTP/1.0 does: the body ends with the connection.
type hangingUp struct{ body []byte }

func (h hangingUp) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.0", ProtoMajor: 1, Header: http.Header{}, ContentLength: -1,
		Body: io.NopCloser(bytes.NewReader(h.body)), Request: r,
	}, nil
}

func TestABodyThatMayHaveBeenCutIsNotGivenUp(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	path := &switchable{}
	a := s.open(func(c *matrix.Config) { c.Transport = path })
	cipher, key := encrypted(t, png)
	path.now = hangingUp{cipher[:100]}
	_, err := a.Fetch(t.Context(), wanted(id.ContentURI{Homeserver: "test.example", FileID: "x"}, key), 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Class != matrix.ClassTemporary || e.Reason != matrix.MediaTruncated {
		t.Errorf("%v, want it truncated: nobody can tell a cut from an end", err)
	}
}

// endless gives bytes that cost no memory.
type endless struct{ seed *rand.ChaCha8 }

func (e endless) Read(b []byte) (int, error) { return e.seed.Read(b) }

func generated(size int64) io.Reader {
	return io.LimitReader(endless{rand.NewChaCha8([32]byte{1})}, size)
}

// TestAHugeFileCostsNoMemory streams 256 MiB through fetching and reading back, and
// looks at the heap all the while.
func TestAHugeFileCostsNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 256 MiB")
	}
	const size, bound = 256 << 20, 16 << 20
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	uri := s.server.AddMedia(matrixtest.Media{Open: func() io.Reader { return generated(size) }, Size: -1})
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	got, err := a.Fetch(t.Context(), wanted(uri, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := matrix.OpenSpooled(s.store, got)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	close(stop)
	if used := int64(<-peak) - int64(before.HeapAlloc); used > bound {
		t.Errorf("heap grew by %d MiB for a file of %d MiB, want under %d", used>>20, int64(size)>>20, bound>>20)
	} else {
		t.Logf("heap grew by %d KiB", used>>10)
	}
	if err != nil || n != size || got.Bytes != size || hex.EncodeToString(sum.Sum(nil)) != got.SHA256 {
		t.Errorf("read back %d bytes of %d (%s, %v)", n, got.Bytes, got.SHA256, err)
	}
}

// TestErrorsShowNothingOfTheFile holds what reaches a log to constant words.
func TestErrorsShowNothingOfTheFile(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	const canary = "canary-4711"
	s.server.Inject(matrixtest.Fault{On: matrixtest.MediaDownload, Status: 403, Body: `{"errcode":"M_FORBIDDEN","error":"` + canary + `"}`})
	at := wanted(s.server.Upload(png, ""), nil)
	at.File.Name = canary
	for _, key := range [][]byte{nil, []byte(`{"key":{"k":"` + canary + `"},"v":"v2","iv":5}`)} {
		at.File.Key = key
		if _, err := a.Fetch(t.Context(), at, 0); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error %v", err)
		}
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the log shows it")
	}
}
