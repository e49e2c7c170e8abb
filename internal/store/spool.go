package store

import (
	"io"
)

// Spool is a folder of files that wait to be delivered. It holds ciphertext only;
// who writes a file encrypts it.
type Spool struct {
	path string
}

func openSpool(path string) (*Spool, error) { panic("not written") }

// Entry is a file being written. It becomes visible by Commit, which syncs file
// and folder; Discard (also after Commit, then without effect) removes it.
type Entry struct{ io.Writer }

// Create starts a file with a random name.
func (s *Spool) Create() (*Entry, error) { panic("not written") }

// Commit syncs the file and the folder and gives the name to store in a row.
func (e *Entry) Commit() (name string, err error) { panic("not written") }

// Discard removes what was written, unless it was committed.
func (e *Entry) Discard() error { panic("not written") }

// Open opens a committed file.
func (s *Spool) Open(name string) (io.ReadCloser, error) { panic("not written") }

// Remove deletes a committed file; a file that is not there is no error.
func (s *Spool) Remove(name string) error { panic("not written") }

// Sweep deletes files that no row names (keep reports whether a name is named):
// what a crash left behind.
func (s *Spool) Sweep(keep func(name string) bool) (removed int, err error) { panic("not written") }
