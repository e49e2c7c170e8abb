package network

import (
	"crypto/tls"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// tlsConfig makes a configuration without the peer's name, which whoever dials
// sets. Verification is on unless insecure says otherwise.
func tlsConfig(insecure bool, own identity, trusted ...material) (*tls.Config, error) {
	pool, err := authorities(trusted...)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            pool,
		InsecureSkipVerify: insecure, //nolint:gosec // G402: off unless the operator asks for it
	}
	pair, ok, err := own.load()
	if err != nil {
		return nil, err
	}
	if ok {
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// extra are the authorities that every peer's certificate may come from.
func extra(c *config.Config) material {
	return material{variable: "HTTPS_CA_CERTIFICATES", value: c.Network.CACertificates}
}

// Broker is how TLS to the broker is spoken, if it is; the server's name is left
// to the one who dials. The broker's certificate is verified unless
// MQ_USE_SSL_REJECT_UNAUTHORIZED is false. An error is a [*SettingError].
func Broker(c *config.Config) (*tls.Config, error) {
	return tlsConfig(!c.MQ.SSLRejectUnauthorized, identity{
		cert:       material{variable: "MQ_USE_SSL_CERT", value: c.MQ.SSLCert},
		key:        material{variable: "MQ_USE_SSL_KEY", value: c.MQ.SSLKey.Reveal()},
		passphrase: material{variable: "MQ_USE_SSL_PASSPHRASE", value: c.MQ.SSLPassphrase.Reveal()},
	}, extra(c), material{variable: "MQ_USE_SSL_CA", value: c.MQ.SSLCA})
}

func homeserverTLS(c *config.Config) (*tls.Config, error) {
	return tlsConfig(false, identity{
		cert: material{variable: "MATRIX_CLIENT_CERT", value: c.Matrix.ClientCert},
		key:  material{variable: "MATRIX_CLIENT_KEY", value: c.Matrix.ClientKey.Reveal()},
	}, extra(c))
}

func platformTLS(c *config.Config) (*tls.Config, error) {
	return tlsConfig(c.OpenCTI.SSLVerify.Off, identity{
		cert: material{variable: "OPENCTI_CLIENT_CERT", value: c.OpenCTI.ClientCert},
		key:  material{variable: "OPENCTI_CLIENT_KEY", value: c.OpenCTI.ClientKey.Reveal()},
	}, extra(c), material{variable: "OPENCTI_SSL_VERIFY", value: c.OpenCTI.SSLVerify.CAFile})
}
