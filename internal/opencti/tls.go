package opencti

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLS says how a peer's certificate is checked. The zero value checks it against
// the system's authorities.
type TLS struct {
	// Insecure switches the check off. Nothing but an explicit setting may set it.
	Insecure bool
	// CA is a bundle of further authorities: PEM text, or the path of a file.
	CA string
	// Cert and Key are the client's own, where the peer asks for one: PEM text or
	// paths.
	Cert, Key string
}

// config makes the configuration of a connection to host.
func (t TLS) config(host string) (*tls.Config, error) {
	c := &tls.Config{
		ServerName:         host,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: t.Insecure, //nolint:gosec // off unless the operator asks for it
	}
	if t.CA != "" {
		text, err := pemText(t.CA)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, errors.New("authorities: no certificate in the PEM text")
		}
		c.RootCAs = pool
	}
	if t.Cert != "" || t.Key != "" {
		cert, err := pemText(t.Cert)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		key, err := pemText(t.Key)
		if err != nil {
			return nil, fmt.Errorf("client key: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// untrusted reports whether a connection failed because the peer's certificate
// could not be verified, which nothing but a person can change.
func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// pemText gives PEM text as it is and anything else as the content of the file
// of that name, as the platform's own clients do.
func pemText(v string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(v), "-----BEGIN") {
		return []byte(v), nil
	}
	text, err := os.ReadFile(v) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	return text, nil
}
