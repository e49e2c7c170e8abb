package matrix

import (
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
	// session is the Megolm session that was read last, beside whether its row stands beside
	// another room's.
	session *crypto.InboundGroupSession
	beside  bool
	// sender is whose event is being decrypted, and taken the event that has its message index.
	sender id.UserID
	taken  id.EventID
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
	// taking is set while keys are taken in, as opposed to used.
	taking bool
	// vouched are the sessions for which somebody who may answers, of the keys in hand.
	vouched map[sessionPlace]bool
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
//   - a forwarded key counts where it was asked for (Matrix C-S API, "Key requests") and
//     comes from somebody who may give it (see mayForward);
//   - of two copies of a session the better one is kept, see [weigh];
//   - a session that is known in another room stays there, and gets a row beside it
//     in the new one: whoever is in a room can send its keys on under another room's
//     name, before the owner does, and must not keep the owner's key out.
func (g *guard) PutGroupSession(ctx context.Context, s *crypto.InboundGroupSession) error {
	g.sessions.drop(s.RoomID, s.ID())
	old, room, err := g.sessionAnywhere(ctx, s.ID())
	if err != nil {
		return noted(ctx, "read group session", err)
	}
	at, space := g.SQLCryptoStore, indexSpace(s, false)
	if old != nil && room != s.RoomID {
		at, space = g.beside(s.RoomID), indexSpace(s, true)
		if old, err = readable(at.GetGroupSession(ctx, s.RoomID, s.ID())); err != nil {
			return noted(ctx, "read group session", err)
		}
	}
	vouched := g.vouched[sessionPlace{s.RoomID, s.ID()}]
	if s.KeySource == id.KeySourceForward && !vouched {
		if vouched, err = g.mayForward(ctx, s); err != nil {
			return err
		}
	}
	proven := int64(-1)
	if old != nil && old.KeySource != id.KeySourceDirect {
		if proven, err = g.provenFrom(ctx, space, 0); err != nil {
			return noted(ctx, "look for a proof of the session", err)
		}
	}
	kept, refused := weigh(old, s, vouched, proven)
	if refused != "" {
		g.log.WarnContext(ctx, "megolm session refused", slog.String("reason", refused),
			slog.String("room_id", s.RoomID.String()), slog.String("session_id", s.ID().String()),
			slog.String("sender", s.SourceUser.String()))
		return fmt.Errorf("%w: %s", errKeyRefused, refused)
	}
	if kept == nil {
		return nil
	}
	return noted(ctx, "put group session", at.PutGroupSession(ctx, kept))
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

// GetGroupSession gives the session of an event. While keys are taken in there is none:
// the library would compare the copies by their indexes alone, and store a bogus ratchet
// as the owner's word. That is for PutGroupSession to decide, which sees both.
func (g *guard) GetGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	if g.taking {
		return nil, nil
	}
	s, beside := g.sessions.get(room, session)
	var err error
	if s == nil {
		if s, beside, err = g.storedSession(ctx, room, session); s != nil && err == nil {
			g.sessions.keep(room, session, s, beside)
		}
	}
	if c := callsOf(ctx); c != nil {
		c.session, c.beside = s, beside
	}
	return note(ctx, "get group session", s, err)
}

// storedSession reads a session from the database, whichever room took it first; beside tells
// that another one did.
func (g *guard) storedSession(ctx context.Context, room id.RoomID, session id.SessionID) (s *crypto.InboundGroupSession, beside bool, err error) {
	s, err = g.SQLCryptoStore.GetGroupSession(ctx, room, session)
	if s == nil && err == nil {
		s, err = g.beside(room).GetGroupSession(ctx, room, session)
		beside = s != nil
	}
	return s, beside, err
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
	if calls := callsOf(ctx); calls != nil {
		if may, err := g.mayWithhold(ctx, calls.sender, c.SenderKey); err != nil || !may {
			return err
		}
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
