package network

import (
	"cmp"
	"crypto/x509"
	"errors"
	"net"
	"strings"
)

// Hint says what a person can do about it, and names the setting.
func (e *Error) Hint() string {
	v, name := e.Peer.variables(), "the "+string(e.Peer)
	proxy := "HTTPS_PROXY"
	if e.url != nil {
		proxy = proxyVariable(e.url)
	}
	way := ""
	if e.Peer != PeerBroker {
		way = " (or set " + proxy + " where a proxy leads out)"
	}
	switch e.Kind {
	case Untrusted:
		hint := "set " + v.trust + " to the certificate of the authority that signed " + name + "'s"
		if e.Peer == PeerBroker {
			hint += "; MQ_USE_SSL_REJECT_UNAUTHORIZED=false would trust whoever answers"
		}
		return hint
	case OtherName:
		hint := "set " + v.address + " to a name that the certificate bears"
		if h, ok := errors.AsType[x509.HostnameError](e.err); ok && len(h.Certificate.DNSNames) > 0 {
			hint += " (" + strings.Join(h.Certificate.DNSNames[:min(len(h.Certificate.DNSNames), 5)], ", ") + ")"
		}
		return hint + ", or have one made for this name"
	case Expired:
		return "renew " + name + "'s certificate, or set this machine's clock: one of them is wrong"
	case NoClientCert:
		return name + " asks for a client certificate that it accepts: set " + v.client
	case NoTLS:
		return v.plain + ", or " + v.port + " at which " + name + " speaks TLS"
	case NeedsTLS:
		return v.secure
	case BadTLS:
		return "look at what stands at " + v.address + ": it speaks no TLS of version 1.2 or newer that fits"
	case NoName:
		return "check the name in " + v.address + ": this machine's DNS does not know it" + way
	case NoRoute:
		hint := "check " + v.address + ", and that a firewall lets this machine reach it"
		if e.Peer == PeerBroker {
			return hint + "; where the broker cannot be reached at all, CONNECTOR_QUEUE_PROTOCOL=api goes through the platform"
		}
		if e.loopback() {
			hint += "; inside a container " + e.host() + " is the container itself"
		}
		return hint + way
	case ProxyAuth:
		return "write the proxy's user and password into " + proxy + ": http://user:password@proxy:port, percent-encoded"
	case ProxyRefused:
		return "the proxy of " + proxy + " does not lead to " + name + ": ask who runs it, or name the host in NO_PROXY"
	case ProxyAway:
		return "check " + proxy + ", or name " + cmp.Or(e.host(), "the host") + " in NO_PROXY to reach it directly"
	case Broken:
		if e.Peer == PeerBroker {
			return "check MQ_PORT and MQ_USE_SSL: something there closes the connection or says nothing, as a broker that speaks TLS does to one who does not"
		}
		if e.url != nil && e.url.Scheme == "https" {
			return "check " + v.address + ": something there closes the connection; if it speaks no TLS, " + v.plain
		}
	}
	return ""
}

// loopback reports whether the address is one that each machine, and each container,
// has for itself.
func (e *Error) loopback() bool {
	ip := net.ParseIP(e.host())
	return e.host() == "localhost" || ip != nil && ip.IsLoopback()
}

func (e *Error) host() string {
	if e.url == nil {
		return ""
	}
	return e.url.Hostname()
}
