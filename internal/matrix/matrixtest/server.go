package matrixtest

import (
	"context"
	"fmt"
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
	// Service gives it an authentication service (OAuth 2.0 API); nil: it has none.
	Service *Service
	// Dendrite makes it behave as Dendrite v0.15.2 does where that differs: at the
	// start of a room /messages repeats the create event with end == from, and an
	// initial /sync shows no one-time key counts.
	Dendrite bool
	// TimelineCap is the most events a room that a /sync shows, whatever its filter
	// asks for; 0 is no such bound.
	TimelineCap int
	// IdentityAuth are the flows that even a first cross-signing identity takes, as before
	// MSC3967 (m.login.password) and where a browser is wanted; nil: none.
	IdentityAuth []string
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
	oauth      oauthState
	faults     []*fault
	violations []string
	requests   []Request
	counts     map[Endpoint]int
	answers    map[Endpoint]int
	answered   chan struct{} // closed and replaced at each answer
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
		answers: map[Endpoint]int{}, answered: make(chan struct{}), oauth: newOAuthState(),
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

// SetClock makes the server take origin_server_ts from now, and the life of tokens and
// codes.
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

// Answers is how many requests to an endpoint have been answered, whatever the
// answers were.
func (s *Server) Answers(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[e]
}

// AwaitAnswers waits until n requests to an endpoint have been answered.
func (s *Server) AwaitAnswers(ctx context.Context, e Endpoint, n int) error {
	for {
		s.mu.Lock()
		have, answered := s.answers[e], s.answered
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-answered:
		case <-ctx.Done():
			return fmt.Errorf("await %d answers to %s, %d were given: %w", n, e, have, context.Cause(ctx))
		}
	}
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
	p := r.URL.EscapedPath() // session ids and key ids hold slashes of their own
	if strings.Contains(p, "/../") || strings.Contains(p, "/./") || strings.HasSuffix(p, "/..") || strings.Contains(p, "//") {
		s.violate("path climbs: %s", r.URL.EscapedPath())
		writeError(w, http.StatusBadRequest, "M_INVALID_PARAM", "odd path")
		return
	}
	s.mux.ServeHTTP(w, r)
}
