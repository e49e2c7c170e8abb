package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// failedKept is how many failed Olm messages of one sender are kept: anybody can
// send garbage.
const failedKept = 200

// unwedgeInterval is the least time between two new Olm sessions that the account
// makes for one device.
const unwedgeInterval = time.Hour

// toDevice gives to-device messages to the machine, in their order. What it cannot
// decrypt becomes a row: the room key in it never comes again.
func (a *Account) toDevice(ctx context.Context, m *machine, raws []json.RawMessage) error {
	for _, raw := range raws {
		if err := a.toDeviceOne(ctx, m, raw); err != nil {
			return err
		}
	}
	return nil
}

func (a *Account) toDeviceOne(ctx context.Context, m *machine, raw json.RawMessage) error {
	var e struct {
		Type    string          `json:"type"`
		Sender  id.UserID       `json:"sender"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Sender == "" || e.Type == "" {
		a.log.WarnContext(ctx, "to-device message unreadable")
		return nil //nolint:nilerr // it costs itself only
	}
	kind := event.Type{Type: e.Type, Class: event.ToDeviceEventType}
	m.heardToDevice(e.Type, e.Sender, "", e.Content)
	switch kind {
	case event.ToDeviceEncrypted, event.ToDeviceRoomKeyWithheld, event.ToDeviceOrgMatrixRoomKeyWithheld:
	default:
		// Key and secret requests would start work of the library's own, or requests;
		// a reader gives nothing away. Room keys count only where they are encrypted.
		return nil
	}
	evt := &event.Event{Sender: e.Sender, Type: kind, Content: event.Content{VeryRaw: e.Content}}
	if err := evt.Content.ParseRaw(kind); err != nil {
		if kind == event.ToDeviceEncrypted {
			return a.failedOlm(ctx, e.Sender, senderKeyOf(e.Content), failedMalformed)
		}
		return nil
	}
	calls := callsOf(ctx)
	calls.nextMessage()
	calls.sender = e.Sender
	m.offer = nil
	if !a.handle(ctx, m, evt) {
		return a.failedOlm(ctx, e.Sender, senderKeyOf(e.Content), failedPanic)
	}
	if err := calls.err(); err != nil {
		return err
	}
	if refusal, ok := evt.Content.Parsed.(*event.RoomKeyWithheldEventContent); ok {
		m.withheld(e.Sender, refusal)
		return nil
	}
	if m.offer != nil {
		return a.offered(ctx, e.Sender, senderKeyOf(e.Content), m.offer)
	}
	if calls.looked && !calls.stored && !calls.repeated {
		return a.failedOlm(ctx, e.Sender, senderKeyOf(e.Content), failedOlmMessage)
	}
	return nil
}

// handle gives one message to the machine; a panic is the message's own end.
func (a *Account) handle(ctx context.Context, m *machine, evt *event.Event) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			ok = false
			// The stack names functions; the panic's text could hold what was received.
			a.log.ErrorContext(ctx, "to-device message broke its reader", slog.String("sender", evt.Sender.String()),
				slog.String("stack", string(debug.Stack())))
		}
	}()
	m.guard.taking = true
	defer func() { m.guard.taking = false }()
	if evt.Type != event.ToDeviceEncrypted {
		m.olm.HandleToDeviceEvent(ctx, evt)
		return true
	}
	// What the library has no use for it gives back: messages of verifications, which may
	// come encrypted as well.
	if rest := m.olm.HandleEncryptedEvent(ctx, evt); rest != nil {
		var device id.DeviceID
		if rest.SenderDevice != nil {
			device = rest.SenderDevice.DeviceID
		}
		m.heardToDevice(rest.Type.Type, rest.Sender, device, rest.Content.VeryRaw)
	}
	return true
}

// Reasons of failed Olm messages.
const (
	failedOlmMessage = "not_decrypted" // no session fits, or its ratchet does not
	failedMalformed  = "malformed"
	failedPanic      = "reader_broke"
)

func senderKeyOf(content json.RawMessage) id.SenderKey {
	var c struct {
		SenderKey id.SenderKey `json:"sender_key"`
	}
	if json.Unmarshal(content, &c) != nil || len(c.SenderKey) > 64 {
		return ""
	}
	return c.SenderKey
}

// failedOlm writes the row of a failed Olm message, and notes that its device wants
// a new session from us.
func (a *Account) failedOlm(ctx context.Context, sender id.UserID, key id.SenderKey, reason string) error {
	db := a.store.DB()
	if _, err := db.Exec(ctx, "INSERT INTO matrix_failed_olm (sender, sender_key, reason, at) VALUES ($1, $2, $3, $4)",
		sender, key, reason, a.now().UnixMilli()); err != nil {
		return fmt.Errorf("note failed olm message: %w", err)
	}
	if _, err := db.Exec(ctx, `DELETE FROM matrix_failed_olm WHERE sender=$1 AND id NOT IN
		(SELECT id FROM matrix_failed_olm WHERE sender=$1 ORDER BY id DESC LIMIT $2)`, sender, failedKept); err != nil {
		return fmt.Errorf("forget failed olm messages: %w", err)
	}
	a.log.WarnContext(ctx, "olm message not decrypted", slog.String("sender", sender.String()), slog.String("reason", reason))
	if key == "" || reason != failedOlmMessage {
		return nil
	}
	return a.wantSession(ctx, sender, key)
}

// wantedKept is how many devices of one sender may wait for a new session.
const wantedKept = 20

// wantSession notes that a device wants a new Olm session. A key can be made up, so
// that only the devices of those count whom the bot shares a room with; where their
// devices are not known yet, they are asked for.
func (a *Account) wantSession(ctx context.Context, sender id.UserID, key id.SenderKey) error {
	shares, err := a.has(ctx, "SELECT 1 FROM matrix_state WHERE type='m.room.member' AND state_key=$1", sender)
	if err != nil || !shares {
		return err
	}
	if _, err := a.store.DB().Exec(ctx, `
		INSERT INTO matrix_unwedge (sender, sender_key, wanted, sent_at)
		SELECT $1, $2, 1, 0 WHERE (SELECT count(*) FROM matrix_unwedge WHERE sender=$1) < $3
			OR EXISTS (SELECT 1 FROM matrix_unwedge WHERE sender=$1 AND sender_key=$2)
		ON CONFLICT (sender, sender_key) DO UPDATE SET wanted=1`, sender, key, wantedKept); err != nil {
		return fmt.Errorf("note broken olm session: %w", err)
	}
	known, err := a.has(ctx, "SELECT 1 FROM crypto_tracked_user WHERE user_id=$1 UNION ALL SELECT 1 FROM matrix_stale_user WHERE user_id=$1", sender)
	if err != nil || known {
		return err
	}
	_, err = a.store.DB().Exec(ctx, "INSERT INTO matrix_stale_user (user_id, since, attempts, due) VALUES ($1, $2, 0, $2)", sender, a.now().UnixMilli())
	if err != nil {
		return fmt.Errorf("note unknown sender: %w", err)
	}
	return nil
}

// keyless names the probable cause of a missing room key; empty where none is known.
func (a *Account) keyless(ctx context.Context, sender id.UserID, sent time.Time) (string, error) {
	var created int64
	err := a.store.DB().QueryRow(ctx, "SELECT coalesce(max(created_at), 0) FROM matrix_account WHERE user_id=$1", a.config.UserID).Scan(&created)
	if err != nil {
		return "", fmt.Errorf("read age of the device: %w", err)
	}
	if sent.UnixMilli() < created {
		return timeline.CauseBeforeDevice, nil
	}
	return a.failedOlmOf(ctx, sender)
}

// failedOlmOf tells of the newest failed Olm message of a sender: the probable
// cause of a missing room key. Empty for none.
func (a *Account) failedOlmOf(ctx context.Context, sender id.UserID) (string, error) {
	var reason string
	var at int64
	err := a.store.DB().QueryRow(ctx, "SELECT reason, at FROM matrix_failed_olm WHERE sender=$1 ORDER BY id DESC LIMIT 1", sender).
		Scan(&reason, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("read failed olm messages: %w", err)
	}
	return "failed olm message of the sender at " + time.UnixMilli(at).UTC().Format(time.RFC3339) + ": " + reason, nil
}

// unwedge makes new Olm sessions for the devices that want one, so that their next
// room key can be read. It runs after the commit: the library's own unwedging takes
// locks in the other order and is switched off.
func (a *Account) unwedge(ctx context.Context) error {
	rows, err := a.store.DB().Query(ctx, `
		SELECT u.sender, u.sender_key, d.device_id, d.signing_key FROM matrix_unwedge u
		JOIN crypto_device d ON d.user_id=u.sender AND d.identity_key=u.sender_key AND d.deleted=false
		WHERE u.wanted=1 AND u.sent_at<=$1 LIMIT 10`, a.now().Add(-unwedgeInterval).UnixMilli())
	if err != nil {
		return fmt.Errorf("read broken olm sessions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var due []*id.Device
	for rows.Next() {
		d := &id.Device{}
		if err := rows.Scan(&d.UserID, &d.IdentityKey, &d.DeviceID, &d.SigningKey); err != nil {
			return fmt.Errorf("read broken olm sessions: %w", err)
		}
		due = append(due, d)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read broken olm sessions: %w", err)
	}
	for _, d := range due {
		if err := a.unwedgeOne(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// unwedgeOne claims a key, stores the new session with the ratchet position of the
// dummy in it, and only then sends the dummy.
func (a *Account) unwedgeOne(ctx context.Context, d *id.Device) error {
	claim, err := a.claimKey(ctx, d)
	if err != nil {
		return fmt.Errorf("claim one-time key: %w", err)
	}
	var sent []byte
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		if _, err := a.store.DB().Exec(ctx, "UPDATE matrix_unwedge SET wanted=0, sent_at=$3 WHERE sender=$1 AND sender_key=$2",
			d.UserID, d.IdentityKey, a.now().UnixMilli()); err != nil {
			return fmt.Errorf("note new olm session: %w", err)
		}
		if claim == nil {
			return nil // the device has no keys left: nothing can be done from here
		}
		prepared := &answers{bodies: map[string][]byte{"/keys/claim": claim, "/sendToDevice/": []byte("{}")}}
		m.guard.renew = d.IdentityKey
		defer func() { m.guard.renew = "" }()
		if err := m.olm.SendEncryptedToDevice(prepared.attach(ctx), d, event.ToDeviceDummy, event.Content{}); err != nil {
			a.log.WarnContext(ctx, "olm session not renewed", slog.String("sender", d.UserID.String()),
				slog.String("device_id", d.DeviceID.String()), slog.Any("err", err))
			return nil
		}
		for path, body := range prepared.asked {
			if strings.Contains(path, "/sendToDevice/") {
				sent = body
			}
		}
		return nil
	})
	if err != nil || sent == nil {
		return err
	}
	ctx, cancel := within(ctx)
	defer cancel()
	_, err = a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPut, URL: a.client.BuildClientURL("v3", "sendToDevice", event.ToDeviceEncrypted.Type, a.client.TxnID()),
		RequestJSON: json.RawMessage(sent), SensitiveContent: true,
	})
	if err != nil {
		return fmt.Errorf("send dummy message: %w", err)
	}
	return nil
}

// claimKey claims a one-time key of one device; nil where it has none.
func (a *Account) claimKey(ctx context.Context, d *id.Device) ([]byte, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	res, err := a.client.ClaimKeys(ctx, &mautrix.ReqClaimKeys{
		OneTimeKeys: mautrix.OneTimeKeysRequest{d.UserID: {d.DeviceID: id.KeyAlgorithmSignedCurve25519}},
		Timeout:     10_000,
	})
	if err != nil || res == nil {
		return nil, err
	}
	for name, key := range res.OneTimeKeys[d.UserID][d.DeviceID] {
		// Only what was asked for; the library trusts the shape of the answer.
		if !key.IsSigned || len(key.RawData) == 0 {
			continue
		}
		return json.Marshal(map[string]any{"one_time_keys": map[id.UserID]map[id.DeviceID]map[id.KeyID]json.RawMessage{
			d.UserID: {d.DeviceID: {name: key.RawData}},
		}})
	}
	return nil, nil
}
