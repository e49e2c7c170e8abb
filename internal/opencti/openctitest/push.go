package openctitest

import "encoding/base64"

// bundlePush is stixBundlePush: the platform makes the message itself. Without a
// broker the message is imported at once.
func (p *Platform) bundlePush(a *account, args map[string]any) (any, error) {
	id, _ := args["connectorId"].(string)
	c := p.connector(id)
	if c == nil {
		return nil, unsupported("No connector found with the specified ID", map[string]any{"id": id})
	}
	bundle, _ := args["bundle"].(string)
	workID, _ := args["work_id"].(string)
	if workID == "" {
		w, err := p.workAdd(a, id, c.name+" run @ "+stamp(p.now()))
		if err != nil {
			return nil, err
		}
		workID = w.id
		if v, err := parseOrdered([]byte(bundle)); err == nil {
			if d, ok := v.(*dict); ok {
				if l, ok := d.values["objects"].([]any); ok && len(l) == 1 {
					if err := p.addExpectations(workID, 1); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	m := newDict()
	m.set("type", "bundle")
	m.set("applicant_id", a.ID)
	m.set("content", base64.StdEncoding.EncodeToString([]byte(bundle)))
	m.set("work_id", workID)
	m.set("update", true)
	return true, p.push(id, m)
}

// push hands a message of the platform's own to the queue, or imports it where
// there is no broker.
func (p *Platform) push(connectorID string, m *dict) error {
	body, err := m.MarshalJSON()
	if err != nil {
		return internal("%s", err.Error())
	}
	if p.broker.enabled() {
		if err := p.broker.publish(connectorID, body); err != nil {
			return internal("%s", err.Error())
		}
		return nil
	}
	if err := p.ingest(body, true); err != nil && err != errHeld { //nolint:errorlint // ingest returns it bare
		return internal("%s", err.Error())
	}
	return nil
}
