package matrixtest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// call is one request on its way.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	user   *user   // nil on routes without authentication
	device *device // nil likewise
	body   []byte
}

func (s *Server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{w: w, r: r}
		if !rt.raw {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
			if err != nil {
				writeError(w, http.StatusRequestEntityTooLarge, "M_TOO_LARGE", "body too large")
				return
			}
			c.body = body
		}
		authorised := s.authorise(c, rt)
		s.record(c, rt)
		if w = s.fault(c, rt.name); w == nil { //nolint:contextcheck // the call holds its request, and that its context
			return
		}
		c.w = w
		if !authorised() {
			return
		}
		rt.handle(s, c)
		if r.Context().Err() == nil { // who hung up was not answered
			s.recordAnswer(rt.name)
		}
	})
}

// authorise finds the device of the token. The returned function writes the
// refusal, so that a fault can come first, as a proxy's would.
func (s *Server) authorise(c *call, rt route) func() bool {
	token, found := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.r.URL.Query().Has("access_token") {
		s.violateLocked("token in the query: %s", rt.name)
	}
	if !rt.auth {
		if found && isOAuth(rt.name) {
			s.violateLocked("the access token is shown to the authentication service: %s", rt.name)
		}
		return func() bool { return true }
	}
	if !found || token == "" {
		s.violateLocked("missing token: %s %s", c.r.Method, c.r.URL.Path)
		return c.refuse("M_MISSING_TOKEN", nil)
	}
	if refusal := s.useAccess(token); refusal != nil {
		return c.refuse("M_UNKNOWN_TOKEN", refusal)
	}
	if rv, ok := s.revoked[token]; ok {
		return c.refuse("M_UNKNOWN_TOKEN", map[string]any{"soft_logout": rv.soft})
	}
	d, ok := s.tokens[token]
	if !ok {
		s.violateLocked("token never issued: %s", rt.name)
		return c.refuse("M_UNKNOWN_TOKEN", nil)
	}
	c.device, c.user = d, d.user
	if d.user.locked {
		return c.refuse("M_USER_LOCKED", map[string]any{"soft_logout": true})
	}
	return func() bool { return true }
}

// refuse refuses with 401 a request that shows no good token.
func (c *call) refuse(code string, extra map[string]any) func() bool {
	return func() bool {
		body := map[string]any{"errcode": code, "error": strings.ToLower(code)}
		maps.Copy(body, extra)
		writeJSON(c.w, http.StatusUnauthorized, body)
		return false
	}
}

func (s *Server) record(c *call, rt route) {
	req := Request{Endpoint: rt.name, Method: c.r.Method, Path: c.r.URL.Path, Query: c.r.URL.RawQuery}
	if c.user != nil {
		req.User, req.Device = c.user.id, c.device.id
	}
	if len(c.body) <= 64<<10 {
		req.Body = c.body
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[rt.name]++
	if len(s.requests) >= keptRequests {
		s.requests = slices.Delete(s.requests, 0, keptRequests/2)
	}
	s.requests = append(s.requests, req)
}

func (s *Server) recordAnswer(e Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[e]++
	close(s.answered)
	s.answered = make(chan struct{})
}

func (c *call) ok(v any)                              { writeJSON(c.w, http.StatusOK, v) }
func (c *call) fail(status int, code, message string) { writeError(c.w, status, code, message) }
func (c *call) empty()                                { c.ok(struct{}{}) }
func writeError(w http.ResponseWriter, st int, c, m string) {
	writeJSON(w, st, map[string]string{"errcode": c, "error": m})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"errcode":"M_UNKNOWN","error":"answer does not marshal"}`)
	}
	writeBody(w, status, b)
}

func writeBody(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is no concern of the server
}

// decode reads the request's JSON; a body that is none is a violation.
func (s *Server) decode(c *call, v any) bool {
	err := json.Unmarshal(c.body, v)
	if err == nil {
		return true
	}
	s.violate("body of %s %s is no JSON of its kind", c.r.Method, c.r.URL.Path)
	c.fail(http.StatusBadRequest, "M_NOT_JSON", "not JSON")
	return false
}
