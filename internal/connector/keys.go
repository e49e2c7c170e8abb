package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Imported is what came of a key file.
type Imported = matrix.Imported

// keysPage is how many sessions one request holds.
const keysPage = 1000

// keysAsked is what a request of keys asks for.
type keysAsked struct {
	Sessions matrix.KeyFile `json:"sessions"`
}

// KeyFileError is a key file that cannot be used.
type KeyFileError struct{ Err error }

// Error says what is wrong with it.
func (e *KeyFileError) Error() string { return "the key file cannot be read: " + e.Err.Error() }

// Unwrap gives what is wrong with it.
func (e *KeyFileError) Unwrap() error { return e.Err }

// Hint says what a person can do.
func (e *KeyFileError) Hint() string {
	switch {
	case errors.Is(e.Err, matrix.ErrKeyFilePhrase):
		return "give the passphrase that was chosen when the file was exported"
	case errors.Is(e.Err, matrix.ErrKeyFileRounds):
		return "export the file anew"
	}
	return "export the keys in a Matrix client: in Element, Settings, Encryption (or Security & Privacy), Export E2E room keys"
}

// ImportKeys takes the sessions of a key file into the store of the settings: through the
// connector that runs on it or, where none does, by itself. Messages that they open are
// imported afterwards.
func ImportKeys(ctx context.Context, s *config.Config, text []byte, passphrase string) (Imported, error) {
	f, err := matrix.ReadKeyFile(text, passphrase)
	if err != nil {
		return Imported{}, &KeyFileError{err}
	}
	desk, err := OpenDesk(ctx, s, nil)
	if err != nil {
		return Imported{}, err
	}
	defer desk.Close() //nolint:errcheck // nothing depends on it
	var sum Imported
	for rest := f; len(rest) > 0; {
		page := rest[:min(len(rest), keysPage)]
		one, err := desk.importKeys(ctx, page)
		if errors.Is(err, control.ErrNobody) {
			one, err = importAside(ctx, s, rest)
			sum.Add(one)
			return sum, err
		}
		if err != nil {
			return sum, err
		}
		sum.Add(one)
		rest = rest[len(page):]
	}
	return sum, nil
}

// importKeys has the running connector take a page of sessions in.
func (d *Desk) importKeys(ctx context.Context, page matrix.KeyFile) (sum Imported, err error) {
	if err := d.Wake(ctx); err != nil {
		return sum, err
	}
	err = d.ask(ctx, request.KindKeys, keysAsked{page}, &sum)
	return sum, err
}

// RequestError is a request that was not carried out.
type RequestError struct {
	State   request.State
	Failure request.Failure
}

// Error says why not.
func (e *RequestError) Error() string {
	if e.State == request.Withdrawn {
		return "the request was withdrawn"
	}
	return "the running connector: " + e.Failure.Error
}

// Hint says what a person can do.
func (e *RequestError) Hint() string { return e.Failure.Hint }

// carryKeys takes the sessions of a request in.
func (c *Connector) carryKeys(ctx context.Context, r request.Request) (more bool, err error) {
	var asked keysAsked
	if err := request.Into(r.Asks, &asked); err != nil {
		return false, err
	}
	sum, err := c.account.ImportKeys(ctx, asked.Sessions)
	if err != nil {
		return false, err
	}
	return false, c.requests.Finish(ctx, r.ID, sum)
}

// importAside takes sessions in without a running connector, and reads what they open.
func importAside(ctx context.Context, s *config.Config, f matrix.KeyFile) (sum Imported, err error) {
	st, err := store.Open(ctx, store.Config{Path: s.Matrix.StorePath, Key: []byte(s.Matrix.StoreKey.Reveal())})
	if err != nil {
		return sum, fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	unlock, err := st.Lock("connector")
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	l := newRules(s, time.Now()).ledger(ledger.Config{Store: st})
	if err := l.Open(ctx); err != nil {
		return sum, fmt.Errorf("open ledger: %w", err)
	}
	account, err := matrix.New(matrix.Config{
		Homeserver: string(s.Matrix.Server), UserID: id.UserID(s.Matrix.UserID), Store: st, Journal: l,
	})
	if err != nil {
		return sum, err
	}
	if err := account.OpenOffline(ctx); err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, account.Close()) }()
	if sum, err = account.ImportKeys(ctx, f); err != nil {
		return sum, err
	}
	for {
		if n, err := account.RetryPage(ctx, keyPage); err != nil || n == 0 {
			return sum, err
		}
	}
}

// ExportKeys gives all sessions in the store of the settings as a key file, and how many
// they are. It works beside a running connector.
func ExportKeys(ctx context.Context, s *config.Config, passphrase string) (text []byte, n int, err error) {
	seen, err := store.Look(s.Matrix.StorePath)
	if err != nil {
		return nil, 0, fmt.Errorf("look at store: %w", err)
	}
	if !seen.Database {
		return nil, 0, &UnseenError{Path: s.Matrix.StorePath}
	}
	st, err := store.OpenReadOnly(ctx, store.Config{Path: s.Matrix.StorePath, Key: []byte(s.Matrix.StoreKey.Reveal())})
	if errors.Is(err, store.ErrEmpty) {
		return nil, 0, &UnseenError{Path: s.Matrix.StorePath}
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	f, err := matrix.ExportKeys(ctx, st, id.UserID(s.Matrix.UserID))
	if errors.Is(err, matrix.ErrNoAccount) {
		return nil, 0, &UnseenError{Path: s.Matrix.StorePath}
	}
	if err != nil {
		return nil, 0, err
	}
	text, err = f.Write(passphrase)
	return text, len(f), err
}
