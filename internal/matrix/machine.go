package matrix

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// machine is the crypto state in memory: mautrix's Olm machine on the guarded
// store. It belongs to who holds the crypto lock.
type machine struct {
	olm      *crypto.OlmMachine
	guard    *guard
	keys     []timeline.KeyRef // of the current transaction
	refusals []withholding     // of the current transaction
	heard    []sas.Event       // of verifications, of the current transaction
	// speaker is the device that the last decrypted event is proven to come from; empty for none.
	speaker id.DeviceID
	// offer is the room history bundle that the to-device message in hand held.
	offer *event.RoomKeyBundleEventContent
	// outdated is set when the machine remembers what has changed in the database: it
	// is made again after the commit.
	outdated bool
}

// loadMachine makes a machine from what the database holds.
func (a *Account) loadMachine(ctx context.Context) (*machine, error) {
	plain := crypto.NewSQLCryptoStore(a.store.DB(), dbutil.NoopLogger, a.self().User.String(), a.self().Device, a.self().PickleKey)
	g := &guard{SQLCryptoStore: plain, own: a.self().User, log: a.log, rows: a.store}
	silent := zerolog.Nop()

	// The machine's own client never reaches the network: it is answered from
	// memory inside a transaction, and refused otherwise.
	client, err := mautrix.NewClient(a.client.HomeserverURL.String(), a.self().User, a.self().Token)
	if err != nil {
		return nil, fmt.Errorf("make client of the machine: %w", err)
	}
	client.DeviceID = a.self().Device
	client.Client = offlineClient()
	client.Log = silent

	m := &machine{guard: g}
	m.olm = crypto.NewOlmMachine(client, &silent, g, &stateReader{rooms: a.rooms()})
	// Only the library's unwedging uses this context. It is over before the first
	// message, so that its first database call returns at once: it would take locks
	// in the other order, and could write a newer ratchet over a rolled-back one.
	over, cancel := context.WithCancel(context.Background())
	cancel()
	m.olm.SetBackgroundCtx(over)                 //nolint:contextcheck // it is no caller's
	m.olm.DisableDecryptKeyFetching = true       // no request inside a transaction
	m.olm.DisableRatchetTracking = true          // we keep every key; saves a write per event
	m.olm.IgnorePostDecryptionParseErrors = true // an odd field is no reason to lose an event
	m.olm.AllowKeyShare = func(context.Context, *id.Device, event.RequestedKeyInfo) *crypto.KeyShareRejection {
		return &crypto.KeyShareRejectNoResponse // a reader gives no keys away
	}
	m.olm.SessionReceived = func(_ context.Context, room id.RoomID, session id.SessionID, first uint32) {
		m.keys = append(m.keys, timeline.KeyRef{Room: room, Session: session, FirstIndex: first})
	}
	m.olm.OnRoomKeyBundle = func(_ context.Context, offer *event.RoomKeyBundleEventContent) { m.offer = offer }
	if err := m.olm.Load(ctx); err != nil {
		return nil, fmt.Errorf("read olm account: %w", err)
	}
	return m, nil
}

// discard ends a machine whose memory is ahead of the database.
func (m *machine) discard() { m.olm.Destroy() }
