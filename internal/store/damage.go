package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// DamagedError says that the database cannot be read as one.
type DamagedError struct {
	Path string // of its file
	Err  error  // SQLite's
}

// Error names the file.
func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.Path, e.Err) }

// Unwrap gives SQLite's answer.
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says what a person can do.
func (e *DamagedError) Hint() string {
	return "put the store's last backup in place of " + filepath.Dir(e.Path) + " (MATRIX_STORE_PATH), or start anew with an empty folder and a new device"
}

// damaged makes a [DamagedError] of what SQLite says of a file that is no database, or
// a broken one; other errors pass as they are.
func damaged(path string, err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	// The primary code is the lowest byte (sqlite.org/rescode.html).
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		if whole, err := filepath.Abs(path); err == nil {
			path = whole
		}
		return &DamagedError{Path: path, Err: err}
	default:
		return err
	}
}

// keyError is a store key that does not fit.
type keyError struct{ error }

// Unwrap gives [ErrKey].
func (e keyError) Unwrap() error { return e.error }

// Hint says what a person can do.
func (keyError) Hint() string {
	return "give the store the key that it was made with (MATRIX_STORE_KEY, or " + KeyFileName +
		"), or let MATRIX_STORE_PATH name an empty folder to start anew with a new device"
}

// unfit says which key does not fit, and why.
func unfit(format string, args ...any) error {
	return keyError{fmt.Errorf("%w: "+format, append([]any{ErrKey}, args...)...)}
}
