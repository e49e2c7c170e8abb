package matrixtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// Options change what a [Server] is like. The zero value is a current homeserver
// named "test.example".
type Options struct {
	// Name is the server name, the part after the colon in identifiers.
	Name string
	// Versions are the specification versions that /versions names; default
	// "v1.1" to "v1.12". Without v1.11 media are served on the legacy path.
	Versions []string
	// Flows are the login types; default m.login.password.
	Flows []string
	// Dendrite makes it behave as Dendrite v0.15.2 does where that differs: at the
	// start of a room /messages repeats the create event with end == from, and an
	// initial /sync shows no one-time key counts.
	Dendrite bool
}

// Server is a homeserver for tests. It is safe for concurrent use.
type Server struct {
	opts     Options
	listener net.Listener
	http     *http.Server
	mux      *http.ServeMux
	closing  chan struct{}
	served   chan struct{}
	once     sync.Once

	mu         sync.Mutex // guards all that follows
	changed    chan struct{}
	position   int64 // stream position of the newest change
	serial     int64 // makes identifiers
	clock      func() time.Time
	users      map[id.UserID]*user
	tokens     map[string]*device
	revoked    map[string]revocation
	rooms      map[id.RoomID]*Room
	media      map[string]*Media
	faults     []*fault
	violations []string
	requests   []Request
	counts     map[Endpoint]int
}

// New starts a server. Close it.
func New(o Options) (*Server, error) {
	if o.Name == "" {
		o.Name = "test.example"
	}
	if o.Versions == nil {
		o.Versions = []string{"v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12"}
	}
	if o.Flows == nil {
		o.Flows = []string{"m.login.password"}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{
		opts: o, listener: l, closing: make(chan struct{}), served: make(chan struct{}),
		changed: make(chan struct{}), clock: time.Now,
		users: map[id.UserID]*user{}, tokens: map[string]*device{}, revoked: map[string]revocation{},
		rooms: map[id.RoomID]*Room{}, media: map[string]*Media{}, counts: map[Endpoint]int{},
	}
	s.mux = http.NewServeMux()
	for _, rt := range routes {
		s.mux.Handle(rt.pattern, s.serve(rt))
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.violate("unknown route: %s %s", r.Method, r.URL.Path)
		writeError(w, http.StatusNotFound, "M_UNRECOGNIZED", "no such route")
	})
	s.http = &http.Server{Handler: http.HandlerFunc(s.guardPath), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // always ErrServerClosed after Close
	}()
	return s, nil
}

// Close stops the server: waiting requests end at once.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		err = s.http.Close()
		<-s.served
	})
	return err
}

// URL is the address of the server.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Name is the server name.
func (s *Server) Name() string { return s.opts.Name }

// SetClock makes the server take origin_server_ts from now.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

// Violations are the mistakes of callers so far, one line each. Nil: none.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) violate(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violateLocked(format, args...)
}

func (s *Server) violateLocked(format string, args ...any) {
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// Request is a request that the server received.
type Request struct {
	Endpoint Endpoint
	Method   string
	Path     string
	Query    string
	User     id.UserID // empty without a token
	Device   id.DeviceID
	Body     []byte // of up to 64 KiB; nil for uploads
}

// keptRequests bounds the list: benchmarks make more requests than anybody reads.
const keptRequests = 5000

// Requests are the last requests to an endpoint, oldest first; "" means all.
func (s *Server) Requests(e Endpoint) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.requests {
		if e == "" || r.Endpoint == e {
			out = append(out, r)
		}
	}
	return out
}

// Count is how many requests an endpoint has received.
func (s *Server) Count(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[e]
}

// step announces a change: it takes the next stream position and wakes whoever
// waits in /sync. The caller holds mu.
func (s *Server) step() int64 {
	s.position++
	close(s.changed)
	s.changed = make(chan struct{})
	return s.position
}

func (s *Server) nextSerial() int64 {
	s.serial++
	return s.serial
}

// guardPath refuses paths that a client should never form, before the router
// tidies them up.
func (s *Server) guardPath(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	if strings.Contains(p, "/../") || strings.Contains(p, "/./") || strings.HasSuffix(p, "/..") || strings.Contains(p, "//") {
		s.violate("path climbs: %s", r.URL.EscapedPath())
		writeError(w, http.StatusBadRequest, "M_INVALID_PARAM", "odd path")
		return
	}
	s.mux.ServeHTTP(w, r)
}

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
		if w = s.fault(c, rt.name); w == nil {
			return
		}
		c.w = w
		if !authorised() {
			return
		}
		rt.handle(s, c)
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
		return func() bool { return true }
	}
	if !found || token == "" {
		s.violateLocked("missing token: %s %s", c.r.Method, c.r.URL.Path)
		return c.refuse(http.StatusUnauthorized, "M_MISSING_TOKEN", nil)
	}
	if rv, ok := s.revoked[token]; ok {
		return c.refuse(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", map[string]any{"soft_logout": rv.soft})
	}
	d, ok := s.tokens[token]
	if !ok {
		s.violateLocked("token never issued: %s", rt.name)
		return c.refuse(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", nil)
	}
	c.device, c.user = d, d.user
	if d.user.locked {
		return c.refuse(http.StatusUnauthorized, "M_USER_LOCKED", map[string]any{"soft_logout": true})
	}
	return func() bool { return true }
}

func (c *call) refuse(status int, code string, extra map[string]any) func() bool {
	return func() bool {
		body := map[string]any{"errcode": code, "error": strings.ToLower(code)}
		for k, v := range extra {
			body[k] = v
		}
		writeJSON(c.w, status, body)
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
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
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

// ErrUnknownRoom is returned for a room that does not exist.
var ErrUnknownRoom = errors.New("unknown room")
