package matrix

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// storeCalls watches the crypto store calls of one transaction.
type storeCalls struct {
	mu    sync.Mutex
	first error // first error of any call

	// Of the to-device message in hand: whether its hash was looked up (an Olm
	// decryption was tried), was known (a repeat), was stored (it decrypted).
	looked, repeated, stored bool
	// session is the Megolm session that was read last.
	session *crypto.InboundGroupSession
}

type storeCallsKey struct{}

// attach makes the calls that are made with the returned context count.
func (c *storeCalls) attach(ctx context.Context) context.Context {
	return context.WithValue(ctx, storeCallsKey{}, c)
}

func callsOf(ctx context.Context) *storeCalls {
	c, _ := ctx.Value(storeCallsKey{}).(*storeCalls)
	return c
}

// nextMessage forgets what was noticed of the to-device message before.
func (c *storeCalls) nextMessage() { c.looked, c.repeated, c.stored = false, false, false }

func (c *storeCalls) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

// errKeyRefused is what the library is told about a Megolm session that the guard
// does not let in. It does not fail the transaction.
var errKeyRefused = errors.New("megolm session refused")

// guard is the crypto store as the machine sees it. It remembers the first error
// of any call of a transaction, because the library logs such errors and drops the
// to-device message that they concern; and it refuses Megolm sessions that could
// hide or replace a good one (see PutGroupSession).
//
// A session that does not exist and one that is withheld are no errors.
type guard struct {
	*crypto.SQLCryptoStore
	own id.UserID
	log *slog.Logger
	// renew names the device whose Olm session is to be made anew: the machine is told
	// that there is none.
	renew id.SenderKey
	// rows are the store, for statements that run for every event.
	rows       *store.Store
	sessions   sessionCache
	identities identityCache
}

var _ crypto.Store = (*guard)(nil)

func noted(ctx context.Context, call string, err error) error {
	if err == nil || errors.Is(err, crypto.ErrGroupSessionWithheld) || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if c := callsOf(ctx); c != nil {
		c.mu.Lock()
		if c.first == nil {
			c.first = fmt.Errorf("crypto store: %s: %w", call, err)
		}
		c.mu.Unlock()
	}
	return err
}

func note[T any](ctx context.Context, call string, value T, err error) (T, error) {
	return value, noted(ctx, call, err)
}

// PutGroupSession stores a Megolm session, unless it could do harm. mautrix takes
// any m.forwarded_room_key from anybody, and the row of a session is found by its
// id alone, so that such a key could move a session to another room or replace its
// ratchet by a bogus one. Hence:
//   - a forwarded key for a session that is not known is refused: the bot asks
//     nobody for keys (Matrix C-S API, "Key requests": only requested ones count);
//   - both ratchets must give the same key at the later of their first indexes. That
//     lets a genuine copy with an earlier index in, from wherever it comes;
//   - who shared a session first stays its owner, whoever sends a copy later;
//   - a session that is known in another room stays there, and gets a row beside it
//     in the new one: whoever is in a room can send its keys on under another room's
//     name, before the owner does, and must not keep the owner's key out.
func (g *guard) PutGroupSession(ctx context.Context, s *crypto.InboundGroupSession) error {
	g.sessions.drop(s.RoomID, s.ID())
	old, room, err := g.sessionAnywhere(ctx, s.ID())
	if err != nil {
		return noted(ctx, "read group session", err)
	}
	at := g.SQLCryptoStore
	if old != nil && room != s.RoomID {
		at = g.beside(s.RoomID)
		if old, err = readable(at.GetGroupSession(ctx, s.RoomID, s.ID())); err != nil {
			return noted(ctx, "read group session", err)
		}
	}
	refused := ""
	switch {
	case old == nil && s.KeySource == id.KeySourceForward:
		refused = "forwarded without being asked for"
	case old != nil && !sameRatchet(old, s):
		refused = "another ratchet than the known one"
	}
	if refused != "" {
		g.log.WarnContext(ctx, "megolm session refused", slog.String("reason", refused),
			slog.String("room_id", s.RoomID.String()), slog.String("session_id", s.ID().String()),
			slog.String("sender", s.SourceUser.String()))
		return fmt.Errorf("%w: %s", errKeyRefused, refused)
	}
	if old != nil && old.KeySource == id.KeySourceDirect {
		s.SenderKey, s.SigningKey = old.SenderKey, old.SigningKey
	}
	return noted(ctx, "put group session", at.PutGroupSession(ctx, s))
}

// beside is where sessions of a room stand that are known in another one as well:
// the crypto tables tell accounts apart, not rooms.
func (g *guard) beside(room id.RoomID) *crypto.SQLCryptoStore {
	return crypto.NewSQLCryptoStore(g.DB, nil, g.AccountID+" "+room.String(), g.DeviceID, g.PickleKey)
}

// readable makes nothing of a session that is withheld.
func readable(s *crypto.InboundGroupSession, err error) (*crypto.InboundGroupSession, error) {
	if errors.Is(err, crypto.ErrGroupSessionWithheld) {
		return nil, nil
	}
	return s, err
}

// sessionAnywhere finds a session whatever its room; nil for none and for one that
// is withheld.
func (g *guard) sessionAnywhere(ctx context.Context, session id.SessionID) (*crypto.InboundGroupSession, id.RoomID, error) {
	var room id.RoomID
	err := g.DB.QueryRow(ctx,
		"SELECT room_id FROM crypto_megolm_inbound_session WHERE session_id=$1 AND account_id=$2 AND session IS NOT NULL",
		session, g.AccountID).Scan(&room)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	s, err := readable(g.SQLCryptoStore.GetGroupSession(ctx, room, session))
	return s, room, err
}

// sameRatchet reports whether two sessions give the same key at the later of their
// first indexes, so that one is an earlier or later copy of the other.
func sameRatchet(a, b *crypto.InboundGroupSession) bool {
	at := max(a.Internal.FirstKnownIndex(), b.Internal.FirstKnownIndex())
	x, errX := a.Internal.Export(at)
	y, errY := b.Internal.Export(at)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (g *guard) GetGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	s, err := g.sessions.get(room, session), error(nil)
	if s == nil {
		if s, err = g.storedSession(ctx, room, session); s != nil && err == nil {
			g.sessions.keep(room, session, s)
		}
	}
	if c := callsOf(ctx); c != nil {
		c.session = s
	}
	return note(ctx, "get group session", s, err)
}

// storedSession reads a session from the database, whichever room took it first.
func (g *guard) storedSession(ctx context.Context, room id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	s, err := g.SQLCryptoStore.GetGroupSession(ctx, room, session)
	if s == nil && err == nil {
		s, err = g.beside(room).GetGroupSession(ctx, room, session)
	}
	return s, err
}

func (g *guard) GetOlmHash(ctx context.Context, hash [32]byte) (time.Time, error) {
	at, err := g.SQLCryptoStore.GetOlmHash(ctx, hash)
	if c := callsOf(ctx); c != nil {
		c.looked, c.repeated = true, !at.IsZero()
	}
	return note(ctx, "get olm hash", at, err)
}

func (g *guard) PutOlmHash(ctx context.Context, hash [32]byte, at time.Time) error {
	if c := callsOf(ctx); c != nil {
		c.stored = true
	}
	return noted(ctx, "put olm hash", g.SQLCryptoStore.PutOlmHash(ctx, hash, at))
}

// PutWithheldGroupSession stores a refusal. One without a session id (m.no_olm)
// concerns no event that could be looked up.
func (g *guard) PutWithheldGroupSession(ctx context.Context, c event.RoomKeyWithheldEventContent) error {
	if c.SessionID == "" || c.RoomID == "" {
		return nil
	}
	g.sessions.drop(c.RoomID, c.SessionID)
	return noted(ctx, "put withheld group session", g.SQLCryptoStore.PutWithheldGroupSession(ctx, c))
}

// HasSession is asked of the database in a way that shows its errors.
func (g *guard) HasSession(ctx context.Context, key id.SenderKey) bool {
	if key == g.renew {
		return false
	}
	s, err := g.GetLatestSession(ctx, key)
	return err == nil && s != nil
}
