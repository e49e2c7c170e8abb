package connector

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// proxyOf chooses the proxy of a request by HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
// The settings are read once, so that secrets in them can leave the environment.
func proxyOf(n config.Network) func(*http.Request) (*url.URL, error) {
	choose := (&httpproxy.Config{
		HTTPProxy: n.HTTPProxy.Reveal(), HTTPSProxy: n.HTTPSProxy.Reveal(), NoProxy: n.NoProxy,
	}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}

// roots are the system's certificates and those of HTTPS_CA_CERTIFICATES.
func roots(n config.Network) (*x509.CertPool, error) {
	if n.CACertificates == "" {
		return nil, nil // the system's
	}
	pem, err := pemOf(n.CACertificates)
	if err != nil {
		return nil, fmt.Errorf("HTTPS_CA_CERTIFICATES: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("HTTPS_CA_CERTIFICATES: holds no certificate in PEM form")
	}
	return pool, nil
}

// pemOf gives PEM text that is written out or lies in a file, as OpenCTI's settings
// allow.
func pemOf(textOrPath string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(textOrPath), "-----BEGIN") {
		return []byte(textOrPath), nil
	}
	return os.ReadFile(textOrPath) //nolint:gosec // G304: whoever sets the connector up names the file
}

// transport is how requests to the homeserver get out.
func (c *Connector) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = proxyOf(c.config.Settings.Network)
	pool, err := roots(c.config.Settings.Network)
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return t, nil
}
