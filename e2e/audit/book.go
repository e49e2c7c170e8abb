package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the store's file
)

// file is the store's database in its folder.
const file = "matrix-connector.db"

// Book is what a ledger says of itself.
type Book struct {
	Token string // of /sync; empty before the first one
	Sink  string // where landed rows have landed, such as "opencti …"
	Start time.Time
	Rows  []Row
	Posts []Post
	Gaps  []Gap
}

// Row is an event in the ledger.
type Row struct {
	Room          id.RoomID
	Event, Target id.EventID
	Type          string
	State, Reason string
}

// Post is a message in the ledger.
type Post struct {
	Room          id.RoomID
	Event         id.EventID
	State, Reason string
	Landed        int // the revision that has landed; 0: none
}

// Gap is a stretch of a room's timeline that was, or is to be, read backwards.
type Gap struct {
	Room          id.RoomID
	Kind          string
	State, Reason string
	Bound         time.Time // of a room's history: nothing older is wanted
}

// ErrNoBook is what [Read] answers where no store was made.
var ErrNoBook = errors.New("there is no store")

// Read reads the ledger of a store that nobody uses. It works on a copy in scratch, so
// that looking changes nothing, not even the write-ahead log of a killed process.
func Read(ctx context.Context, folder, scratch string) (Book, error) {
	for _, suffix := range []string{"", "-wal"} {
		err := duplicate(filepath.Join(folder, file+suffix), filepath.Join(scratch, file+suffix))
		if errors.Is(err, fs.ErrNotExist) {
			if suffix == "" {
				return Book{}, ErrNoBook
			}
			continue
		}
		if err != nil {
			return Book{}, fmt.Errorf("copy the store: %w", err)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(scratch, file))
	if err != nil {
		return Book{}, err
	}
	defer func() { _ = db.Close() }() // a copy
	b, err := read(ctx, db)
	if err != nil {
		return Book{}, fmt.Errorf("read the ledger: %w", err)
	}
	return b, nil
}

func duplicate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func read(ctx context.Context, db *sql.DB) (b Book, err error) {
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'ledger_state'").Scan(&tables); err != nil {
		return b, err
	}
	if tables == 0 {
		return b, ErrNoBook // it ended before the ledger was made
	}
	var start int64
	if err := db.QueryRowContext(ctx, "SELECT token, sink, start FROM ledger_state").Scan(&b.Token, &b.Sink, &start); err != nil {
		return b, err
	}
	b.Start = moment(start)
	err = each(ctx, db, `SELECT r.room, e.event, e.target, e.type, e.state, e.reason FROM ledger_event e JOIN ledger_room r ON r.id = e.room`,
		func(scan func(...any) error) error {
			var r Row
			err := scan(&r.Room, &r.Event, &r.Target, &r.Type, &r.State, &r.Reason)
			b.Rows = append(b.Rows, r)
			return err
		})
	if err != nil {
		return b, err
	}
	err = each(ctx, db, `SELECT r.room, p.event, p.state, p.reason, p.landed FROM ledger_post p JOIN ledger_room r ON r.id = p.room`,
		func(scan func(...any) error) error {
			var p Post
			err := scan(&p.Room, &p.Event, &p.State, &p.Reason, &p.Landed)
			b.Posts = append(b.Posts, p)
			return err
		})
	if err != nil {
		return b, err
	}
	err = each(ctx, db, `SELECT r.room, g.kind, g.state, g.reason, g.bound FROM ledger_gap g JOIN ledger_room r ON r.id = g.room`,
		func(scan func(...any) error) error {
			var g Gap
			var bound int64
			err := scan(&g.Room, &g.Kind, &g.State, &g.Reason, &bound)
			g.Bound = moment(bound)
			b.Gaps = append(b.Gaps, g)
			return err
		})
	return b, err
}

// moment reads a time of a row: milliseconds; 0 and below is none.
func moment(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func each(ctx context.Context, db *sql.DB, query string, row func(scan func(...any) error) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
