package matrix

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// sessionRow names a Megolm session in the database.
type sessionRow struct {
	account string // of the crypto tables: rows beside another room's have a longer one
	room    id.RoomID
	session id.SessionID
	pickle  []byte
}

// sessionRows lists the account's sessions, those that stand beside another room's as
// well, but none that has proven to be wrong. The rest of the query comes after its WHERE.
func (a *Account) sessionRows(ctx context.Context, rest string, args ...any) (list []sessionRow, err error) {
	rows, err := a.store.DB().Query(ctx, `SELECT account_id, room_id, session_id, session FROM crypto_megolm_inbound_session
		WHERE session IS NOT NULL AND key_source<>'`+string(keySourceDoubted)+`' AND (account_id=$1 OR substr(account_id, 1, length($1)+1)=$1||' ') `+rest, append([]any{a.self().User}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	for rows.Next() {
		var r sessionRow
		if err := rows.Scan(&r.account, &r.room, &r.session, &r.pickle); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	return list, nil
}

// readRow opens one of them.
func (a *Account) readRow(ctx context.Context, r sessionRow) (*crypto.InboundGroupSession, error) {
	in, err := crypto.NewSQLCryptoStore(a.store.DB(), nil, r.account, a.self().Device, a.self().PickleKey).GetGroupSession(ctx, r.room, r.session)
	if err == nil && in == nil {
		err = errors.New("it is gone")
	}
	if err != nil {
		return nil, fmt.Errorf("read session %s: %w", r.session, err)
	}
	return in, nil
}
