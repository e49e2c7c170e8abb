package matrixtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Fault is a failure that requests to an endpoint meet. Fields combine: a slow
// answer may also be cut.
type Fault struct {
	On Endpoint
	// Path limits the fault to requests whose path contains it; empty: all.
	Path string
	// After lets that many matching requests pass first.
	After int
	// Times is how often it happens; 0 means until the server closes.
	Times int

	// Wait delays the answer until the channel is closed, Delay by a time. Both end
	// early when the client goes away.
	Wait  <-chan struct{}
	Delay time.Duration

	// Status answers instead of the endpoint, with Code as errcode, RetryAfter as
	// header in seconds, RetryAfterMS in the body, and Body in place of the usual
	// JSON where it is set.
	Status       int
	Code         string
	RetryAfter   string
	RetryAfterMS int64
	SoftLogout   bool
	Body         string
	// Location redirects (with Status 307 where Status is 0).
	Location string

	// CutAfter ends the connection after that many bytes of the body; -1 before
	// the first byte of the answer.
	CutAfter int64
	// Reach is called when a request meets the fault, before anything else.
	Reach func()
}

type fault struct {
	Fault
	passed, met int
}

// Inject adds a fault. Of several that match, the first added is met first.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{Fault: f})
}

// Heal removes all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) nextFault(e Endpoint, path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.On != e || (f.Path != "" && !strings.Contains(path, f.Path)) || (f.Times > 0 && f.met >= f.Times) {
			continue
		}
		if f.passed < f.After {
			f.passed++
			continue
		}
		f.met++
		return &f.Fault
	}
	return nil
}

// fault lets the request meet its fault. It returns the writer for the real
// answer, or nil when the fault was the answer.
func (s *Server) fault(c *call, e Endpoint) http.ResponseWriter {
	f := s.nextFault(e, c.r.URL.Path)
	if f == nil {
		return c.w
	}
	if f.Reach != nil {
		f.Reach()
	}
	if !s.pause(c.r.Context(), f) {
		panic(http.ErrAbortHandler)
	}
	w := c.w
	if f.CutAfter != 0 {
		w = &cutter{ResponseWriter: w, left: max(f.CutAfter, 0)}
		if f.CutAfter < 0 {
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case f.Location != "":
		w.Header().Set("Location", f.Location)
		status := f.Status
		if status == 0 {
			status = http.StatusTemporaryRedirect
		}
		w.WriteHeader(status)
		return nil
	case f.Status != 0:
		f.answer(w)
		return nil
	}
	return w
}

func (s *Server) pause(ctx context.Context, f *Fault) bool {
	if f.Wait != nil {
		select {
		case <-f.Wait:
		case <-ctx.Done():
			return false
		case <-s.closing:
			return false
		}
	}
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		case <-s.closing:
			return false
		}
	}
	return true
}

func (f *Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Body != "" {
		writeBody(w, f.Status, []byte(f.Body))
		return
	}
	body := map[string]any{"errcode": f.Code, "error": "injected"}
	if f.Code == "" {
		body["errcode"] = "M_UNKNOWN"
	}
	if f.RetryAfterMS != 0 {
		body["retry_after_ms"] = f.RetryAfterMS
	}
	if f.SoftLogout {
		body["soft_logout"] = true
	}
	writeJSON(w, f.Status, body)
}

// cutter ends the connection when enough of the body is written. The headers,
// Content-Length included, promise the whole.
type cutter struct {
	http.ResponseWriter
	left int64
}

func (c *cutter) Write(p []byte) (int, error) {
	if int64(len(p)) < c.left {
		n, err := c.ResponseWriter.Write(p)
		c.left -= int64(n)
		return n, err
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("matrixtest: value does not marshal: %v", err))
	}
	return b
}
