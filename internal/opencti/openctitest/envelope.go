package openctitest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// envelope is one message of the push queue.
type envelope struct {
	applicant, work string
	own             bool // the platform made it, of a pushed bundle
	items           []*dict
	bundle          *dict
}

// required and optional keys of a message, opencti.md §3.3, and those of the
// platform's own messages, §2.6.
var (
	requiredKeys = []string{"bundle_type", "applicant_id", "action_sequence", "entities_types", "content", "update", "draft_id"}
	optionalKeys = []string{"no_split", "work_id"}
	ownKeys      = []string{"type", "applicant_id", "content", "work_id", "update"}
	bundleKeys   = []string{"type", "id", "spec_version", "x_opencti_seq", "objects"}
)

// decode reads a message strictly: whatever a connector should not send is a
// violation, and what can be imported all the same is. p.mu is held.
func (p *Platform) decode(body []byte) (*envelope, error) {
	v, err := parseOrdered(body)
	if err != nil {
		return nil, fmt.Errorf("envelope is no JSON: %w", err)
	}
	d, ok := v.(*dict)
	if !ok {
		return nil, errors.New("envelope is no JSON object")
	}
	e := &envelope{applicant: d.text("applicant_id"), work: d.text("work_id"), own: d.text("type") == "bundle"}
	p.checkEnvelope(d, e.own)
	text, err := base64.StdEncoding.DecodeString(d.text("content"))
	if err != nil {
		return nil, fmt.Errorf("content is not base64: %w", err)
	}
	content, err := parseOrdered(text)
	if err != nil {
		return nil, fmt.Errorf("content is no JSON: %w", err)
	}
	e.bundle, ok = content.(*dict)
	if !ok {
		return nil, errors.New("content is no bundle")
	}
	p.checkBundle(e)
	return e, nil
}

func (p *Platform) checkEnvelope(d *dict, own bool) {
	if own {
		for _, k := range d.keys {
			if !slices.Contains(ownKeys, k) {
				p.violate("envelope", "unknown key %s beside type", k)
			}
		}
		return
	}
	for _, k := range requiredKeys {
		if _, ok := d.values[k]; !ok {
			p.violate("envelope", "key %s is missing", k)
		}
	}
	for _, k := range d.keys {
		if !slices.Contains(requiredKeys, k) && !slices.Contains(optionalKeys, k) {
			p.violate("envelope", "unknown key %s", k)
		}
	}
	if s := d.text("bundle_type"); s != "QUEUE_BUNDLE" {
		p.violate("envelope", "bundle_type is %q", s)
	}
	if _, ok := d.values["entities_types"].([]any); !ok {
		p.violate("envelope", "entities_types is no list")
	}
	if d.values["draft_id"] != nil {
		p.violate("envelope", "draft_id is set")
	}
	if d.values["no_split"] == true {
		p.violate("envelope", "no_split is set: older workers ignore it")
	}
}

func (p *Platform) checkBundle(e *envelope) {
	if e.bundle.text("type") != "bundle" || !stixID.MatchString(e.bundle.text("id")) {
		p.violate("envelope", "the content is no bundle with a STIX id")
	}
	for _, k := range e.bundle.keys {
		if !slices.Contains(bundleKeys, k) {
			p.violate("envelope", "unknown key %s in the bundle", k)
		}
	}
	list, _ := e.bundle.values["objects"].([]any)
	for _, o := range list {
		if item, ok := o.(*dict); ok {
			e.items = append(e.items, item)
			p.checkItem(item)
		}
	}
	if !e.own && len(list) != 1 || len(e.items) != len(list) {
		p.violate("envelope", "the bundle holds %d objects, not one", len(list))
	}
}

var stixID = regexp.MustCompile(`^[a-z][a-z0-9-]*--[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// known are the keys of an object that the importer of every supported version
// reads.
var known = map[string][]string{
	"":              {"type", "id", "spec_version", "object_marking_refs", "labels", "external_references", "created_by_ref", "nb_deps", "lang", "revoked", "created", "modified", "confidence", "x_opencti_stix_ids", "opencti_operation", "opencti_field_patch"},
	"channel":       {"name", "description", "aliases", "x_opencti_aliases", "channel_types", "x_opencti_files"},
	"identity":      {"identity_class", "name", "description", "roles", "contact_information", "x_opencti_aliases", "x_opencti_firstname", "x_opencti_lastname", "x_opencti_reliability", "x_opencti_files"},
	"media-content": {"url", "title", "content", "media_category", "publication_date", "x_opencti_description", "x_opencti_score", "x_opencti_created_by_ref", "x_opencti_labels", "x_opencti_files"},
	"relationship":  {"relationship_type", "source_ref", "target_ref", "description", "start_time", "stop_time"},
}

func (p *Platform) checkItem(item *dict) {
	kind, id := item.text("type"), item.text("id")
	keys, ok := known[kind]
	if !ok {
		p.violate("item", "type %q is not one that the connector sends", kind)
		return
	}
	if !stixID.MatchString(id) || !strings.HasPrefix(id, kind+"--") {
		p.violate("item", "%q is not the id of a %s", id, kind)
	}
	for _, k := range item.keys {
		if !slices.Contains(keys, k) && !slices.Contains(known[""], k) {
			p.violate("item", "unknown key %s in a %s", k, kind)
		}
	}
	if k := nullIn(item, ""); k != "" {
		p.violate("item", "null at %s of a %s: platform 6.4.3 crashes on some", k, kind)
	}
}

// nullIn returns the path of the first null in v.
func nullIn(v any, at string) string {
	switch v := v.(type) {
	case nil:
		return at
	case *dict:
		for _, k := range v.keys {
			if n := nullIn(v.values[k], at+"."+k); n != "" {
				return n
			}
		}
	case []any:
		for i, x := range v {
			if n := nullIn(x, fmt.Sprintf("%s[%d]", at, i)); n != "" {
				return n
			}
		}
	}
	return ""
}
