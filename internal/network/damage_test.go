package network_test

import (
	"encoding/asn1"
	"encoding/pem"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/network"
)

func TestAKeyThatWasCutOffIsRefused(t *testing.T) {
	const passphrase = "a passphrase"
	company := newAuthority(t)
	form := encryptedKeys(t, passphrase)["PKCS #8, EC"]
	us := company.issue(t, form.key, time.Now().Add(time.Hour))
	block, _ := pem.Decode([]byte(form.text))
	var info struct { // RFC 5958, EncryptedPrivateKeyInfo
		Algorithm asn1.RawValue
		Data      []byte
	}
	if _, err := asn1.Unmarshal(block.Bytes, &info); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []int{0, 1, 16, len(info.Data) - 1} {
		cut := info
		cut.Data = info.Data[:keep]
		der, err := asn1.Marshal(cut)
		if err != nil {
			t.Fatal(err)
		}
		_, err = network.Broker(&config.Config{MQ: config.MQ{
			SSLCert: us.cert, SSLPassphrase: config.NewSecret(passphrase),
			SSLKey: config.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}))),
		}})
		refused(t, err, "MQ_USE_SSL_KEY", "openssl")
	}
}
