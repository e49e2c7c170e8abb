package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Bounds of room history bundles: anybody may send one, and it is JSON of their making.
const (
	maxBundle        = 32 << 20 // bytes; a session takes about 400
	bundlesOfSender  = 20       // that wait to be fetched
	bundlesWaiting   = 200
	bundleAfter      = 24 * time.Hour     // between an invite and its bundle, whichever comes first
	bundleKept       = 7 * 24 * time.Hour // one whose invite is not accepted
	bundleAttempts   = 8
	bundleFirstPause = time.Minute // doubles
)

// bundle is an offer to read a room's history with the keys of who invited the bot (Matrix
// C-S API v1.19, "Sharing keys between users"; MSC4268).
type bundle struct {
	row      int64
	room     id.RoomID
	sender   id.UserID
	key      id.SenderKey // of the device that offers
	file     event.EncryptedFileInfo
	received time.Time
	attempts int
}

func placeBundle(room id.RoomID, sender id.UserID) string {
	return "matrix_bundle file " + room.String() + " " + sender.String()
}

// offered notes a bundle in the transaction of the /sync that brought it. It is fetched
// later: its invite may come after it, and be accepted later still.
func (a *Account) offered(ctx context.Context, sender id.UserID, key id.SenderKey, offer *event.RoomKeyBundleEventContent) error {
	if len(offer.RoomID) == 0 || len(offer.RoomID) > maxID || offer.RoomID[0] != '!' || key == "" {
		return nil
	}
	file, err := json.Marshal(offer.File)
	if err != nil || len(file) > timeline.MaxKeyBytes+2*maxID {
		return nil //nolint:nilerr // it costs itself only
	}
	sealed, err := a.store.Seal(file, placeBundle(offer.RoomID, sender))
	if err != nil {
		return fmt.Errorf("seal room history bundle: %w", err)
	}
	_, err = a.store.DB().Exec(ctx, `INSERT INTO matrix_bundle (room_id, sender, sender_key, file, received)
		SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM matrix_bundle WHERE sender=$2) < $6 AND (SELECT count(*) FROM matrix_bundle) < $7`,
		offer.RoomID, sender, key, sealed, a.now().UnixMilli(), bundlesOfSender, bundlesWaiting)
	if err != nil {
		return fmt.Errorf("note room history bundle: %w", err)
	}
	return nil
}

// FetchBundle takes in the keys of one room history bundle that is due. welcome says whose
// invites are accepted: only who invited the bot may share a room's history with it, from
// a device that its owner has signed. more is true where another one is due.
func (a *Account) FetchBundle(ctx context.Context, welcome func(id.UserID) bool) (more bool, err error) {
	b, err := a.dueBundle(ctx)
	if err != nil || b == nil {
		return false, err
	}
	sum, err := a.fetchBundle(ctx, *b, welcome)
	if why, ok := errors.AsType[*declinedError](err); ok {
		a.log.WarnContext(ctx, "a room history bundle is not taken", slog.String("room_id", b.room.String()),
			slog.String("sender", b.sender.String()), slog.String("reason", why.Reason))
		return true, a.forgetBundle(ctx, *b)
	}
	if errors.Is(err, errNotYet) {
		_, err := a.store.DB().Exec(ctx, "UPDATE matrix_bundle SET due=$2 WHERE id=$1", b.row, a.now().Add(bundleFirstPause).UnixMilli())
		return true, err
	}
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		pause := bundleFirstPause << min(b.attempts, bundleAttempts)
		_, noted := a.store.DB().Exec(ctx, "UPDATE matrix_bundle SET attempts=attempts+1, due=$2 WHERE id=$1", b.row, a.now().Add(pause).UnixMilli())
		return false, errors.Join(fmt.Errorf("fetch room history bundle: %w", err), noted)
	}
	a.log.InfoContext(ctx, "keys of a room's history were taken from who invited the bot", slog.String("room_id", b.room.String()),
		slog.String("sender", b.sender.String()), slog.Int("count", sum.Taken))
	return true, a.forgetBundle(ctx, *b)
}

func (a *Account) dueBundle(ctx context.Context) (*bundle, error) {
	var b bundle
	var sealed []byte
	var received int64
	err := a.store.DB().QueryRow(ctx, `SELECT id, room_id, sender, sender_key, file, received, attempts FROM matrix_bundle WHERE due<=$1 ORDER BY due, id LIMIT 1`,
		a.now().UnixMilli()).Scan(&b.row, &b.room, &b.sender, &b.key, &sealed, &received, &b.attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("look for room history bundles: %w", err)
	}
	b.received = time.UnixMilli(received)
	file, err := a.store.Unseal(sealed, placeBundle(b.room, b.sender))
	if err == nil {
		err = json.Unmarshal(file, &b.file)
	}
	if err != nil {
		return nil, errors.Join(errors.New("a room history bundle is damaged in the store"), a.forgetBundle(ctx, b))
	}
	return &b, nil
}

func (a *Account) forgetBundle(ctx context.Context, b bundle) error {
	if _, err := a.store.DB().Exec(ctx, "DELETE FROM matrix_bundle WHERE id=$1", b.row); err != nil {
		return fmt.Errorf("forget room history bundle: %w", err)
	}
	return nil
}

// declinedError says why a bundle is not taken (closed set).
type declinedError struct{ Reason string }

func (e *declinedError) Error() string { return e.Reason }

var (
	errNotInvited = &declinedError{"its sender did not invite the bot within a day of it"}
	errUnwelcome  = &declinedError{"invites of its sender are not accepted"}
	errNotJoined  = &declinedError{"the bot has not joined the room"}
	errUnsigned   = &declinedError{"its sender's device is not signed by its owner"}
	errNoBundle   = &declinedError{"its file cannot be had, or is none"}
)

// errNotYet is a bundle that waits for the room to be joined.
var errNotYet = errors.New("the room is not joined yet")

func (a *Account) fetchBundle(ctx context.Context, b bundle, welcome func(id.UserID) bool) (Imported, error) {
	if err := a.mayShare(ctx, b, welcome); err != nil {
		return Imported{}, err
	}
	content, err := a.downloadBundle(ctx, b)
	if err != nil {
		return Imported{}, err
	}
	return a.takeBundle(ctx, b, content)
}

// mayShare decides whether the offer counts.
func (a *Account) mayShare(ctx context.Context, b bundle, welcome func(id.UserID) bool) error {
	var at int64
	err := a.store.DB().QueryRow(ctx, "SELECT at FROM matrix_inviter WHERE room_id=$1 AND sender=$2", b.room, b.sender).Scan(&at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if a.now().Sub(b.received) < bundleAfter {
			return errNotYet // the invite may still come
		}
		return errNotInvited
	case err != nil:
		return fmt.Errorf("look for the invite: %w", err)
	case b.received.Sub(time.UnixMilli(at)).Abs() > bundleAfter:
		return errNotInvited
	case !welcome(b.sender):
		return errUnwelcome
	}
	joined, err := a.has(ctx, "SELECT 1 FROM matrix_room WHERE room_id=$1 AND membership='join'", b.room)
	if err != nil {
		return err
	}
	if !joined {
		if a.now().Sub(b.received) < bundleKept {
			return errNotYet
		}
		return errNotJoined
	}
	signed, known, err := a.signedDevice(ctx, b.sender, b.key)
	if err != nil {
		return err
	}
	if !known && b.attempts < bundleAttempts {
		return errors.New("the sender's device is not known yet")
	}
	if !signed {
		return errUnsigned
	}
	return nil
}

// signedDevice reports whether a user's device is signed by its owner; it asks for the
// user's devices where this one is not known.
func (a *Account) signedDevice(ctx context.Context, user id.UserID, key id.SenderKey) (signed, known bool, err error) {
	look := func() error {
		return a.transact(ctx, func(ctx context.Context, m *machine) error {
			d, err := m.guard.FindDeviceByKey(ctx, user, key)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil || d == nil || d.Deleted {
				return err
			}
			known = true
			signed, err = m.guard.signedByOwner(ctx, d)
			return err
		})
	}
	if err := look(); err != nil || signed {
		return signed, known, err
	}
	answer, err := a.queryKeys(ctx, []id.UserID{user})
	if err != nil {
		return false, known, err
	}
	if err := a.transact(ctx, func(ctx context.Context, m *machine) error { return a.applyKeys(ctx, m, answer) }); err != nil {
		return false, known, err
	}
	err = look()
	return signed, known, err
}

// bundleContent is what a bundle's file holds.
type bundleContent struct {
	Keys     []json.RawMessage `json:"room_keys"`
	Withheld []json.RawMessage `json:"withheld"`
}

// downloadBundle fetches and opens the file. Nothing of it counts before its hash was
// compared.
func (a *Account) downloadBundle(ctx context.Context, b bundle) (*bundleContent, error) {
	uri, err := b.file.URL.Parse()
	if err != nil || !validMediaURI(uri) || b.file.PrepareForDecryption() != nil {
		return nil, errNoBundle // it is the sender's mistake
	}
	ctx, watch := watchIdle(ctx)
	defer watch.stop()
	res, err := a.download(ctx, uri)
	if err != nil {
		if Classify(err).Class == ClassPermanent || b.attempts >= bundleAttempts {
			return nil, errNoBundle
		}
		return nil, err
	}
	defer res.Body.Close()
	stream := b.file.DecryptStream(io.NopCloser(io.LimitReader(watch.reader(res.Body), maxBundle+1)))
	text, err := io.ReadAll(stream)
	if err != nil && b.attempts < bundleAttempts {
		return nil, errors.New("its file was cut off")
	}
	content := &bundleContent{}
	if len(text) > maxBundle || stream.Close() != nil || json.Unmarshal(text, content) != nil {
		return nil, errNoBundle
	}
	return content, nil
}

// takeBundle takes in what a bundle holds for its room, page by page.
func (a *Account) takeBundle(ctx context.Context, b bundle, content *bundleContent) (sum Imported, err error) {
	for keys := content.Keys; len(keys) > 0; {
		page := keys[:min(len(keys), importPage)]
		keys = keys[len(page):]
		one := Imported{Sessions: len(page)}
		err := a.transact(ctx, func(ctx context.Context, m *machine) error {
			one = Imported{Sessions: len(page)}
			for _, raw := range page {
				var s crypto.ExportedSession
				if json.Unmarshal(raw, &s) != nil || s.RoomID != b.room {
					one.Unreadable++
					continue
				}
				in, err := readSession(s, id.KeySourceForward, a.now())
				if err != nil {
					one.Unreadable++
					continue
				}
				in.SourceUser, in.ForwardingChains = b.sender, []string{b.key.String()}
				taken, err := m.take(ctx, in, true)
				if err != nil {
					return err
				}
				if taken {
					one.Taken++
				} else {
					one.Refused++
				}
			}
			return a.journal.Record(ctx, timeline.Batch{Keys: m.keysReceived()})
		})
		if err != nil {
			return sum, err
		}
		sum.Add(one)
	}
	return sum, a.withheldInBundle(ctx, b, content.Withheld)
}

// withheldInBundle notes which sessions of the room's history are refused, and why.
func (a *Account) withheldInBundle(ctx context.Context, b bundle, list []json.RawMessage) error {
	if len(list) == 0 {
		return nil
	}
	return a.transact(ctx, func(ctx context.Context, m *machine) error {
		var batch timeline.Batch
		for _, raw := range list[:min(len(list), 10*importPage)] {
			var w event.RoomKeyWithheldEventContent
			if json.Unmarshal(raw, &w) != nil || w.RoomID != b.room || w.SessionID == "" || len(w.SessionID) > maxID || knownCodes[w.Code] == "" {
				continue
			}
			old, _, err := m.guard.storedSession(ctx, w.RoomID, w.SessionID)
			if old, err = readable(old, err); err != nil {
				return err
			}
			if old == nil {
				batch.Keys = append(batch.Keys, timeline.KeyRef{Room: w.RoomID, Session: w.SessionID, Withheld: knownCodes[w.Code]})
			}
		}
		return a.journal.Record(ctx, batch)
	})
}
