package sas

import "bytes"

// Canonicalize, Broken, Table and Commitment are for tests.
var (
	Canonicalize = canonicalize
	Broken       = broken
	Table        = table
	Commitment   = commitment
)

// OnlyOldMAC makes one that knows nothing better than the code with the broken base64,
// as clients before 2023.
func (v *Verification) OnlyOldMAC() { v.macs = []string{macV1} }

// MAC is how keys are vouched for.
func (v *Verification) MAC() string { return v.mac }

// SameSecret tells whether two have agreed on one.
func (v *Verification) SameSecret(w *Verification) bool {
	return len(v.secret) > 0 && bytes.Equal(v.secret, w.secret)
}

// Secrets are what must never be printed.
func (v *Verification) Secrets() [][]byte {
	all := [][]byte{v.secret, v.sas[:]}
	if v.ephemeral != nil {
		all = append(all, v.ephemeral.Bytes())
	}
	return all
}

// Vouch makes the content of a mac message for any keys, as a client of another make
// might, or one that means ill.
func (v *Verification) Vouch(keys map[string]string) map[string]any {
	codes := map[string]string{}
	for name, key := range keys {
		codes[name] = v.code(v.own, v.their, name, key)
	}
	return map[string]any{"mac": codes, "keys": v.code(v.own, v.their, "KEY_IDS", list(codes))}
}

// Heard is how many messages it remembers.
func (v *Verification) Heard() int { return len(v.seen) }
