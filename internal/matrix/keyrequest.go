package matrix

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// requestAgain is how long a request for a key is left alone.
const requestAgain = 24 * time.Hour

// askDevices asks the account's other devices for keys (Matrix C-S API, "Key requests"):
// only those that the account's identity has signed, because only their answers count.
func (a *Account) askDevices(ctx context.Context, wanted []search) error {
	if len(wanted) == 0 {
		return nil
	}
	devices, err := a.ownSigned(ctx)
	if err != nil || len(devices) == 0 {
		return err
	}
	for _, s := range wanted {
		if s.requested != 0 && a.now().Sub(time.UnixMilli(s.requested)) < requestAgain {
			continue
		}
		if s.request != "" {
			if err := a.cancelRequest(ctx, s.request); err != nil {
				return err
			}
		}
		request := a.client.TxnID()
		// Noted first: an answer that comes before the note would not be taken.
		if _, err := a.store.DB().Exec(ctx, "UPDATE matrix_key_search SET request_id=$3, requested_at=$4 WHERE room_id=$1 AND session_id=$2",
			s.Room, s.Session, request, a.now().UnixMilli()); err != nil {
			return fmt.Errorf("note key request: %w", err)
		}
		err := a.sendPlain(ctx, event.ToDeviceRoomKeyRequest, devices, map[string]any{
			"action": event.KeyRequestActionRequest, "request_id": request, "requesting_device_id": a.self().Device,
			"body": map[string]any{"algorithm": id.AlgorithmMegolmV1, "room_id": s.Room, "session_id": s.Session},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cancelRequest tells the account's other devices that a key is not needed any more.
func (a *Account) cancelRequest(ctx context.Context, request string) error {
	return a.sendPlain(ctx, event.ToDeviceRoomKeyRequest, []id.DeviceID{"*"}, map[string]any{
		"action": event.KeyRequestActionCancel, "request_id": request, "requesting_device_id": a.self().Device,
	})
}

// sendPlain sends a to-device message to devices of the account.
func (a *Account) sendPlain(ctx context.Context, kind event.Type, to []id.DeviceID, content any) error {
	ctx, cancel := within(ctx)
	defer cancel()
	messages := map[id.DeviceID]any{}
	for _, d := range to {
		messages[d] = content
	}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPut, URL: a.client.BuildClientURL("v3", "sendToDevice", kind.Type, a.client.TxnID()), MaxAttempts: 1,
		RequestJSON: map[string]any{"messages": map[id.UserID]any{a.self().User: messages}},
	})
	if err != nil {
		return fmt.Errorf("send %s: %w", kind.Type, err)
	}
	return nil
}

// ownSigned are the account's other devices that its identity has signed.
func (a *Account) ownSigned(ctx context.Context) (signed []id.DeviceID, err error) {
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		devices, err := m.guard.GetDevices(ctx, a.self().User)
		if err != nil {
			return fmt.Errorf("read own devices: %w", err)
		}
		for name, d := range devices {
			if name == a.self().Device || d.Deleted {
				continue
			}
			if ok, err := m.guard.signedByOwner(ctx, d); err != nil {
				return err
			} else if ok {
				signed = append(signed, name)
			}
		}
		return nil
	})
	return signed, err
}

// signedByOwner reports whether the identity of a device's user has signed it.
func (g *guard) signedByOwner(ctx context.Context, d *id.Device) (bool, error) {
	keys, err := g.GetCrossSigningKeys(ctx, d.UserID)
	if err != nil {
		return false, err
	}
	master, self := keys[id.XSUsageMaster].Key, keys[id.XSUsageSelfSigning].Key
	if master == "" || self == "" {
		return false, nil
	}
	if ok, err := g.IsKeySignedBy(ctx, d.UserID, self, d.UserID, master); err != nil || !ok {
		return false, err
	}
	return g.IsKeySignedBy(ctx, d.UserID, d.SigningKey, d.UserID, self)
}

// mayForward reports whether a forwarded key counts: it was asked for, and it comes from
// a device of the account that the account's identity has signed (Matrix C-S API, "Key
// requests"). The library writes the device that handed it over behind the chain.
func (g *guard) mayForward(ctx context.Context, s *crypto.InboundGroupSession) (bool, error) {
	if s.SourceUser != g.own || len(s.ForwardingChains) == 0 {
		return false, nil
	}
	var asked bool
	err := g.DB.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM matrix_key_search WHERE room_id=$1 AND session_id=$2 AND request_id<>'')", s.RoomID, s.ID()).
		Scan(&asked)
	if err != nil {
		return false, noted(ctx, "look for a key request", err)
	}
	if !asked {
		return false, nil
	}
	d, err := g.FindDeviceByKey(ctx, g.own, id.IdentityKey(s.ForwardingChains[len(s.ForwardingChains)-1]))
	if err != nil || d == nil || d.Deleted {
		return false, err
	}
	return g.signedByOwner(ctx, d)
}
