package store

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// KeyFileName is the name of the key file that is made inside the store's folder
// when no key is given.
const KeyFileName = "store.key"

// ErrKey is what a store answers that is opened with another key than it was
// made with, or whose key file is gone. The error's text names the cure.
var ErrKey = errors.New("store key does not fit")

// ErrSealed is what [Store.Unseal] answers for a value that was not sealed by
// this store for this place: damage, or somebody moved it.
var ErrSealed = errors.New("sealed value does not open")

// sealVersion is the first byte of every sealed value: AES-256-GCM with a random
// nonce of 96 bits in front. One key may seal 2^32 values that way (NIST SP
// 800-38D §8.3), which is a thousand times what a store is built for.
const sealVersion = 1

// seal protects what is secret at rest.
type seal struct {
	aead cipher.AEAD
}

// openSeal reads the store's key and compares it with the one that the store was
// first opened with. The salt and the check value stand in store_seal; neither
// tells anything of the key.
func (s *Store) openSeal(ctx context.Context, key []byte) error {
	if _, err := s.db.Exec(ctx, `CREATE TABLE IF NOT EXISTS store_seal (
		one        INTEGER PRIMARY KEY CHECK (one = 1),
		salt       BLOB NOT NULL,
		check_value BLOB NOT NULL
	) STRICT`); err != nil {
		return fmt.Errorf("make store_seal: %w", err)
	}
	salt, check, err := s.readSeal(ctx)
	if err != nil {
		return err
	}
	fresh := salt == nil
	if len(key) == 0 {
		s.ownKey = true
		key, err = readKeyFile(s.path, fresh)
		if err != nil {
			return err
		}
	}
	if fresh {
		salt = make([]byte, 32)
		rand.Read(salt)
		mine, err := derive(key, salt, "check")
		if err != nil {
			return err
		}
		// Of two processes that open a fresh store at once one wins, and the other
		// is compared with it like anybody who comes later.
		if _, err := s.db.Exec(ctx,
			"INSERT INTO store_seal (one, salt, check_value) VALUES (1, ?, ?) ON CONFLICT DO NOTHING", salt, mine); err != nil {
			return fmt.Errorf("write store_seal: %w", err)
		}
		if salt, check, err = s.readSeal(ctx); err != nil {
			return err
		}
	}
	return s.unseal(key, salt, check)
}

// unseal takes the key into use if it is the one that the store was sealed with.
func (s *Store) unseal(key, salt, check []byte) error {
	mine, err := derive(key, salt, "check")
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(mine, check) != 1 {
		return s.otherKey()
	}
	return s.useKey(key, salt)
}

// otherKey says which key does not fit, and what to do.
func (s *Store) otherKey() error {
	if s.ownKey {
		return unfit("%s is not the key that %s was sealed with; put the original %s back, or set MATRIX_STORE_KEY if the store was made with one",
			filepath.Join(s.path, KeyFileName), filepath.Join(s.path, FileName), KeyFileName)
	}
	return unfit("MATRIX_STORE_KEY is not the key that %s was sealed with; set the original one, or leave it out if the store was made with %s",
		filepath.Join(s.path, FileName), KeyFileName)
}

// useKey seals with the key from here on.
func (s *Store) useKey(key, salt []byte) error {
	sealKey, err := derive(key, salt, "seal")
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return fmt.Errorf("make seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return fmt.Errorf("make seal: %w", err)
	}
	s.seal = &seal{aead: aead}
	return nil
}

// readSeal gives nil for a store that has not been sealed yet.
func (s *Store) readSeal(ctx context.Context) (salt, check []byte, err error) {
	err = s.db.QueryRow(ctx, "SELECT salt, check_value FROM store_seal").Scan(&salt, &check)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read store_seal: %w", err)
	}
	return salt, check, nil
}

// derive makes an independent key of 32 bytes for each purpose (HKDF-SHA256, RFC 5869).
func derive(key, salt []byte, purpose string) ([]byte, error) {
	out, err := hkdf.Key(sha256.New, key, salt, "matrix-connector store "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive store key: %w", err)
	}
	return out, nil
}

// readKeyFile reads the key inside the folder. Only a store that was never sealed
// gets a new one: a key made beside sealed rows would open none of them.
func readKeyFile(folder string, mayMake bool) ([]byte, error) {
	path := filepath.Join(folder, KeyFileName)
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if errors.Is(err, os.ErrNotExist) {
		if !mayMake {
			return nil, unfit("%s is missing; put it back, or set MATRIX_STORE_KEY if the store was made with one", path)
		}
		if err := makeKeyFile(folder, path); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(path) //nolint:gosec // as above
	}
	if err != nil {
		return nil, unwritable(folder, fmt.Errorf("read store key: %w", err))
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != 32 {
		return nil, unfit("%s is damaged; put the original back", path)
	}
	return key, nil
}

// makeKeyFile writes a random key under its final name only when it is whole and
// on disk: a key file that a power cut left empty would lock the store for ever.
func makeKeyFile(folder, path string) error {
	key := make([]byte, 32)
	rand.Read(key)
	f, err := os.CreateTemp(folder, KeyFileName+".*")
	if err != nil {
		return unwritable(folder, fmt.Errorf("make store key: %w", err))
	}
	defer os.Remove(f.Name()) //nolint:errcheck // after the link it is a second name of the same file
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("make store key: %w", err)
	}
	// A link, unlike a rename, never replaces a key that another process made.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make store key: %w", err)
	}
	return syncFolder(folder)
}

// Seal encrypts plain for storage. place names where it is stored (e.g.
// "event !room:server $event"): a sealed value opens only in its own place.
func (s *Store) Seal(plain []byte, place string) ([]byte, error) {
	out := make([]byte, 1, 1+len(plain)+s.seal.aead.Overhead())
	out[0] = sealVersion
	return s.seal.aead.Seal(out, nil, plain, []byte(place)), nil
}

// Unseal opens what Seal made for the same place; anything else is [ErrSealed].
func (s *Store) Unseal(sealed []byte, place string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%w: unknown form", ErrSealed)
	}
	plain, err := s.seal.aead.Open(nil, nil, sealed[1:], []byte(place))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
