package sas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// How keys are vouched for, the best first. The older one is only for who has no other:
// the same, written in a base64 that went wrong and keeps 48 of its 256 bits.
const (
	macV2 = "hkdf-hmac-sha256.v2"
	macV1 = "hkdf-hmac-sha256"
)

// macContent is how the other side vouches for its keys: a code for each, by the name
// of the key, and one for the list of names.
type macContent struct {
	codes map[string]string
	list  string
}

// code vouches for a value in the name of from (C-S API, "MAC calculation"). The purpose
// is the name of the key, or KEY_IDS.
func (v *Verification) code(from, to Party, purpose, value string) string {
	key := v.derive(sha256.Size, strings.Join([]string{
		"MATRIX_KEY_VERIFICATION_MAC", string(from.User), string(from.Device),
		string(to.User), string(to.Device), v.transaction, purpose,
	}, ""))
	h := hmac.New(sha256.New, key)
	h.Write([]byte(value))
	if v.mac == macV1 {
		return broken(h.Sum(nil))
	}
	return encode(h.Sum(nil))
}

// broken is the base64 of the older code (MSC3783): it was encoded in place, so that all
// but the first three bytes are partly read from what had been written over them.
func broken(sum []byte) string {
	place := make([]byte, base64.RawStdEncoding.EncodedLen(len(sum)))
	copy(place, sum)
	for in, out := 0, 0; in < len(sum); in, out = in+3, out+4 {
		group := slices.Clone(place[in:min(in+3, len(sum))])
		base64.RawStdEncoding.Encode(place[out:], group)
	}
	return string(place)
}

// list is the names of keys as they are vouched for.
func list[T any](codes map[string]T) string {
	return strings.Join(slices.Sorted(maps.Keys(codes)), ",")
}

// Confirm says that a person here found the string to be the same as the other one's,
// and vouches for our keys.
func (v *Verification) Confirm() ([]Message, error) {
	if v.state != StateComparing {
		return nil, v.notNow("confirm")
	}
	codes := map[string]any{}
	for name, key := range map[string]string{
		string(v.own.Device):      string(v.own.Keys.Device),
		string(v.own.Keys.Master): string(v.own.Keys.Master),
	} {
		if key != "" {
			codes[keyID(name)] = v.code(v.own, v.their, keyID(name), key)
		}
	}
	v.state = StateConfirmed
	return append([]Message{v.send(typeMAC, map[string]any{
		"mac":  codes,
		"keys": v.code(v.own, v.their, "KEY_IDS", list(codes)),
	})}, v.finish()...), nil
}

// onMAC takes the other side's word for its keys. It may come before our person has
// confirmed, and before the caller has fetched the keys.
func (v *Verification) onMAC(_ Event, f fields) []Message {
	if v.state != StateComparing && v.state != StateConfirmed || v.pending != nil || v.vouched {
		return v.Cancel(CodeUnexpectedMessage)
	}
	codes, ok := f.texts("mac")
	all, ok2 := f.text("keys")
	if !ok || !ok2 {
		return v.Cancel(CodeInvalidMessage)
	}
	v.pending = &macContent{codes: codes, list: all}
	return v.check()
}

// NeedsKeys tells whether the other side's keys are still to be supplied: from when its
// device is known (see [Verification.Them]). Until they are, nothing can be verified.
func (v *Verification) NeedsKeys() bool {
	return !v.supplied && v.their.Device != "" && !v.state.Ended()
}

// Supply gives the other side's keys as the homeserver has them: the signing key of its
// device, and its master key if it has one. The caller has checked that the device signed
// its keys itself. Where there is no such device the caller cancels, with
// [CodeKeyMismatch].
func (v *Verification) Supply(k Keys) ([]Message, error) {
	if !v.NeedsKeys() {
		return nil, v.notNow("supply keys to")
	}
	clean, err := k.clean()
	if err != nil {
		return nil, err
	}
	v.their.Keys, v.supplied = clean, true
	return v.check(), nil
}

// check compares what they vouched for with what we know, when both are there.
func (v *Verification) check() []Message {
	if v.pending == nil || !v.supplied {
		return nil
	}
	said := v.pending
	v.pending = nil
	if !same(v.code(v.their, v.own, "KEY_IDS", list(said.codes)), said.list) {
		return v.Cancel(CodeKeyMismatch)
	}
	device, master := string(v.their.Device), string(v.their.Keys.Master)
	if device == master {
		// A device that is named like the identity: a code for one would do for the
		// other. Only a server that means ill makes such a device.
		return v.Cancel(CodeKeyMismatch)
	}
	for name, code := range said.codes {
		var known string
		switch name {
		case keyID(device):
			known = string(v.their.Keys.Device)
		case keyID(master):
			known = master
		}
		switch {
		case known == "": // nothing we know of
			continue
		case !same(v.code(v.their, v.own, name, known), code):
			return v.Cancel(CodeKeyMismatch)
		case name == keyID(device):
			v.verified.Device = v.their.Keys.Device
		default:
			v.verified.Master = v.their.Keys.Master
		}
	}
	if v.verified == (Keys{}) {
		return v.Cancel(CodeKeyMismatch)
	}
	v.vouched = true
	return v.finish()
}

// same compares codes, however they are padded.
func same(ours, theirs string) bool {
	a, _ := decode(ours)
	b, ok := decode(theirs)
	return ok && hmac.Equal(a, b)
}
