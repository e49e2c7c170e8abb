package parts

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Company is a network as companies have it: certificates of an authority of its
// own, and one way out, a proxy that asks for a password. Names that nobody else
// knows lead to the parts of a story, through that proxy alone.
type Company struct {
	// Authority is the path of the certificate that signs all others.
	Authority string
	// Login is what the proxy asks for.
	Login *url.Userinfo

	dir     string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	serial  int64
	servers []*http.Server
	proxy   string // host:port

	mu    sync.Mutex // guards what follows
	hosts map[string]string
	asked map[string]int
}

// NewCompany founds a company that keeps its certificates in dir.
func NewCompany(dir string) (*Company, error) {
	c := &Company{
		Authority: filepath.Join(dir, "authority.pem"), Login: url.UserPassword("connector", "proxy: p@ss/word"),
		dir: dir, hosts: map[string]string{}, asked: map[string]int{},
	}
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "company authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("make the authority: %w", err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if err := writePEM(c.Authority, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	listener, err := c.serve(http.HandlerFunc(c.connect), nil)
	if err != nil {
		return nil, err
	}
	c.proxy = listener.Addr().String()
	return c, nil
}

// Certificate signs one for names and addresses, good for a server and a client,
// and returns the paths of it and of its key.
func (c *Company) Certificate(names ...string) (cert, key string, err error) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	c.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1 + c.serial), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, pair.Public(), c.key)
	if err != nil {
		return "", "", fmt.Errorf("sign a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return "", "", err
	}
	cert = filepath.Join(c.dir, fmt.Sprintf("%d.pem", c.serial))
	key = filepath.Join(c.dir, fmt.Sprintf("%d.key", c.serial))
	return cert, key, errors.Join(writePEM(cert, "CERTIFICATE", der), writePEM(key, "PRIVATE KEY", secret))
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// Stands puts a handler behind https://name.
func (c *Company) Stands(name string, handler http.Handler) error {
	cert, key, err := c.Certificate(name)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	listener, err := c.serve(handler, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hosts[name+":443"] = listener.Addr().String()
	return nil
}

// LeadsTo is a handler that passes everything on to a part's URL.
func LeadsTo(part string) (http.Handler, error) {
	u, err := url.Parse(part)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}, nil
}

func (c *Company) serve(handler http.Handler, security *tls.Config) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &http.Server{Handler: handler, TLSConfig: security, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	c.servers = append(c.servers, s)
	go func() {
		// Serve ends with Close.
		if security != nil {
			_ = s.ServeTLS(listener, "", "")
		} else {
			_ = s.Serve(listener)
		}
	}()
	return listener, nil
}

// Proxy is the proxy's URL for a login; nil: without one.
func (c *Company) Proxy(login *url.Userinfo) string {
	return (&url.URL{Scheme: "http", Host: c.proxy, User: login}).String()
}

// Asked is how often the proxy was asked to lead to a host, host:port, with its
// login.
func (c *Company) Asked(host string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[host]
}

// connect is the proxy.
func (c *Company) connect(w http.ResponseWriter, r *http.Request) {
	password, _ := c.Login.Password()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Login.Username()+":"+password))
	if r.Header.Get("Proxy-Authorization") != want {
		w.Header().Set("Proxy-Authenticate", `Basic realm="company"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	c.mu.Lock()
	c.asked[r.Host]++
	to, known := c.hosts[r.Host]
	c.mu.Unlock()
	if r.Method != http.MethodConnect || !known {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var d net.Dialer
	there, err := d.DialContext(r.Context(), "tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
	_, _ = io.Copy(here, there)
}

// Close ends all servers.
func (c *Company) Close() error {
	errs := make([]error, 0, len(c.servers))
	for _, s := range c.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
