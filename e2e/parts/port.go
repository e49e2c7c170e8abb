package parts

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// given are the ports that this process handed out: a child opens its port some time
// after it was found free.
var given struct {
	sync.Mutex
	ports map[int]bool
}

// Ports are taken from below those that the kernel gives away itself, to whoever
// listens anywhere or connects (ip(7), ip_local_port_range): a child may take ten
// seconds to open its own, and others would have it by then.
const (
	firstPort = 15000
	ports     = 17000
)

// FreePort is a loopback port that nobody listens on.
func FreePort() (int, error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for {
		port := firstPort + rand.IntN(ports) //nolint:gosec // no secret
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // closed at once
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		given.ports[port] = true
		return port, nil
	}
}
