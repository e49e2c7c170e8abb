package parts

import (
	"fmt"
	"net"
	"sync"
)

// given are the ports that this process handed out: the kernel may offer one
// again between our closing it and a child's opening it.
var given struct {
	sync.Mutex
	ports map[int]bool
}

// FreePort is a loopback port that nobody listens on.
func FreePort() (int, error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		if !given.ports[port] {
			given.ports[port] = true
			return port, nil
		}
	}
}
