package sas

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
)

// commitment is the promise of a key, before it is shown: bound to the start that it
// answers (C-S API, m.key.verification.accept).
func commitment(key, start []byte) []byte {
	sum := sha256.Sum256(append([]byte(encode(key)), start...))
	return sum[:]
}

func (v *Verification) sendKey() Message {
	return v.send(typeKey, map[string]any{"key": encode(v.ephemeral.PublicKey().Bytes())})
}

// onKey takes the other side's key. Who accepted shows its key last, so it cannot be
// chosen for the string that it makes; who started gets what was promised.
func (v *Verification) onKey(_ Event, f fields) []Message {
	if v.state != StateAccepted && v.state != StateKeyed {
		return v.Cancel(CodeUnexpectedMessage)
	}
	text, _ := f.text("key")
	raw, ok := decode(text)
	if !ok || len(raw) != keySize {
		return v.Cancel(CodeInvalidMessage)
	}
	if v.state == StateKeyed && subtle.ConstantTimeCompare(commitment(raw, v.start), v.promise) != 1 {
		return v.Cancel(CodeMismatchedCommitment)
	}
	theirs, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return v.Cancel(CodeInvalidMessage)
	}
	// A point of low order, which makes the secret known to everybody, is an error.
	secret, err := v.ephemeral.ECDH(theirs)
	if err != nil {
		return v.Cancel(CodeInvalidMessage)
	}
	v.secret = secret
	copy(v.sas[:], v.derive(len(v.sas), v.saying(raw)))
	var out []Message
	if v.state == StateAccepted {
		out = []Message{v.sendKey()}
	}
	v.state, v.ephemeral = StateComparing, nil
	return out
}

// saying is what the string is said about (C-S API, "SAS HKDF calculation").
func (v *Verification) saying(theirs []byte) string {
	side := func(p Party, key []byte) string {
		return strings.Join([]string{string(p.User), string(p.Device), encode(key)}, "|")
	}
	first, second := side(v.own, v.ephemeral.PublicKey().Bytes()), side(v.their, theirs)
	if !v.weStarted {
		first, second = second, first
	}
	return strings.Join([]string{"MATRIX_KEY_VERIFICATION_SAS", first, second, v.transaction}, "|")
}

// derive makes n bytes from the secret, for one purpose.
func (v *Verification) derive(n int, purpose string) []byte {
	out, err := hkdf.Key(sha256.New, v.secret, nil, purpose, n)
	if err != nil {
		panic(fmt.Sprintf("sas: derive %d bytes: %v", n, err)) // too many, or too weak a secret for FIPS: neither can be
	}
	return out
}

// shows tells whether there is a string of that kind to be compared.
func (v *Verification) shows(kind string) bool {
	switch v.state {
	case StateComparing, StateConfirmed, StateFinishing, StateDone:
		return slices.Contains(v.strings, kind)
	default:
		return false
	}
}

// Emoji is the string as seven emoji, from [StateComparing] on, unless the other side
// can only do numbers.
func (v *Verification) Emoji() ([7]Emoji, bool) {
	var out [7]Emoji
	if !v.shows(emoji) {
		return out, false
	}
	var bits uint64
	for _, b := range v.sas {
		bits = bits<<8 | uint64(b)
	}
	for i := range out {
		out[i] = table[bits>>(42-6*i)&0x3f]
	}
	return out, true
}

// Decimals is the string as three numbers of four digits, for whom emoji do not suit.
func (v *Verification) Decimals() ([3]int, bool) {
	if !v.shows(decimal) {
		return [3]int{}, false
	}
	var bits uint64
	for _, b := range v.sas[:5] {
		bits = bits<<8 | uint64(b)
	}
	var out [3]int
	for i := range out {
		out[i] = int(bits>>(27-13*i)&0x1fff) + 1000
	}
	return out, true
}
