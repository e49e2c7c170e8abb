package matrix

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/id"
)

// errBadSession is a Megolm session of a file, bundle or backup that cannot be read.
var errBadSession = errors.New("a session cannot be read")

// readSession reads a session as files, bundles and backups hold it. The error says
// nothing of the key.
func readSession(s crypto.ExportedSession, source id.KeySource, now time.Time) (in *crypto.InboundGroupSession, err error) {
	defer func() {
		if recover() != nil {
			in, err = nil, errBadSession
		}
	}()
	if s.Algorithm != id.AlgorithmMegolmV1 || !strings.HasPrefix(s.RoomID.String(), "!") || len(s.RoomID) > maxID ||
		len(s.SenderKey) > maxID || len(s.SenderClaimedKeys.Ed25519) > maxID {
		return nil, errBadSession
	}
	ratchet, err := olm.InboundGroupSessionImport([]byte(s.SessionKey))
	if err != nil || ratchet.ID() != s.SessionID {
		return nil, errBadSession // the cause may quote the key
	}
	in = &crypto.InboundGroupSession{
		Internal: ratchet, SigningKey: s.SenderClaimedKeys.Ed25519, SenderKey: s.SenderKey, RoomID: s.RoomID,
		ReceivedAt: now.UTC(), SharedHistory: s.SharedHistory, KeySource: source,
	}
	if s.ForwardingChains != nil {
		in.ForwardingChains = *s.ForwardingChains
	}
	return in, nil
}

// take takes a session in, as far as the guard lets it; events that wait for it are tried
// again by whoever records the keys of the transaction. vouched says that somebody who
// may answers for it. taken is false for a session that is refused.
func (m *machine) take(ctx context.Context, in *crypto.InboundGroupSession, vouched bool) (taken bool, err error) {
	place := sessionPlace{in.RoomID, in.ID()}
	m.guard.taking = true
	defer func() { m.guard.taking = false }()
	if vouched {
		m.guard.vouched = map[sessionPlace]bool{place: true}
		defer func() { m.guard.vouched = nil }()
	}
	err = m.olm.StoreGroupSession(ctx, in)
	if errors.Is(err, errKeyRefused) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store session %s: %w", in.ID(), err)
	}
	return true, nil
}
