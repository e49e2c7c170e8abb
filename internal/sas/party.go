package sas

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// Party is one of the two who verify each other: a device of an account, with its keys.
type Party struct {
	User   id.UserID
	Device id.DeviceID
	Keys   Keys
}

// Keys are the public keys that one side wants the other to believe, as unpadded base64.
type Keys struct {
	Device id.Ed25519 // the device's signing key
	Master id.Ed25519 // the account's cross-signing master key; empty without one
}

// ErrKey is the error of a key that is none, and of keys of which there is none.
var ErrKey = errors.New("no Ed25519 key")

// clean is the keys in the one spelling that is hashed: unpadded.
func (k Keys) clean() (Keys, error) {
	if k.Device == "" && k.Master == "" {
		return Keys{}, ErrKey
	}
	var clean Keys
	for _, key := range []struct {
		name     string
		from, to *id.Ed25519
	}{{"device key", &k.Device, &clean.Device}, {"master key", &k.Master, &clean.Master}} {
		if *key.from == "" {
			continue
		}
		raw, ok := decode(string(*key.from))
		if !ok || len(raw) != keySize {
			return Keys{}, fmt.Errorf("%s: %w", key.name, ErrKey)
		}
		*key.to = id.Ed25519(encode(raw))
	}
	return clean, nil
}

// keyID is how a key is called in a mac message: the device's by the device id, the
// master key by itself.
func keyID(name string) string { return "ed25519:" + name }

// keySize is the size of Ed25519 and Curve25519 public keys, in bytes.
const keySize = 32

func encode(raw []byte) string { return base64.RawStdEncoding.EncodeToString(raw) }

// decode reads base64. Some pad it, where the specification has it unpadded.
func decode(text string) ([]byte, bool) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	return raw, err == nil
}
