package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// ErrLocked is what [Store.Lock] answers while another process acts as the device.
var ErrLocked = errors.New("another process acts as this device")

// Lock takes the exclusive right to act as a device: one process a device. It
// fails at once with [ErrLocked] when another process holds it, and lasts until
// release or the end of the process (flock(2)). release may be called more than
// once.
//
// Two processes of one device take each other's room keys: the homeserver hands a
// to-device message to whoever asks first.
func (s *Store) Lock(device string) (release func() error, err error) {
	path := lockPath(s.path, device)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a hash in the operator's folder
	if err != nil {
		return nil, unwritable(s.path, fmt.Errorf("lock device: %w", err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = errors.Join(err, f.Close())
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: stop the matrix-connector that uses %s, or give this one a store (MATRIX_STORE_PATH) and a device of its own",
				ErrLocked, s.path)
		}
		return nil, fmt.Errorf("lock device: %w", err)
	}
	// The file stays: removing it would let a third process lock a new file of the
	// same name while a second one holds the old.
	return sync.OnceValue(f.Close), nil
}

// lockPath is the file whose lock stands for the device. A device id is chosen by a
// homeserver: its hash is a safe file name.
func lockPath(folder, device string) string {
	sum := sha256.Sum256([]byte(device))
	return filepath.Join(folder, "device-"+hex.EncodeToString(sum[:8])+".lock")
}
