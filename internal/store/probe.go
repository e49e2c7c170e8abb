package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"go.mau.fi/util/dbutil"
)

// Survey is what can be seen of a store from outside, without opening, locking or
// writing anything.
type Survey struct {
	Path     string // absolute
	Folder   bool   // the folder exists
	Database bool   // the database exists
	KeyFile  bool   // a key lies beside it
	UID, GID int    // of the folder's owner, or of the one that it would be made in
	Mode     fs.FileMode
	Free     int64  // bytes that this user may still write there
	Shared   string // the kind of network file system; empty for a local one
	// Running is set when a process works on the store, as far as /proc/locks shows.
	Running bool
}

// access(2): what is asked for.
const (
	mayRead  = 4
	mayWrite = 2
	mayEnter = 1
)

// Look surveys the store in the folder path. Its error is an [*UnwritableError]
// when this process could not work there. Nothing is written: what is asked is
// whether it may be (access(2)).
func Look(path string) (Survey, error) {
	s := Survey{Path: path}
	if absolute, err := filepath.Abs(path); err == nil {
		s.Path = absolute
	}
	at := existing(s.Path)
	info, err := os.Stat(at)
	if err != nil {
		return s, fmt.Errorf("look at store: %w", err)
	}
	s.Folder, s.Mode = at == s.Path, info.Mode()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.UID, s.GID = int(st.Uid), int(st.Gid)
	}
	if !info.IsDir() {
		return s, &UnwritableError{
			Path: at, UID: s.UID, GID: s.GID, Mode: s.Mode, Process: os.Geteuid(), Group: os.Getegid(), Err: syscall.ENOTDIR,
		}
	}
	var volume syscall.Statfs_t
	if err := syscall.Statfs(at, &volume); err == nil {
		s.Free = int64(volume.Bavail) * int64(volume.Bsize) //nolint:unconvert // other types on other systems
		s.Shared = shared[int64(volume.Type)]               //nolint:unconvert // as above
	}
	if err := permitted(at, mayRead|mayWrite|mayEnter); err != nil || !s.Folder {
		return s, err
	}
	for _, name := range []string{FileName, FileName + "-wal", FileName + "-shm", KeyFileName, "spool"} {
		file := filepath.Join(s.Path, name)
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		want := uint32(mayRead | mayWrite)
		switch {
		case name == FileName:
			s.Database = true
		case name == KeyFileName:
			s.KeyFile, want = true, mayRead
		case err == nil && info.IsDir():
			want |= mayEnter
		}
		if err := permitted(file, want); err != nil {
			return s, err
		}
	}
	s.Running = locked(lockPath(s.Path, "connector"))
	return s, nil
}

// permitted asks the operating system whether this process may.
func permitted(path string, want uint32) error {
	if err := syscall.Access(path, want); err != nil {
		return unwritable(path, &fs.PathError{Op: "access", Path: path, Err: err})
	}
	return nil
}

// shared are file systems on which locks and SQLite's shared memory cannot be
// relied on, by the magic number of statfs(2).
var shared = map[int64]string{0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB"}

// locked reports whether somebody holds a lock on the file. Taking the lock to find
// out could keep a connector from starting.
func locked(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	list, err := os.Open("/proc/locks")
	if err != nil {
		return false
	}
	defer func() { _ = list.Close() }() // only read
	inode := ":" + strconv.FormatUint(st.Ino, 10)
	for lines := bufio.NewScanner(list); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:131090 0 EOF (proc_locks(5))
		f := strings.Fields(lines.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			return true
		}
	}
	return false
}

// ErrEmpty is what [OpenReadOnly] answers for a database that no start has
// finished making.
var ErrEmpty = errors.New("store holds nothing yet")

// OpenReadOnly opens a store to look into it, also beside the process that works
// on it. Nothing is made or changed, and no lock is held that anybody waits for:
// the store has no spool, and its transactions fail.
//
// A key that does not fit is [ErrKey], as in [Open].
func OpenReadOnly(ctx context.Context, c Config) (*Store, error) {
	path := filepath.Join(c.Path, FileName)
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=ro&_pragma=busy_timeout(2000)&_pragma=query_only(1)"
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Nobody has it open. Told so, SQLite does not make the files of its journal,
		// which a reader would leave behind.
		dsn += "&immutable=1"
	}
	raw, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open store to read: %w", err)
	}
	db, err := dbutil.NewWithDB(raw, "sqlite")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store to read: %w", err), raw.Close())
	}
	s := &Store{path: c.Path, log: c.Log, db: db, writer: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.compareSeal(ctx, c.Key); err != nil {
		return nil, errors.Join(damaged(path, err), s.Close())
	}
	return s, nil
}

// compareSeal is openSeal for a store that was sealed before.
func (s *Store) compareSeal(ctx context.Context, key []byte) error {
	if there, err := s.db.TableExists(ctx, "store_seal"); err != nil {
		return fmt.Errorf("read store: %w", err)
	} else if !there {
		return ErrEmpty
	}
	salt, check, err := s.readSeal(ctx)
	if err != nil {
		return err
	}
	if salt == nil {
		return ErrEmpty
	}
	if len(key) == 0 {
		s.ownKey = true
		if key, err = readKeyFile(s.path, false); err != nil {
			return err
		}
	}
	return s.unseal(key, salt, check)
}

// TablesVersion is the version of a tenant's tables; 0 where it has none.
// [ErrNewer] when this program does not know it.
func (s *Store) TablesVersion(ctx context.Context, versionTable string, upgrades dbutil.UpgradeTable) (int, error) {
	there, err := s.db.TableExists(ctx, versionTable)
	if err != nil || !there {
		return 0, err
	}
	var version int
	var compatible sql.NullInt64
	err = s.db.QueryRow(ctx, "SELECT version, compat FROM "+versionTable).Scan(&version, &compatible)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read %s: %w", versionTable, err)
	}
	oldest := version
	if compatible.Int64 != 0 {
		oldest = int(compatible.Int64)
	}
	if oldest > len(upgrades) {
		return version, fmt.Errorf("%w: run that version again, or give this one a store of its own (MATRIX_STORE_PATH): %s is at %d", ErrNewer, versionTable, version)
	}
	return version, nil
}
