package parts

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// Gate is a door in front of a part: a TCP address that leads to another one,
// and that a story can shut so that the part is away for those who use it.
type Gate struct {
	address string // where it listens
	target  string

	mu       sync.Mutex // guards what follows
	listener net.Listener
	open     map[net.Conn]bool
	pumps    sync.WaitGroup
}

// OpenGate listens on a free loopback port for connections to target.
func OpenGate(target string) (*Gate, error) { return OpenGateOn("127.0.0.1", target) }

// OpenGateOn does so on another of the machine's own addresses, such as ::1.
func OpenGateOn(host, target string) (*Gate, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	g := &Gate{address: net.JoinHostPort(host, strconv.Itoa(port)), target: target, open: map[net.Conn]bool{}}
	if err := g.Open(); err != nil {
		return nil, err
	}
	return g, nil
}

// Address is the host and port to connect to.
func (g *Gate) Address() string { return g.address }

// Open lets connections through again.
func (g *Gate) Open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", g.address) //nolint:noctx // closed by Shut
	if err != nil {
		return fmt.Errorf("open the gate to %s: %w", g.target, err)
	}
	g.listener = l
	g.pumps.Go(func() { g.accept(l) })
	return nil
}

// Shut refuses new connections, cuts the open ones and returns when they are
// gone.
func (g *Gate) Shut() {
	g.mu.Lock()
	if g.listener != nil {
		_ = g.listener.Close()
		g.listener = nil
	}
	for c := range g.open {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.pumps.Wait()
}

func (g *Gate) accept(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", g.target) //nolint:noctx // closed by Shut
		if err != nil {
			_ = in.Close()
			continue
		}
		g.mu.Lock()
		if g.listener != l { // shut in the meantime
			g.mu.Unlock()
			_, _ = in.Close(), out.Close()
			return
		}
		g.open[in], g.open[out] = true, true
		g.pumps.Go(func() { g.pump(in, out) })
		g.pumps.Go(func() { g.pump(out, in) })
		g.mu.Unlock()
	}
}

// pump copies one direction; the end of either direction ends both.
func (g *Gate) pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
	g.mu.Lock()
	delete(g.open, to)
	delete(g.open, from)
	g.mu.Unlock()
}
