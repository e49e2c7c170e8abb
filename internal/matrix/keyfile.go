package matrix

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
)

// The form of a key file (Matrix C-S API, "Key exports"): between two lines, base64 of a
// version, a salt, an initialisation vector, the number of rounds, JSON under AES-256-CTR,
// and an HMAC-SHA-256 over all of it.
const (
	keyFileBegin = "-----BEGIN MEGOLM SESSION DATA-----"
	keyFileEnd   = "-----END MEGOLM SESSION DATA-----"

	keyFileVersion = 1
	keyFileHeader  = 1 + 16 + 16 + 4
	keyFileMAC     = sha256.Size
)

// What is wrong with a key file. None of it holds anything of the file.
var (
	ErrNoKeyFile      = errors.New("it is no file of exported keys")
	ErrKeyFileVersion = errors.New("it is a file of exported keys of an unknown version")
	ErrKeyFileRounds  = errors.New("its passphrase takes an unreasonable time to check")
	ErrKeyFilePhrase  = errors.New("the passphrase does not fit, or the file is damaged")
	ErrKeyFileContent = errors.New("what the passphrase opens is no list of keys")
)

// KeyFile is the sessions of a file of exported keys, as they are handed to [Account.ImportKeys].
type KeyFile []crypto.ExportedSession

// ReadKeyFile opens a file as Element and other clients export it. mautrix has a reader of
// its own, which trusts the file's lengths.
func ReadKeyFile(text []byte, passphrase string) (KeyFile, error) {
	_, rest, ok := bytes.Cut(text, []byte(keyFileBegin))
	body, _, ended := bytes.Cut(rest, []byte(keyFileEnd))
	if !ok || !ended {
		return nil, ErrNoKeyFile
	}
	body = bytes.Join(bytes.Fields(body), nil)
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
	n, err := base64.StdEncoding.Decode(raw, body)
	if err != nil || n < keyFileHeader+keyFileMAC {
		return nil, ErrNoKeyFile // where in the file says nothing to a person
	}
	raw = raw[:n]
	if raw[0] != keyFileVersion {
		return nil, ErrKeyFileVersion
	}
	rounds := binary.BigEndian.Uint32(raw[33:keyFileHeader])
	if rounds < 1 || rounds > maxIterations {
		return nil, ErrKeyFileRounds
	}
	key, err := pbkdf2.Key(sha512.New, passphrase, raw[1:17], int(rounds), 64)
	if err != nil {
		return nil, fmt.Errorf("derive key of the file: %w", err)
	}
	signed, mac := raw[:n-keyFileMAC], raw[n-keyFileMAC:]
	check := hmac.New(sha256.New, key[32:])
	check.Write(signed)
	if !hmac.Equal(check.Sum(nil), mac) {
		return nil, ErrKeyFilePhrase
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	plain := make([]byte, len(signed)-keyFileHeader)
	cipher.NewCTR(block, raw[17:33]).XORKeyStream(plain, signed[keyFileHeader:])
	// Session by session: one that cannot be read costs itself only.
	var list []json.RawMessage
	if json.Unmarshal(plain, &list) != nil {
		return nil, ErrKeyFileContent
	}
	sessions := make(KeyFile, len(list))
	for i, one := range list {
		if json.Unmarshal(one, &sessions[i]) != nil {
			sessions[i] = crypto.ExportedSession{} // counted, and refused, where it is taken in
		}
	}
	return sessions, nil
}

// Write gives the file under a passphrase.
func (f KeyFile) Write(passphrase string) ([]byte, error) {
	plain, err := json.Marshal(f) //nolint:gosec // it is encrypted by the next line
	if err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	text, err := crypto.EncryptKeyExport(passphrase, plain)
	if err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	return text, nil
}
