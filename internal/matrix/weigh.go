package matrix

import (
	"bytes"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// Why a Megolm session is not let in (closed set).
const (
	refusedUnasked = "forwarded without being asked for"
	refusedRatchet = "another ratchet than the known one"
)

// weigh decides what becomes of a Megolm session when a copy of it arrives: the session
// to store, nil where all stays as it is, or why the copy is refused. old is nil for a
// session that is not known. vouched says that somebody who may answers for the copy.
//
//   - What comes by m.room_key is the owner's own word: its session key is signed with
//     the key that the session is named after (Matrix C-S API, "m.megolm.v1.aes-sha2"),
//     so its ratchet is genuine whoever hands it over. It replaces a ratchet that does not
//     agree with it, and nothing else replaces it. Nothing else is signed: backups, files,
//     bundles and forwarded keys are as good as who made them.
//   - What has opened a message is right from there on (proven: the lowest such index, -1 for
//     none), and no copy that does not agree with that replaces it. In front of it, an
//     operator's file counts for more than what somebody handed over, that for more than the
//     backup, into which its homeserver can put what it likes, and anything for more than what
//     has proven to be wrong.
//   - Two ratchets agree when they give the same key at the later of their first indexes.
//   - Of ratchets that agree the one with the earlier first index is kept.
//   - Who shared a session first by m.room_key stays its owner, whoever sends a copy later.
func weigh(old, fresh *crypto.InboundGroupSession, vouched bool, proven int64) (keep *crypto.InboundGroupSession, refused string) {
	direct := fresh.KeySource == id.KeySourceDirect
	switch {
	case old == nil && fresh.KeySource == id.KeySourceForward && !vouched:
		return nil, refusedUnasked
	case old == nil:
		return fresh, ""
	case !sameRatchet(old, fresh):
		if direct && old.KeySource != id.KeySourceDirect {
			return fresh, ""
		}
		counts := sourceRank[fresh.KeySource] > sourceRank[old.KeySource] && (vouched || fresh.KeySource != id.KeySourceForward)
		if counts && (proven < 0 || agree(old, fresh, uint32(proven))) {
			return fresh, ""
		}
		return nil, refusedRatchet
	}
	earlier := fresh.Internal.FirstKnownIndex() < old.Internal.FirstKnownIndex()
	if !earlier && (!direct || old.KeySource == id.KeySourceDirect) {
		return nil, "" // no better than what is there
	}
	kept := *old
	if direct && old.KeySource != id.KeySourceDirect {
		kept = *fresh
		kept.Internal = old.Internal
	} else if old.KeySource != id.KeySourceDirect {
		kept = *fresh
	}
	if earlier {
		kept.Internal = fresh.Internal
		kept.KeyBackupVersion = fresh.KeyBackupVersion // what is saved there is less
	} else {
		kept.KeyBackupVersion = old.KeyBackupVersion
	}
	if old.ReceivedAt.Before(kept.ReceivedAt) {
		kept.ReceivedAt = old.ReceivedAt
	}
	return &kept, ""
}

// sourceRank is how much a copy counts that nobody has signed, by where it comes from.
var sourceRank = map[id.KeySource]int{keySourceDoubted: 0, id.KeySourceBackup: 1, id.KeySourceForward: 2, id.KeySourceImport: 3, id.KeySourceDirect: 4}

// sameRatchet reports whether two sessions give the same key at the later of their
// first indexes, so that one is an earlier or later copy of the other.
func sameRatchet(a, b *crypto.InboundGroupSession) bool {
	return agree(a, b, max(a.Internal.FirstKnownIndex(), b.Internal.FirstKnownIndex()))
}

// agree reports whether two sessions give the same key at an index.
func agree(a, b *crypto.InboundGroupSession, at uint32) bool {
	x, errX := a.Internal.Export(at)
	y, errY := b.Internal.Export(at)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
