package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Usage is what a store takes on disk, in bytes.
type Usage struct {
	Database int64 // with its write-ahead log
	Spool    int64 // attachments on their way
	Free     int64 // to this account, where the store lies
	Size     int64 // of the file system there
}

// Usage measures. Files that come and go meanwhile are counted or not.
func (s *Store) Usage() (Usage, error) {
	var u Usage
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(filepath.Join(s.path, FileName+suffix))
		if err == nil {
			u.Database += info.Size()
		} else if !errors.Is(err, os.ErrNotExist) {
			return Usage{}, fmt.Errorf("measure store: %w", err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.path, "spool"))
	if err != nil {
		return Usage{}, fmt.Errorf("measure spool: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			u.Spool += info.Size()
		}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.path, &fs); err != nil {
		return Usage{}, fmt.Errorf("measure free space: %w", err)
	}
	u.Free = int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // their types differ by system
	u.Size = int64(fs.Blocks) * int64(fs.Bsize) //nolint:unconvert // as above
	return u, nil
}
