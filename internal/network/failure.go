package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// Kind is why a connection did not come about, or broke (closed set).
type Kind string

// The kinds.
const (
	// Untrusted: the peer's certificate cannot be verified.
	Untrusted Kind = "untrusted"
	// OtherName: the peer's certificate is valid, for other names.
	OtherName Kind = "other_name"
	// Expired: the peer's certificate is not valid now.
	Expired Kind = "expired"
	// NoClientCert: the peer refuses us, or our certificate.
	NoClientCert Kind = "no_client_certificate"
	// NoTLS: the peer does not speak TLS, and we do.
	NoTLS Kind = "no_tls"
	// NeedsTLS: the peer speaks TLS, and we do not.
	NeedsTLS Kind = "needs_tls"
	// BadTLS: both do, and do not come together.
	BadTLS Kind = "bad_tls"
	// NoName: the name is not known to DNS.
	NoName Kind = "no_name"
	// NoRoute: refused, unreachable, or not answered in time.
	NoRoute Kind = "no_route"
	// ProxyAuth: the proxy wants a user and password, or others.
	ProxyAuth Kind = "proxy_auth"
	// ProxyRefused: the proxy does not lead there.
	ProxyRefused Kind = "proxy_refused"
	// ProxyAway: the proxy itself cannot be reached.
	ProxyAway Kind = "proxy_away"
	// Broken: the connection ended, or the answer is none.
	Broken Kind = "broken"
)

// Error is a connection that failed. Its text is the network's own.
type Error struct {
	Peer Peer
	Kind Kind
	url  *url.URL // nil for the broker
	err  error
}

// Error says what happened.
func (e *Error) Error() string {
	switch e.Kind {
	case NoTLS:
		return "the " + string(e.Peer) + " does not speak TLS at this address: " + e.err.Error()
	case NeedsTLS:
		return "the " + string(e.Peer) + " speaks TLS at this address: " + e.err.Error()
	default:
		return e.err.Error()
	}
}

// Unwrap gives the failure of the network.
func (e *Error) Unwrap() error { return e.err }

// Lasting reports whether nothing but a person can change it.
func (e *Error) Lasting() bool {
	switch e.Kind {
	case Untrusted, OtherName, Expired, NoClientCert, NoTLS, NeedsTLS, ProxyAuth:
		return true
	default:
		return false
	}
}

var errNeedsTLS = errors.New("plain HTTP was refused")

// ExplainBroker makes an [*Error] of a failed connection to the broker. What is no
// failure of the network, and an ended context, it gives back as it is.
func ExplainBroker(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return classified(PeerBroker, nil, err)
}

// explain makes an Error of what a transport met, unless the caller ended it.
func explain(ctx context.Context, peer Peer, u *url.URL, err error) error {
	if errors.Is(err, context.Canceled) || ctx.Err() != nil {
		return err
	}
	return classified(peer, u, err)
}

func classified(peer Peer, u *url.URL, err error) error {
	kind := kindOf(err)
	if kind == "" {
		return err
	}
	return &Error{Peer: peer, Kind: kind, url: u, err: err}
}

// kindOf tells failures apart; empty for one that is not the network's.
func kindOf(err error) Kind {
	op, isOp := errors.AsType[*net.OpError](err)
	if r, ok := errors.AsType[*refusal](err); ok {
		if r.code == http.StatusProxyAuthRequired {
			return ProxyAuth
		}
		return ProxyRefused
	}
	if isOp && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")) {
		return ProxyAway
	}
	if kind := tlsKind(err); kind != "" {
		return kind
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return NoName
	}
	switch {
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`):
		return NeedsTLS // a TLS alert
	case isOp && op.Op == "dial", errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return NoRoute
	case isOp, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "timeout awaiting response headers"):
		return Broken
	}
	return ""
}

func tlsKind(err error) Kind {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return OtherName
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return Expired
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Untrusted
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return NoTLS
	}
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || (op.Op != "remote error" && op.Op != "local error") || op.Err == nil {
		if strings.Contains(err.Error(), "TLS handshake timeout") || strings.HasPrefix(err.Error(), "tls: ") {
			return BadTLS
		}
		return ""
	}
	for _, alert := range []string{"certificate", "access denied"} { // RFC 8446 §6.2
		if op.Op == "remote error" && strings.Contains(op.Err.Error(), alert) {
			return NoClientCert
		}
	}
	return BadTLS
}
