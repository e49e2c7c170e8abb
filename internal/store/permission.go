package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// UnwritableError says that the store's folder, or something in it, cannot be
// written by the account that the process runs as.
type UnwritableError struct {
	Path     string      // what the operating system refused, or the folder itself
	UID, GID int         // of its owner; -1 where even that may not be looked up
	Mode     fs.FileMode // its permission bits
	Process  int         // user id of this process
	Group    int         // group id of this process
	Err      error
}

// Error names path, owner, mode and process.
func (e *UnwritableError) Error() string {
	if errors.Is(e.Err, syscall.ENOTDIR) {
		return fmt.Sprintf("store %s cannot be written: %v", e.Path, e.Err)
	}
	if e.UID < 0 {
		return fmt.Sprintf("store %s cannot be written by user %d: %v", e.Path, e.Process, e.Err)
	}
	return fmt.Sprintf("store %s cannot be written by user %d: it belongs to user %d, group %d, mode %04o: %v",
		e.Path, e.Process, e.UID, e.GID, e.Mode.Perm(), e.Err)
}

// Unwrap gives the operating system's answer.
func (e *UnwritableError) Unwrap() error { return e.Err }

// Hint is the line that cures it.
func (e *UnwritableError) Hint() string {
	if errors.Is(e.Err, syscall.ENOTDIR) {
		return e.Path + " is no folder: set MATRIX_STORE_PATH to one"
	}
	if errors.Is(e.Err, syscall.EROFS) {
		return e.Path + " lies on a read-only file system: mount a writable volume there, or set MATRIX_STORE_PATH to a folder on one"
	}
	return fmt.Sprintf("run as root, on the host or in a container that mounts the volume: chown -R %d:%d %s && chmod -R u+rwX %s",
		e.Process, e.Group, e.Path, e.Path)
}

// unwritable turns a refusal of the operating system into an [UnwritableError];
// other errors pass as they are.
func unwritable(path string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	// Whoever reads the line stands elsewhere, often outside the container.
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	e := &UnwritableError{Path: path, UID: -1, GID: -1, Process: os.Geteuid(), Group: os.Getegid(), Err: err}
	if info, err := os.Stat(path); err == nil {
		e.Mode = info.Mode()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			e.UID, e.GID = int(st.Uid), int(st.Gid)
		}
	}
	return e
}

// checkWritable asks the question that SQLite answers only vaguely ("unable to
// open database file"): can files be made in this folder?
func checkWritable(folder string) error {
	f, err := os.CreateTemp(folder, ".writable.*")
	if err != nil {
		return unwritable(folder, fmt.Errorf("write store folder: %w", err))
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return unwritable(folder, fmt.Errorf("write store folder: %w", err))
	}
	return nil
}

// syncFolder makes names in a folder survive a power cut (fsync(2): syncing a
// file does not sync the entry that names it).
func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
