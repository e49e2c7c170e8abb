package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"go.mau.fi/util/dbutil"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo
)

// FileName is the name of the database inside the store's folder.
const FileName = "matrix-connector.db"

// Config says where a store lives and how it is sealed.
type Config struct {
	// Path is the folder; it is made with mode 0700 where it does not exist.
	Path string
	// Key seals what is secret at rest. Empty: a key file inside the folder is made
	// and used, which protects a copied database, not a stolen disk.
	Key []byte
	Log *slog.Logger
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	path   string
	log    *slog.Logger
	db     *dbutil.Database
	seal   *seal
	spool  *Spool
	ownKey bool

	// writer serialises transactions of this process, so that they queue fairly
	// instead of polling SQLite's busy handler.
	writer chan struct{}

	prepared statements

	closeOnce sync.Once
	closeErr  error
}

// Open opens the store in the folder c.Path, making what is missing. The tables
// of each tenant are made by the tenant ([Store.Tables]).
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Path, 0o700); err != nil {
		return nil, unwritable(existing(c.Path), fmt.Errorf("make store folder: %w", err))
	}
	if err := checkWritable(c.Path); err != nil {
		return nil, err
	}
	spool, err := openSpool(filepath.Join(c.Path, "spool"))
	if err != nil {
		return nil, err
	}
	db, err := openFile(ctx, filepath.Join(c.Path, FileName))
	if err != nil {
		return nil, err
	}
	s := &Store{path: c.Path, log: c.Log, db: db, spool: spool, writer: make(chan struct{}, 1)}
	if err := s.openSeal(ctx, c.Key); err != nil {
		return nil, errors.Join(damaged(filepath.Join(c.Path, FileName), err), s.Close())
	}
	return s, nil
}

// existing is the innermost folder of path that exists: whose owner and mode say
// why the next one cannot be made.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}

// openFile opens the database with the pragmas that the promises rest on:
// synchronous=FULL (a commit survives a power cut), WAL (readers do not wait for
// the writer), immediate transactions (no upgrade deadlocks), secure_delete (what a
// redaction erases does not stay behind in free pages), a checkpoint every 16 MiB (event
// ids are hashes, so that each transaction touches pages all over the indexes: in a
// large store a seventh less is written than with SQLite's 4 MiB).
func openFile(ctx context.Context, path string) (*dbutil.Database, error) {
	// The file is made here so that it is never readable by others, not even
	// between its making and a chmod.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, unwritable(path, fmt.Errorf("open store file: %w", err))
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("close store file: %w", err)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_txlock=immediate&_time_format=sqlite&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)&_pragma=journal_size_limit(67108864)" +
		"&_pragma=wal_autocheckpoint(4000)"
	raw, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open store file: %w", err)
	}
	raw.SetMaxOpenConns(6)
	raw.SetMaxIdleConns(6)
	if err := raw.PingContext(ctx); err != nil {
		return nil, errors.Join(damaged(path, fmt.Errorf("open store file: %w", err)), raw.Close())
	}
	db, err := dbutil.NewWithDB(raw, "sqlite")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store file: %w", err), raw.Close())
	}
	return db, nil
}

// DB is the database for tenants that bring tables of their own. Statements made
// with a context of [Store.Do] belong to its transaction.
func (s *Store) DB() *dbutil.Database { return s.db }

// Path is the store's folder.
func (s *Store) Path() string { return s.path }

// OwnKey reports whether the seal's key lies in the store's own folder, where a
// stolen disk gives it away.
func (s *Store) OwnKey() bool { return s.ownKey }

// Spool is where attachments wait, as ciphertext.
func (s *Store) Spool() *Spool { return s.spool }

// ErrNewer is what [Store.Tables] answers when a newer version of the connector
// has written the store.
var ErrNewer = errors.New("store was written by a newer version of matrix-connector")

// Tables brings a tenant's tables to their newest version. versionTable is the
// table that holds that version, e.g. "ledger_version".
func (s *Store) Tables(ctx context.Context, versionTable string, upgrades dbutil.UpgradeTable) error {
	err := s.db.Child(versionTable, upgrades, nil).Upgrade(ctx)
	if errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion) {
		return fmt.Errorf("%w: run that version again, or give this one a store of its own (MATRIX_STORE_PATH): %s: %w", ErrNewer, versionTable, err)
	}
	if err != nil {
		return fmt.Errorf("upgrade %s: %w", versionTable, err)
	}
	return nil
}

// Close closes the database. It may be called more than once.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = errors.Join(s.prepared.close(), s.db.Close()) })
	return s.closeErr
}
