package network

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/youmark/pkcs8"
)

// identity is what we show of ourselves to a peer that asks for a certificate.
type identity struct {
	cert, key material
	// passphrase opens the key; its setting's name is empty where there is none.
	passphrase material
}

// load gives the certificate with its key; false where none is set. The key may
// lie in the certificate's file.
func (i identity) load() (tls.Certificate, bool, error) {
	if !i.cert.isSet() && !i.key.isSet() {
		return tls.Certificate{}, false, nil
	}
	if !i.cert.isSet() {
		return tls.Certificate{}, false, &SettingError{
			Variable: i.key.variable, Wrong: "is set without " + i.cert.variable, Cure: "set " + i.cert.variable + " to the certificate of the key",
		}
	}
	certText, err := i.cert.read()
	if err != nil {
		return tls.Certificate{}, false, err
	}
	key := i.key
	keyText := certText
	if key.isSet() {
		if keyText, err = key.read(); err != nil {
			return tls.Certificate{}, false, err
		}
	} else {
		key.variable = i.cert.variable
	}
	keyText, err = i.open(key, keyText)
	if err != nil {
		return tls.Certificate{}, false, err
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return tls.Certificate{}, false, &SettingError{
			Variable: i.cert.variable, Wrong: "and " + i.key.variable + " do not make a client certificate", err: err,
			Cure: "give the certificate first in " + i.cert.variable + ", those between it and its authority after it, and its own key in " + i.key.variable,
		}
	}
	return pair, true, nil
}

// open gives the private key in a form that needs no passphrase.
func (i identity) open(key material, text []byte) ([]byte, error) {
	var block *pem.Block
	for rest := text; ; {
		if block, rest = pem.Decode(rest); block == nil {
			return nil, &SettingError{
				Variable: key.variable, Wrong: "holds no private key", Cure: "give the key in PEM form; it begins with a line like -----BEGIN PRIVATE KEY-----",
			}
		}
		if bytes.HasSuffix([]byte(block.Type), []byte("PRIVATE KEY")) {
			break
		}
	}
	legacy := x509.IsEncryptedPEMBlock(block) //nolint:staticcheck // SA1019: what openssl wrote for decades
	if block.Type != "ENCRYPTED PRIVATE KEY" && !legacy {
		return text, nil
	}
	if !i.passphrase.isSet() {
		e := &SettingError{Variable: key.variable, Wrong: "is encrypted", Cure: "store the key without a passphrase: openssl pkey -in KEY -out KEY.open"}
		if i.passphrase.variable != "" {
			e.Cure = "set " + i.passphrase.variable + " to its passphrase"
		}
		return nil, e
	}
	der, err := decrypt(block, legacy, []byte(i.passphrase.value))
	if err != nil {
		return nil, &SettingError{
			Variable: key.variable, Wrong: "cannot be opened with " + i.passphrase.variable, err: err,
			Cure: "check the passphrase: openssl pkey -in KEY -noout",
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// decrypt gives the key as PKCS #8 (RFC 5958), which holds every kind.
func decrypt(block *pem.Block, legacy bool, passphrase []byte) (der []byte, err error) {
	// The library panics over a key that was cut off.
	defer func() {
		if recover() != nil {
			der, err = nil, errors.New("the key is damaged")
		}
	}()
	if !legacy {
		key, _, err := pkcs8.ParsePrivateKey(block.Bytes, passphrase)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(key)
	}
	der, err = x509.DecryptPEMBlock(block, passphrase) //nolint:staticcheck // SA1019: see above
	if err != nil {
		return nil, err
	}
	var key crypto.PrivateKey
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	default:
		return nil, errors.New("a kind of key that is not known")
	}
	if err != nil {
		return nil, errors.New("the passphrase is wrong, or the key is damaged")
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
