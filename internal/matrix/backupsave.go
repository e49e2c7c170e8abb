package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/id"
)

// savedSession is a session on its way into the backup.
type savedSession struct {
	sessionRow
	data  backup.MegolmSessionData
	first uint32
	hops  int // how often it was passed on
}

// SaveKeys uploads up to limit sessions that the backup does not hold, or holds a worse
// copy of, and gives how many; 0 means that all is saved, or that there is no backup.
//
// An error [Classify] calls permanent means that the backup is gone or is another one:
// then [Account.Backup] has to look.
func (a *Account) SaveKeys(ctx context.Context, limit int) (n int, err error) {
	b, err := a.loadBackup(ctx)
	if err != nil || b.version == "" || !a.keysUnsaved.Swap(false) {
		return 0, err
	}
	defer func() {
		if err != nil || n == limit {
			a.keysUnsaved.Store(true)
		}
	}()
	var page []savedSession
	err = a.transact(ctx, func(ctx context.Context, _ *machine) error {
		page, err = a.unsaved(ctx, b.version, limit)
		return err
	})
	if err != nil || len(page) == 0 {
		return 0, wrapSave(err)
	}
	if err := a.putKeys(ctx, b, page); err != nil {
		return 0, wrapSave(err)
	}
	err = a.store.Do(ctx, func(ctx context.Context) error {
		for _, s := range page {
			// A copy with an earlier index may have come meanwhile: then it is not saved yet.
			if _, err := a.store.DB().Exec(ctx, `UPDATE crypto_megolm_inbound_session SET key_backup_version=$1
				WHERE session_id=$2 AND account_id=$3 AND session=$4`, b.version, s.session, s.account, s.pickle); err != nil {
				return err
			}
		}
		return nil
	})
	return len(page), wrapSave(err)
}

// Saving reports whether the account has a key backup that lacks a session.
func (a *Account) Saving(ctx context.Context) (bool, error) {
	b, err := a.loadBackup(ctx)
	if err != nil || b.version == "" {
		return false, err
	}
	rows, err := a.sessionRows(ctx, "AND key_backup_version<>$2 LIMIT 1", b.version)
	if len(rows) > 0 {
		a.keysUnsaved.Store(true) // whoever asks waits for it
	}
	return len(rows) > 0, err
}

func wrapSave(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("save keys in the backup: %w", err)
}

// unsaved reads sessions that a version of the backup does not hold.
func (a *Account) unsaved(ctx context.Context, version string, limit int) ([]savedSession, error) {
	rows, err := a.sessionRows(ctx, "AND key_backup_version<>$2 LIMIT $3", version, limit)
	if err != nil {
		return nil, err
	}
	page := make([]savedSession, 0, len(rows))
	for _, r := range rows {
		in, err := a.readRow(ctx, r)
		if err != nil {
			return nil, err
		}
		out, err := exportSession(in)
		if err != nil {
			return nil, err
		}
		page = append(page, savedSession{
			sessionRow: r, first: in.Internal.FirstKnownIndex(), hops: len(in.ForwardingChains),
			data: backup.MegolmSessionData{
				Algorithm: out.Algorithm, ForwardingKeyChain: *out.ForwardingChains, SenderKey: out.SenderKey,
				SenderClaimedKeys: backup.SenderClaimedKeys{Ed25519: out.SenderClaimedKeys.Ed25519},
				SessionKey:        out.SessionKey, SharedHistory: in.SharedHistory,
			},
		})
	}
	return page, nil
}

// putKeys encrypts a page of sessions for the backup and uploads it.
func (a *Account) putKeys(ctx context.Context, b keyBackup, page []savedSession) error {
	type sessionData struct {
		First    uint32 `json:"first_message_index"`
		Hops     int    `json:"forwarded_count"`
		Verified bool   `json:"is_verified"`
		Data     any    `json:"session_data"`
	}
	type roomData struct {
		Sessions map[id.SessionID]sessionData `json:"sessions"`
	}
	rooms := map[id.RoomID]roomData{}
	for _, s := range page {
		sealed, err := backup.EncryptSessionData(b.key, s.data)
		if err != nil {
			return fmt.Errorf("encrypt session %s: %w", s.session, err)
		}
		if rooms[s.room].Sessions == nil {
			rooms[s.room] = roomData{Sessions: map[id.SessionID]sessionData{}}
		}
		rooms[s.room].Sessions[s.session] = sessionData{First: s.first, Hops: s.hops, Data: sealed}
	}
	body, err := json.Marshal(map[string]any{"rooms": rooms})
	if err != nil {
		return fmt.Errorf("write sessions: %w", err)
	}
	ctx, cancel := within(ctx)
	defer cancel()
	_, err = a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPut, URL: a.client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "room_keys", "keys"}, map[string]string{"version": b.version}),
		RequestJSON: json.RawMessage(body), SensitiveContent: true, MaxAttempts: 1,
	})
	return err
}
