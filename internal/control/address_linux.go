package control

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// short gives an address for a name in a folder that is short enough for a socket.
// It holds until done is called.
func short(folder, name string) (at string, done func(), err error) {
	if at = filepath.Join(folder, name); len(at) <= longest {
		return at, func() {}, nil
	}
	d, err := os.Open(folder) //nolint:gosec // G304: the operator names the folder
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), name), func() { _ = d.Close() }, nil
}

// refused reports whether nobody listens on a socket that is there.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
