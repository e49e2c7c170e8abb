package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// home is where the platform told the connector to deliver.
type home struct {
	broker     broker
	exchange   string
	routing    string
	queue      string
	applicant  string
	registered bool
}

// registered is the platform's answer to a registration.
type registered struct {
	State  string `json:"connector_state"`
	Reset  bool   `json:"connector_state_reset"`
	UserID string `json:"connector_user_id"`
	Config struct {
		Connection struct {
			Host   string `json:"host"`
			VHost  string `json:"vhost"`
			UseSSL bool   `json:"use_ssl"`
			Port   int    `json:"port"`
			User   string `json:"user"`
			Pass   string `json:"pass"`
		} `json:"connection"`
		Push         string `json:"push"`
		PushRouting  string `json:"push_routing"`
		PushExchange string `json:"push_exchange"`
	} `json:"config"`
}

// state is the state that the platform keeps; nil where it keeps none.
func (r *registered) state() []byte {
	if s := []byte(r.State); len(s) > 0 && json.Valid(s) && r.State != "null" {
		return s
	}
	return nil
}

// inUse is what the platform knows under the connector's id.
type inUse struct {
	registered
	Name string `json:"name"`
	Type string `json:"connector_type"`
}

// known asks for it; nil where the id is free. It needs the right MODULES.
func (p *Platform) known(ctx context.Context) (*inUse, error) {
	var out struct {
		Connector *inUse `json:"connector"`
	}
	err := p.client.do(ctx, opConnector, map[string]any{"id": p.config.ConnectorID}, &out)
	if err != nil && ClassOf(err) != Gone {
		return nil, err
	}
	return out.Connector, nil
}

// register tells the platform about the connector, with what every supported
// version knows of the input, and remembers where to deliver. It is idempotent.
func (p *Platform) register(ctx context.Context) (registered, error) {
	var out struct {
		Answer *registered `json:"registerConnector"`
	}
	err := p.client.do(ctx, opRegister, map[string]any{"input": map[string]any{
		"id":                  p.config.ConnectorID,
		"name":                p.config.Name,
		"type":                p.config.Type,
		"scope":               p.config.Scope,
		"auto":                false,
		"only_contextual":     false,
		"playbook_compatible": false,
	}}, &out)
	if err != nil {
		return registered{}, err
	}
	a := out.Answer
	if a == nil || a.Config.PushExchange == "" || a.Config.PushRouting == "" || a.Config.Push == "" {
		return registered{}, &Error{Class: Temporary, Op: opRegister, Code: "unexpected_shape"}
	}
	h := home{
		broker:     p.config.MQ.override(a),
		exchange:   a.Config.PushExchange,
		routing:    a.Config.PushRouting,
		queue:      a.Config.Push,
		applicant:  p.config.Applicant,
		registered: true,
	}
	if h.applicant == "" {
		h.applicant = a.UserID
	}
	if h.applicant == "" {
		// Workers would import with their own rights, an administrator's.
		return registered{}, &Error{Class: Temporary, Op: opRegister, Code: "no_user"}
	}
	p.queue.target(h.broker)
	p.mu.Lock()
	p.home, p.stale, p.unreached = h, false, nil
	p.mu.Unlock()
	return *a, nil
}

// override puts the operator's settings over what the platform answered.
func (m MQ) override(a *registered) broker {
	c := a.Config.Connection
	b := broker{Host: c.Host, Port: c.Port, VHost: c.VHost, User: c.User, Password: c.Pass, UseSSL: c.UseSSL, TLS: m.TLS}
	if m.Host != "" {
		b.Host = m.Host
	}
	if m.Port != 0 {
		b.Port = m.Port
	}
	if m.VHost != "" {
		b.VHost = m.VHost
	}
	if m.User != "" {
		b.User = m.User
	}
	if m.Password != "" {
		b.Password = m.Password
	}
	if m.UseSSL != nil {
		b.UseSSL = *m.UseSSL
	}
	return b
}

// ready gives where to deliver, after registering again where the connector has
// become unknown.
func (p *Platform) ready(ctx context.Context) (home, error) {
	p.mu.Lock()
	h, stale, unreached := p.home, p.stale, p.unreached
	p.mu.Unlock()
	if h.registered && !stale {
		return h, nil
	}
	if _, err := p.register(ctx); err != nil {
		err = fmt.Errorf("register again: %w", err)
		if e, ok := errors.AsType[*Error](err); ok && unreached != nil && e.Status != 0 && e.Code != "" && e.Code == strings.ToUpper(e.Code) {
			// A platform whose broker is away refuses to register. The broker is what
			// somebody has to look at.
			return home{}, fmt.Errorf("reach the queue: %w; %w", unreached, err)
		}
		return home{}, err
	}
	p.config.Log.InfoContext(ctx, "connector registered again", slog.String("connector_id", p.config.ConnectorID))
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.home, nil
}
