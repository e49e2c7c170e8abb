package config

import (
	"net/netip"
	"regexp"
	"strings"
)

// ListenAddress is an address of this machine, without a port; empty for all of
// them.
type ListenAddress string

var hostName = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?$`)

// UnmarshalText takes an IP address, in brackets or not, or a host name.
func (l *ListenAddress) UnmarshalText(text []byte) error {
	s := string(text)
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if _, err := netip.ParseAddr(bare); err == nil {
		*l = ListenAddress(bare)
		return nil
	}
	if !hostName.MatchString(s) {
		return malformed("is no address of a machine", "write it like 127.0.0.1 or ::1, without the port: that is CONNECTOR_METRICS_PORT")
	}
	*l = ListenAddress(s)
	return nil
}

// MetricName is a part of a metric's name.
type MetricName string

var metricName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`)

// UnmarshalText takes what Prometheus allows.
func (m *MetricName) UnmarshalText(text []byte) error {
	if !metricName.Match(text) {
		return malformed("is no part of a metric's name", "use letters, digits and _, starting with a letter")
	}
	*m = MetricName(text)
	return nil
}
