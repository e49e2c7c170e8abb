package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// late reports whether there was no answer in time.
func late(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// silence says that nothing came back, and what may be in the way.
func silence(name, what, address, variable, proxy string) Line {
	hint := "check " + variable + ", and that no firewall drops what this machine sends to " + address + "; where a proxy leads out, set " + proxy
	if proxy == "HTTPS_PROXY" {
		hint += "; if it speaks no TLS, write http:// in " + variable
	}
	return failed(name, what+" "+address+" does not answer", hint)
}

// place is host and port of an address, for a person: nothing that may be secret.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Host
}

// proxyOf is the setting that names the proxy to an address.
func proxyOf(address string) string {
	if strings.HasPrefix(address, "http://") {
		return "HTTP_PROXY"
	}
	return "HTTPS_PROXY"
}

// exposed reports whether an address is spoken to in the clear over more than this
// machine or a network of containers, whose names have no dot.
func exposed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); ip != nil {
		return !ip.IsLoopback() && !ip.IsPrivate()
	}
	return strings.Contains(strings.TrimSuffix(host, ".localhost"), ".")
}

// some lists a few of many.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// amount writes a number with its noun.
func amount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// size writes bytes as a person reads them.
func size(bytes int64) string {
	const unit = 1024
	value, names := float64(bytes), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for len(names) > 1 && value >= unit {
		value, names = value/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %s", value, names[0])
}

// rounded is a duration without what nobody reads.
func rounded(d time.Duration) string { return d.Abs().Round(time.Second).String() }
