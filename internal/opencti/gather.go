package opencti

import (
	"net"
	"sync"
)

// gatherer holds back what is written to a connection while a batch is handed over:
// each message is a frame or three, and the AMQP library writes every message out at
// once, a hundred small packets where a few large ones do.
type gatherer struct {
	net.Conn

	mu      sync.Mutex
	holding bool
	held    []byte
}

// gatherLimit is how much is held back at most.
const gatherLimit = 256 << 10

// Write writes to the connection, or holds back.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.holding {
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	if len(g.held) < gatherLimit {
		return len(p), nil
	}
	if err := g.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// hold begins to hold back.
func (g *gatherer) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = true
}

// holds reports whether writes are held back.
func (g *gatherer) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.holding
}

// release writes what was held back, and holds back no more.
func (g *gatherer) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = false
	return g.flush()
}

// flush writes what was held back. The caller holds the lock.
func (g *gatherer) flush() error {
	if len(g.held) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.held)
	g.held = g.held[:0]
	if cap(g.held) > 2*gatherLimit {
		g.held = nil // of one very large message
	}
	return err
}
