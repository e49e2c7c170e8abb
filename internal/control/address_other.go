//go:build !linux

package control

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

// short gives the address for a name in a folder, where it is short enough.
func short(folder, name string) (at string, done func(), err error) {
	if at = filepath.Join(folder, name); len(at) > longest {
		return "", nil, fmt.Errorf("its path has %d bytes, a socket's can have %d: set MATRIX_STORE_PATH to a shorter one", len(at), longest)
	}
	return at, func() {}, nil
}

// refused reports whether nobody listens on a socket that is there.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
