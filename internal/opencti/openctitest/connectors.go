package openctitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// connector is a registration.
type connector struct {
	id, name, kind string
	scope          []string
	auto           bool
	user           string
	state          *string
	reset          *bool // nil until the first reset
	info           map[string]any
	updated        time.Time
	created        time.Time
	deleted        *time.Time // a deleted one is kept for the time of its refusal
	messages, size int        // of the queue, as known at the last question
}

func (p *Platform) connector(id string) *connector {
	if c := p.connectors[id]; c != nil && c.deleted == nil {
		return c
	}
	return nil
}

func (p *Platform) register(a *account, in map[string]any) (*connector, error) {
	id, _ := in["id"].(string)
	c := p.connectors[id]
	if c != nil && c.deleted != nil {
		if p.now().Sub(*c.deleted) < p.cfg.RegisterRefusal {
			return nil, internal(`Unexpected error value: { message: "Execution timeout, too many concurrent call on the same entities", extensions: { code: "LOCK_ERROR", data: [Object] } }`)
		}
		delete(p.connectors, id)
		c = nil
	}
	if strings.Contains(id, "_") {
		p.violate("registerConnector", "the id %q contains _, on which the platform splits work ids", id)
	}
	if c == nil {
		c = &connector{id: id, created: p.now()}
		p.connectors[id] = c
	}
	c.name, _ = in["name"].(string)
	c.kind, _ = in["type"].(string)
	c.auto, _ = in["auto"].(bool)
	c.scope = nil
	if l, ok := in["scope"].([]any); ok {
		c.scope = texts(l)
	}
	c.user, c.updated = a.ID, p.now()
	if err := p.broker.declare(id); err != nil {
		return nil, internal("%s", err.Error())
	}
	return c, nil
}

func (p *Platform) ping(id string, args map[string]any) (*connector, error) {
	c := p.connector(id)
	if c == nil {
		return nil, functional("No connector found with the specified ID", map[string]any{"id": id})
	}
	c.updated = p.now()
	if info, ok := args["connectorInfo"].(map[string]any); ok {
		c.info = info
	}
	if c.reset != nil && *c.reset {
		*c.reset = false
		return c, nil
	}
	state, given := args["state"].(string)
	if !given {
		return c, nil
	}
	was := c.state
	c.state = &state
	if p.gen == Gen7 {
		for _, s := range []*string{was, &state} {
			if s != nil && *s != "" && !json.Valid([]byte(*s)) {
				return nil, internal("%s", notJSON(*s))
			}
		}
	}
	// The queues are asserted again, as after a loss of the broker's data.
	if err := p.broker.declare(id); err != nil {
		return nil, internal("%s", err.Error())
	}
	return c, nil
}

// notJSON is what JavaScript says of a text that is no JSON.
func notJSON(s string) string {
	var syntax *json.SyntaxError
	var v any
	if errors.As(json.Unmarshal([]byte(s), &v), &syntax) && syntax.Offset > 0 && int(syntax.Offset) <= len(s) {
		return fmt.Sprintf("Unexpected token '%c', %q is not valid JSON", s[syntax.Offset-1], s)
	}
	return "Unexpected end of JSON input"
}

func (p *Platform) resetState(id string) (*connector, error) {
	c := p.connector(id)
	if c == nil {
		return nil, functional("No connector found with the specified ID", map[string]any{"id": id})
	}
	empty, yes := "", true
	c.state, c.reset = &empty, &yes
	p.faults.purge()
	if err := p.broker.purge(id); err != nil {
		return nil, internal("%s", err.Error())
	}
	return c, nil
}

func (p *Platform) deleteConnector(id string) error {
	c := p.connector(id)
	if c == nil {
		return alreadyDeleted(map[string]any{"connectorId": id})
	}
	now := p.now()
	c.deleted = &now
	for wid, w := range p.works {
		if w.connector == id {
			delete(p.works, wid)
		}
	}
	p.faults.purge()
	if err := p.broker.remove(id); err != nil {
		return internal("%s", err.Error())
	}
	return nil
}

func (p *Platform) connectorView(c *connector) *object {
	if c == nil {
		return nil
	}
	var state, reset any
	if c.state != nil {
		state = *c.state
	}
	if c.reset != nil {
		reset = *c.reset
	}
	// The count that the platform shows lags behind the queue.
	messages, size := c.messages, c.size
	c.messages, c.size = p.broker.count(c.id)
	if !p.broker.enabled() {
		c.messages = p.faults.held()
	}
	var info any
	if c.info != nil {
		info = &object{typ: "ConnectorInfo", fields: withDefaults(c.info, "run_and_terminate", "buffering", "queue_threshold", "queue_messages_size", "next_run_datetime", "last_run_datetime")}
	}
	return &object{typ: "Connector", fields: map[string]any{
		"id": c.id, "name": c.name, "active": true, "auto": c.auto, "connector_type": c.kind, "connector_scope": c.scope,
		"connector_state": state, "connector_state_reset": reset, "connector_user_id": c.user,
		"created_at": stamp(c.created), "updated_at": stamp(c.updated), "connector_info": info, "jwks": `{"keys":[]}`,
		"connector_queue_details": &object{typ: "ConnectorQueueDetails", fields: map[string]any{"messages_number": messages, "messages_size": size}},
		"config":                  p.configView(c.id),
	}}
}

func withDefaults(m map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		out[k] = m[k]
	}
	return out
}

func (p *Platform) configView(id string) *object {
	b := p.broker.settings
	return &object{typ: "ConnectorConfig", fields: map[string]any{
		"connection": &object{typ: "RabbitMQConnection", fields: map[string]any{
			"host": b.Host, "vhost": b.VHost, "use_ssl": b.TLS, "port": b.Port, "user": b.User, "pass": b.Password,
		}},
		"listen": b.Prefix + "listen_" + id, "listen_routing": b.Prefix + "listen_routing_" + id, "listen_exchange": b.Prefix + "amqp.connector.exchange",
		"push": b.Prefix + "push_" + id, "push_routing": b.Prefix + "push_routing_" + id, "push_exchange": b.Prefix + "amqp.worker.exchange",
		"dead_letter_routing": b.Prefix + "listen_routing_too-large-bundle", "listen_callback_uri": nil,
		"s3": &object{typ: "S3Connection", fields: map[string]any{
			"endpoint": "127.0.0.1", "port": 9000, "use_ssl": false, "bucket_name": "opencti-bucket", "bucket_region": "us-east-1", "access_key": "access", "secret_key": "secret",
		}},
	}}
}
