package openctitest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// Generation is the behaviour that is stood in for.
type Generation int

// The generations. Gen6 validates against the schema of 6.4.3 and behaves as
// 6.7.5 was seen to; Gen7 is 7.260318.0 in both.
const (
	Gen6 Generation = 6
	Gen7 Generation = 7
)

// Config is what a Platform is made from; the zero value of every field is
// usable but for Generation.
type Config struct {
	Generation Generation
	// Users are the accounts; without any there are "connector" (token
	// "connector-token", default Connector role) and "admin" (token
	// "admin-token").
	Users []User
	// Schema is GraphQL SDL to validate against instead of the small schema of
	// the generation, such as the vendor's full one.
	Schema string
	// Version is what about{version} says; empty is the generation's.
	Version string
	// Broker is the RabbitMQ to answer registrations with; nil is a platform
	// without one, whose items come by Ingest.
	Broker *Broker
	// BrokerTLS lets registrations say that the broker, where there is none, is
	// spoken to over TLS.
	BrokerTLS bool
	// ForeignWorker leaves the queue to a worker outside, the vendor's: Run
	// consumes nothing, and the schema holds what the vendor's importer uses.
	ForeignWorker bool
	// TLS serves https with a certificate of an authority that CA returns.
	TLS bool
	// Now is the clock; nil is the wall clock.
	Now func() time.Time
	// RegisterRefusal is how long a deleted connector is refused to register
	// again; 0 is five seconds, as on a real platform.
	RegisterRefusal time.Duration
	// ManagerPeriod is how often Run lets the connector manager close older
	// works; 0 is never: a test calls CloseOlderWorks.
	ManagerPeriod time.Duration
	// NoLag completes a work in the very poll in which its numbers are equal;
	// by default there is one more poll that shows N/N and "progress" without
	// the last error, as real platforms do now and then.
	NoLag bool
	// MaxBody caps a JSON body in bytes; 0 is the platform's 50 MB.
	MaxBody int64
	// KeepFiles is up to which size in bytes the content of a file is kept;
	// larger ones keep size and hash. 0 is 16 MiB.
	KeepFiles int64
	// Address to listen on; empty is a free port of 127.0.0.1.
	Address string
}

// Platform is a stand-in for the platform. Its methods may be called from any
// goroutine.
type Platform struct {
	cfg    Config
	gen    Generation
	schema *ast.Schema
	small  bool // the schema is ours: everything in it is answered
	ln     net.Listener
	server *http.Server
	ca     []byte
	served chan struct{}
	broker *broker
	faults *Faults
	docs   sync.Map // query text to *document

	mu         sync.Mutex // guards all that follows
	graph      graph
	ids        int
	accounts   []*account
	connectors map[string]*connector
	works      map[string]*work
	workOrder  int
	violations []Violation
	calls      map[string]int
	imported   int
	skipped    int
	added      int           // by an importer's mutations
	retry      string        // opencti-retry-number of the request at hand
	changed    chan struct{} // closed and replaced at each change
}

// New listens and serves. Close ends it.
func New(cfg Config) (*Platform, error) {
	if cfg.Generation != Gen6 && cfg.Generation != Gen7 {
		return nil, fmt.Errorf("unknown generation %d", cfg.Generation)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 50 << 20
	}
	if cfg.KeepFiles == 0 {
		cfg.KeepFiles = 16 << 20
	}
	if cfg.RegisterRefusal == 0 {
		cfg.RegisterRefusal = 5 * time.Second
	}
	if cfg.Users == nil {
		cfg.Users = []User{{Name: "connector", Token: "connector-token"}, {Name: "admin", Token: "admin-token", Capabilities: []string{Admin}}}
	}
	schema, err := loadSchema(cfg)
	if err != nil {
		return nil, err
	}
	p := &Platform{
		cfg: cfg, gen: cfg.Generation, schema: schema, small: cfg.Schema == "" && !cfg.ForeignWorker, served: make(chan struct{}),
		graph:      graph{entities: map[string]*entity{}, index: map[string][]*entity{}, files: map[string]*storedFile{}, owned: map[string][]*storedFile{}},
		connectors: map[string]*connector{}, works: map[string]*work{}, calls: map[string]int{}, changed: make(chan struct{}),
	}
	p.faults = newFaults(p)
	p.broker = newBroker(cfg.Broker)
	if cfg.Broker == nil {
		p.broker.settings.TLS = cfg.BrokerTLS
	}
	marks := p.addMarkings()
	for _, u := range cfg.Users {
		p.accounts = append(p.accounts, newAccount(u, p.gen, marks))
	}
	if err := p.listen(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Platform) listen() error {
	addr := p.cfg.Address
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	p.ln = ln
	if p.cfg.TLS {
		cert, ca, err := certificate()
		if err != nil {
			return errors.Join(fmt.Errorf("certificate: %w", err), ln.Close())
		}
		p.ca = ca
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	p.server = &http.Server{Handler: p.handler(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(p.served)
		// Serve ends with the listener, which only Close closes.
		_ = p.server.Serve(ln)
	}()
	return nil
}

// URL is what OPENCTI_URL is to be.
func (p *Platform) URL() string {
	scheme := "http"
	if p.cfg.TLS {
		scheme = "https"
	}
	return scheme + "://" + p.ln.Addr().String()
}

// CA is the certificate authority of a TLS platform, as PEM.
func (p *Platform) CA() []byte { return p.ca }

// Generation is the behaviour that the platform was made with.
func (p *Platform) Generation() Generation { return p.gen }

// Token is the token of the user of that name; empty for an unknown one.
func (p *Platform) Token(user string) string {
	if a := p.accountByName(user); a != nil {
		return a.Token
	}
	return ""
}

// UserID is the id of the user of that name; empty for an unknown one.
func (p *Platform) UserID(user string) string {
	if a := p.accountByName(user); a != nil {
		return a.ID
	}
	return ""
}

// Faults are the ways in which the platform can be made to misbehave.
func (p *Platform) Faults() *Faults { return p.faults }

// Close stops serving, breaks off open requests and closes the broker's
// connection. It may be called twice.
func (p *Platform) Close() error {
	p.faults.release()
	err := p.server.Close()
	<-p.served
	return errors.Join(err, p.broker.close())
}

func (p *Platform) now() time.Time { return p.cfg.Now().UTC().Truncate(time.Millisecond) }

// touch tells those who Await that something has changed; p.mu is held.
func (p *Platform) touch() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Await blocks until the condition holds. It is asked at first and after every
// change of the platform, without the platform's lock, so it may call any
// method.
func (p *Platform) Await(ctx context.Context, condition func() bool) error {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("await: %w", ctx.Err())
		}
	}
}

// Calls is how often a top-level field, a field of an edit ("workEdit.delete")
// or an operation name was asked for, faults included.
func (p *Platform) Calls(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[name]
}
