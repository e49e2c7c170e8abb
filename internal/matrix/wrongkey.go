package matrix

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/id"
)

// keySourceDoubted is the source of a session that has proven to be wrong, and never right.
const keySourceDoubted id.KeySource = "doubted"

// blame sets aside what proves to be wrong of a session: with it a message did not open that
// bears the signature of the session's owner (the library looks at that first), so that its
// ratchet is not the owner's. Else it would keep the genuine one out.
//
// A ratchet only turns forward: what is wrong at an index is wrong at all before it, and what
// has opened a later message is right from there on. What is left is kept for later messages;
// where none has shown that it is right, it gives way to any other copy.
func (g *guard) blame(ctx context.Context, s *crypto.InboundGroupSession, beside bool, ciphertext []byte) error {
	index, err := crypto.ParseMegolmMessageIndex(ciphertext)
	if err != nil || index >= math.MaxUint32 {
		return nil //nolint:nilerr // it would not have come this far
	}
	right, err := g.provenFrom(ctx, indexSpace(s, beside), index+1)
	if err != nil {
		return noted(ctx, "look for a proof of the session", err)
	}
	g.log.WarnContext(ctx, "a room key proves to be wrong, and is set aside", slog.String("room_id", s.RoomID.String()),
		slog.String("session_id", s.ID().String()), slog.String("source", string(s.KeySource)))
	later := *s
	if right < 0 {
		right = int64(index) + 1
		if s.KeySource != id.KeySourceDirect { // what the owner has sent is right somewhere
			later.KeySource = keySourceDoubted
		}
	}
	if later.Internal, err = from(s, uint32(right)); err != nil {
		return noted(ctx, "set group session aside", err)
	}
	at := g.SQLCryptoStore
	if beside {
		at = g.beside(s.RoomID)
	}
	g.sessions.drop(s.RoomID, s.ID())
	return noted(ctx, "put group session", at.PutGroupSession(ctx, &later))
}

// from is a session's ratchet from an index on.
func from(s *crypto.InboundGroupSession, index uint32) (olm.InboundGroupSession, error) {
	key, err := s.Internal.Export(index)
	if err != nil {
		return nil, fmt.Errorf("turn session %s forward: %w", s.ID(), err)
	}
	in, err := olm.InboundGroupSessionImport(key)
	if err != nil {
		return nil, fmt.Errorf("turn session %s forward: it cannot be read", s.ID()) // the cause may quote the key
	}
	return in, nil
}
