package network

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// proxies chooses the proxy of a request by HTTP_PROXY, HTTPS_PROXY and NO_PROXY,
// with their usual meaning: hosts, domains with or without a leading dot, addresses
// and CIDR ranges, each with a port or without; the machine itself is never
// proxied. The settings are read once, so that the passwords in them can leave the
// environment.
func proxies(n config.Network) (func(*http.Request) (*url.URL, error), error) {
	for variable, value := range map[string]string{"HTTP_PROXY": n.HTTPProxy.Reveal(), "HTTPS_PROXY": n.HTTPSProxy.Reveal()} {
		// What cannot be read would be passed over, and requests go out directly.
		if value != "" && !isProxy(value) {
			return nil, &SettingError{
				Variable: variable, Wrong: "is not the address of a proxy",
				Cure: "write it like http://proxy.example.org:3128, with user and password before an @ where it wants them (percent-encoded)",
			}
		}
	}
	choose := (&httpproxy.Config{
		HTTPProxy: n.HTTPProxy.Reveal(), HTTPSProxy: n.HTTPSProxy.Reveal(), NoProxy: n.NoProxy,
	}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }, nil
}

func isProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return false
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	}
	return false
}

// proxyVariable is the setting that the proxy of an URL comes from.
func proxyVariable(u *url.URL) string {
	if u.Scheme == "http" {
		return "HTTP_PROXY"
	}
	return "HTTPS_PROXY"
}
