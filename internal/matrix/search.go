package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// A key is looked for a while after it was missed, because it nearly always comes by
// itself a moment later; then again after 10 min, 1 h, 6 h, and every day.
const searchAfter = 15 * time.Second

var searchAgain = []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// searchPage is how many sessions are looked for in one turn.
const searchPage = 20

// search is a session that events wait for.
type search struct {
	timeline.KeyNeed
	version   string // of the backup that was asked
	attempts  int
	request   string
	requested int64
}

// seek notes that the key of a session is missing. It runs in the transaction in which that
// was noticed.
func (a *Account) seek(ctx context.Context, room id.RoomID, session id.SessionID) error {
	if session == "" || len(session) > maxID {
		return nil
	}
	_, err := a.store.DB().Exec(ctx, "INSERT INTO matrix_key_search (room_id, session_id, due) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		room, session, a.now().Add(searchAfter).UnixMilli())
	if err != nil {
		return fmt.Errorf("note missing key: %w", err)
	}
	return nil
}

// SearchKeys looks for keys that events wait for: in the key backup, and with the
// account's other verified devices. It takes in what it finds, for just those sessions; more
// is true while others are due. [Account.Backup] comes first.
//
// An error [Classify] calls permanent means that the backup is gone or is another one.
func (a *Account) SearchKeys(ctx context.Context) (more bool, err error) {
	if err := a.seedSearch(ctx); err != nil {
		return false, fmt.Errorf("search keys: %w", err)
	}
	due, err := a.dueSearches(ctx)
	if err != nil {
		return false, fmt.Errorf("search keys: %w", err)
	}
	b, err := a.loadBackup(ctx)
	if err != nil {
		return false, err
	}
	var wanted []search
	for _, s := range due {
		waits, err := a.journal.AwaitsKey(ctx, s.Room, s.Session)
		if err != nil {
			return false, fmt.Errorf("search keys: %w", err)
		}
		if !waits {
			if err := a.endSearch(ctx, s); err != nil {
				return false, err
			}
			continue
		}
		if err := a.searchBackup(ctx, b, &s); err != nil {
			return false, errors.Join(fmt.Errorf("search keys in the backup: %w", err), a.searchLater(ctx, s))
		}
		wanted = append(wanted, s)
	}
	if err := a.askDevices(ctx, wanted); err != nil {
		return false, fmt.Errorf("ask own devices for keys: %w", err)
	}
	return len(due) == searchPage, nil
}

// SearchAgain has all keys that are missing looked for at once: somebody asks for it, who may
// know why they can be had by now.
func (a *Account) SearchAgain(ctx context.Context) error {
	if _, err := a.store.DB().Exec(ctx, "UPDATE matrix_key_search SET due=0"); err != nil {
		return fmt.Errorf("search keys again: %w", err)
	}
	return nil
}

// seedSearch lists the sessions that events wait for since before this program kept a list,
// once a process.
func (a *Account) seedSearch(ctx context.Context) error {
	if a.seeded.Load() {
		return nil
	}
	var after timeline.KeyNeed
	for {
		page, err := a.journal.Needed(ctx, after, importPage)
		if err != nil {
			return err
		}
		err = a.store.Do(ctx, func(ctx context.Context) error {
			for _, n := range page {
				if err := a.seek(ctx, n.Room, n.Session); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(page) < importPage {
			a.seeded.Store(true)
			return nil
		}
		after = page[len(page)-1]
	}
}

func (a *Account) dueSearches(ctx context.Context) ([]search, error) {
	rows, err := a.store.DB().Query(ctx, `SELECT room_id, session_id, version, attempts, request_id, requested_at FROM matrix_key_search
		WHERE due<=$1 ORDER BY due LIMIT $2`, a.now().UnixMilli(), searchPage)
	return dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (s search, err error) {
		return s, row.Scan(&s.Room, &s.Session, &s.version, &s.attempts, &s.request, &s.requested)
	}, err).AsList()
}

// NextSearch is when the next key is looked for; zero when none is.
func (a *Account) NextSearch(ctx context.Context) (time.Time, error) {
	var due int64
	if err := a.store.DB().QueryRow(ctx, "SELECT coalesce(min(due), -1) FROM matrix_key_search").Scan(&due); err != nil {
		return time.Time{}, fmt.Errorf("look for missing keys: %w", err)
	}
	if due < 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(due), nil
}

// Searching reports whether a key that a backup may hold has not been looked for yet.
func (a *Account) Searching(ctx context.Context) (bool, error) {
	b, err := a.loadBackup(ctx)
	if err != nil || b.version == "" {
		return false, err
	}
	return a.has(ctx, "SELECT 1 FROM matrix_key_search WHERE version<>$1 OR attempts=0", b.version)
}

// endSearch forgets a session that no event waits for any more, and tells who was asked.
func (a *Account) endSearch(ctx context.Context, s search) error {
	if s.request != "" {
		if err := a.cancelRequest(ctx, s.request); err != nil {
			return fmt.Errorf("cancel key request: %w", err)
		}
	}
	_, err := a.store.DB().Exec(ctx, "DELETE FROM matrix_key_search WHERE room_id=$1 AND session_id=$2", s.Room, s.Session)
	if err != nil {
		return fmt.Errorf("end search: %w", err)
	}
	return nil
}

// searchLater puts a session behind the others: what fails for one of them for ever must not
// keep the others from being looked for.
func (a *Account) searchLater(ctx context.Context, s search) error {
	_, err := a.store.DB().Exec(context.WithoutCancel(ctx), "UPDATE matrix_key_search SET due=$3 WHERE room_id=$1 AND session_id=$2",
		s.Room, s.Session, a.now().Add(searchAgain[0]).UnixMilli())
	if err != nil {
		return fmt.Errorf("put search off: %w", err)
	}
	return nil
}

// searchBackup asks the backup for one session.
func (a *Account) searchBackup(ctx context.Context, b keyBackup, s *search) error {
	if b.version != s.version {
		s.version, s.attempts = b.version, 0
	}
	var found *crypto.ExportedSession
	if b.version != "" {
		var err error
		if found, err = a.askBackup(ctx, b, s.Room, s.Session); err != nil {
			return err
		}
	}
	due := a.now().Add(searchAgain[min(s.attempts, len(searchAgain)-1)]).UnixMilli()
	s.attempts++
	return a.transact(ctx, func(ctx context.Context, m *machine) error {
		if _, err := a.store.DB().Exec(ctx, `UPDATE matrix_key_search SET version=$3, attempts=$4, due=$5 WHERE room_id=$1 AND session_id=$2`,
			s.Room, s.Session, s.version, s.attempts, due); err != nil {
			return fmt.Errorf("note search: %w", err)
		}
		if found == nil {
			return nil
		}
		in, err := readSession(*found, id.KeySourceBackup, a.now())
		if err != nil {
			a.log.WarnContext(ctx, "a key in the backup cannot be read", slog.String("room_id", s.Room.String()), slog.String("session_id", s.Session.String()))
			return nil //nolint:nilerr // the cause may quote the key
		}
		in.KeyBackupVersion = id.KeyBackupVersion(b.version)
		if _, err := m.take(ctx, in, true); err != nil {
			return err
		}
		return a.journal.Record(ctx, timeline.Batch{Keys: m.keysReceived()})
	})
}

// askBackup gives what the backup holds for one session; nil for none, and for what does
// not open.
func (a *Account) askBackup(ctx context.Context, b keyBackup, room id.RoomID, session id.SessionID) (*crypto.ExportedSession, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	body, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, MaxAttempts: 1,
		URL: a.client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "room_keys", "keys", room.String(), session.String()}, map[string]string{"version": b.version}),
	})
	if errors.Is(err, mautrix.MNotFound) {
		return nil, nil // also where the backup itself is gone: then saving tells
	} else if err != nil {
		return nil, err
	}
	var answer struct {
		Data backup.EncryptedSessionData[backup.MegolmSessionData] `json:"session_data"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Data.Ephemeral.PublicKey == nil {
		return nil, nil // anybody who knows the public key could have put it there
	}
	data, err := answer.Data.Decrypt(b.key)
	if err != nil || data == nil {
		return nil, nil // as above
	}
	return &crypto.ExportedSession{
		Algorithm: data.Algorithm, RoomID: room, SenderKey: data.SenderKey, SessionID: session, SessionKey: data.SessionKey,
		SenderClaimedKeys: crypto.SenderClaimedKeys{Ed25519: data.SenderClaimedKeys.Ed25519},
		ForwardingChains:  &data.ForwardingKeyChain, SharedHistory: data.SharedHistory,
	}, nil
}
