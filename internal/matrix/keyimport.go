package matrix

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Imported is what came of a list of sessions.
type Imported struct {
	Sessions   int `json:"sessions"`   // in the list
	Taken      int `json:"taken"`      // the store has them now: they are new, or no worse than what it had
	Refused    int `json:"refused"`    // they do not agree with a session that is known
	Unreadable int `json:"unreadable"` // they are no sessions
}

// Add sums up.
func (i *Imported) Add(more Imported) {
	i.Sessions += more.Sessions
	i.Taken += more.Taken
	i.Refused += more.Refused
	i.Unreadable += more.Unreadable
}

// importPage is how many sessions are taken in within one transaction.
const importPage = 200

// ImportKeys takes the sessions of a key file in, in small transactions; events that wait
// for them are tried again. It makes no request. Taking a file in twice changes nothing.
func (a *Account) ImportKeys(ctx context.Context, f KeyFile) (Imported, error) {
	var sum Imported
	for len(f) > 0 {
		page := f[:min(len(f), importPage)]
		f = f[len(page):]
		one, err := a.importSessions(ctx, page, id.KeySourceImport)
		if err != nil {
			return sum, fmt.Errorf("import keys: %w", err)
		}
		sum.Add(one)
	}
	return sum, nil
}

func (a *Account) importSessions(ctx context.Context, page KeyFile, source id.KeySource) (sum Imported, err error) {
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		sum = Imported{Sessions: len(page)}
		for _, s := range page {
			in, err := readSession(s, source, a.now())
			if err != nil {
				sum.Unreadable++
				continue
			}
			taken, err := m.take(ctx, in, true)
			if err != nil {
				return err
			}
			if taken {
				sum.Taken++
			} else {
				sum.Refused++
			}
		}
		return a.journal.Record(ctx, timeline.Batch{Keys: m.keysReceived()})
	})
	return sum, err
}

// ErrNoAccount is what a store answers in which no account has logged in.
var ErrNoAccount = errors.New("no account has logged in to this store yet")

// ExportKeys gives all sessions of the account that a store holds. The store may be open
// for reading, beside a running connector.
func ExportKeys(ctx context.Context, s *store.Store, user id.UserID) (KeyFile, error) {
	there, err := s.DB().TableExists(ctx, "crypto_megolm_inbound_session")
	if err != nil {
		return nil, fmt.Errorf("export keys: %w", err)
	} else if !there {
		return nil, ErrNoAccount
	}
	a := NewProbe(Config{UserID: user, Store: s}).account
	if found, err := a.loadLogin(ctx); err != nil {
		return nil, fmt.Errorf("export keys: %w", err)
	} else if !found {
		return nil, ErrNoAccount
	}
	return a.exportKeys(ctx)
}

func (a *Account) exportKeys(ctx context.Context) (KeyFile, error) {
	places, err := a.sessionRows(ctx, "ORDER BY room_id, session_id")
	if err != nil {
		return nil, fmt.Errorf("export keys: %w", err)
	}
	f := make(KeyFile, 0, len(places))
	for _, p := range places {
		in, err := a.readRow(ctx, p)
		if err != nil {
			return nil, err
		}
		s, err := exportSession(in)
		if err != nil {
			return nil, err
		}
		f = append(f, s)
	}
	return f, nil
}

// exportSession exports a session from its first known index on.
func exportSession(in *crypto.InboundGroupSession) (crypto.ExportedSession, error) {
	key, err := in.Internal.Export(in.Internal.FirstKnownIndex())
	if err != nil {
		return crypto.ExportedSession{}, fmt.Errorf("export session %s: %w", in.ID(), err)
	}
	chains := in.ForwardingChains
	if chains == nil {
		chains = []string{}
	}
	return crypto.ExportedSession{
		Algorithm: id.AlgorithmMegolmV1, RoomID: in.RoomID, SenderKey: in.SenderKey, SessionID: in.ID(), SessionKey: string(key),
		SenderClaimedKeys: crypto.SenderClaimedKeys{Ed25519: in.SigningKey}, ForwardingChains: &chains, SharedHistory: in.SharedHistory,
	}, nil
}
