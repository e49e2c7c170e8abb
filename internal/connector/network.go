package connector

import (
	"errors"
	"net/http"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/network"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// transport is how requests to the homeserver get out.
func (c *Connector) transport() (http.RoundTripper, error) {
	return network.Homeserver(c.config.Settings)
}

// reach puts into the platform's configuration how it and its broker are reached.
func (c *Connector) reach(o *opencti.Config) (err error) {
	s := c.config.Settings
	o.ThroughAPI = s.Connector.QueueProtocol == config.QueueAPI
	if o.Transport, err = network.Platform(s); err != nil {
		return err
	}
	if o.MQ.TLS, err = network.Broker(s); err != nil {
		return err
	}
	o.MQ.Explain = network.ExplainBroker
	return nil
}

// unreachable reports whether nothing but a person can cure why a peer is not
// reached: a certificate that is not trusted, a proxy that wants a password. It ends
// a start; what was reached once is waited for, since certificates are renewed.
func unreachable(err error) bool {
	e, ok := errors.AsType[*network.Error](err)
	return ok && e.Lasting()
}

// Hint is what an error says a person can do; empty where it says nothing.
func Hint(err error) string {
	h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok {
		return ""
	}
	return h.Hint()
}
