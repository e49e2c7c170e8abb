package matrix_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// silent is a server that answers with headers, some bytes, and then nothing.
type silent struct{ head bool }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if !s.head {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body := io.MultiReader(strings.NewReader("some"), readUntil{r.Context().Done(), r.Context().Err})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(body), Request: r}, nil
}

type readUntil struct {
	done <-chan struct{}
	err  func() error
}

func (r readUntil) Read([]byte) (int, error) { <-r.done; return 0, r.err() }

// TestASilentServerIsLeftAfterAWhile runs on a false clock: the download ends when
// nothing has come for MediaIdle, before its headers as well as within its body.
func TestASilentServerIsLeftAfterAWhile(t *testing.T) {
	for name, head := range map[string]bool{"before the headers": false, "within the body": true} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			path := &switchable{}
			a := s.open(func(c *matrix.Config) { c.Transport = path })
			synctest.Test(t, func(t *testing.T) {
				path.now = silent{head}
				started := time.Now()
				_, err := a.Fetch(t.Context(), wanted(id.ContentURI{Homeserver: "test.example", FileID: "x"}, nil), 0)
				e, ok := errors.AsType[*matrix.MediaError](err)
				if !ok || e.Class != matrix.ClassTemporary || e.Reason != matrix.MediaStalled {
					t.Errorf("%v, want it to have stalled", err)
				}
				if took := time.Since(started); took != matrix.MediaIdle {
					t.Errorf("left after %s, want %s", took, matrix.MediaIdle)
				}
			})
			if left := s.spoolFiles(); len(left) != 0 {
				t.Errorf("left in the spool: %v", left)
			}
		})
	}
}

// trickle answers with a byte now and then, for longer than MediaIdle in all.
type trickle struct{ bytes int }

func (c trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	in, out := io.Pipe()
	// A transport fails the body when its request is cancelled.
	context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
	go func() {
		for range c.bytes {
			timer := time.NewTimer(matrix.MediaIdle * 2 / 3)
			<-timer.C
			if _, err := out.Write([]byte("x")); err != nil {
				return
			}
		}
		_ = out.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(c.bytes), Body: in, Request: r}, nil
}

func TestASlowDownloadIsNotCutWhileBytesCome(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	path := &switchable{}
	a := s.open(func(c *matrix.Config) { c.Transport = path })
	synctest.Test(t, func(t *testing.T) {
		path.now = trickle{bytes: 20}
		got, err := a.Fetch(t.Context(), wanted(id.ContentURI{Homeserver: "test.example", FileID: "x"}, nil), 0)
		if err != nil || got.Bytes != 20 {
			t.Errorf("%d bytes, %v", got.Bytes, err)
		}
	})
}

// switchable is a transport that is replaced after the account is open.
type switchable struct{ now http.RoundTripper }

func (s *switchable) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.now == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return s.now.RoundTrip(r)
}

func TestACancelledFetchIsCancelled(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	reached := make(chan struct{})
	s.server.Inject(matrixtest.Fault{On: matrixtest.MediaDownload, Wait: make(chan struct{}), Reach: func() { close(reached) }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	_, err := a.Fetch(ctx, wanted(s.server.Upload(png, ""), nil), 0)
	if e, ok := errors.AsType[*matrix.MediaError](err); !ok || e.Class != matrix.ClassCancelled {
		t.Errorf("%v, want it cancelled", err)
	}
}
