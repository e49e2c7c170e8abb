package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// SocketName is the name of the socket in the store's folder.
const SocketName = "control.sock"

// longest is how many bytes the address of a socket can have.
const longest = 107

// ErrNobody says that no connector listens in a folder.
var ErrNobody = errors.New("no connector is running on this store")

// Listen opens the socket in a folder. Closing it removes it.
func Listen(ctx context.Context, folder string) (net.Listener, error) {
	l, err := listen(ctx, folder)
	if err != nil {
		return nil, fmt.Errorf("open control socket in %s: %w", folder, err)
	}
	return l, nil
}

func listen(ctx context.Context, folder string) (net.Listener, error) {
	private, err := os.MkdirTemp(folder, ".control.*") // of mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private) //nolint:errcheck // an empty folder that is left does no harm
	at, done, err := short(private, SocketName)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", at)
	if err != nil {
		return nil, errors.Unwrap(err) // the address of it is one of ours
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it is moved
	}
	bound, place := filepath.Join(private, SocketName), filepath.Join(folder, SocketName)
	if err := errors.Join(os.Chmod(bound, 0o600), os.Rename(bound, place)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{Listener: l, remove: sync.OnceValue(func() error { return os.Remove(place) })}, nil
}

// listener removes its socket.
type listener struct {
	net.Listener
	remove func() error
}

// Close stops listening. It may be called more than once.
func (l *listener) Close() error {
	err := l.remove()
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.Listener.Close())
}

// Client gives an HTTP client whose every request goes to the connector of the
// folder, whatever its host. Where none is running its errors are [ErrNobody].
func Client(folder string) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, folder)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func dial(ctx context.Context, folder string) (net.Conn, error) {
	at, done, err := short(folder, SocketName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", ErrNobody, folder)
	}
	if err != nil {
		return nil, err
	}
	defer done()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", at)
	if errors.Is(err, os.ErrNotExist) || refused(err) {
		return nil, fmt.Errorf("%w: %s", ErrNobody, folder)
	}
	return c, err
}
