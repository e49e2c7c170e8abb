package openctitest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// Item is one object of a bundle, as fault predicates see it.
type Item struct {
	Type, ID string
	Work     string
	// Text is the object as JSON.
	Text string
}

func newItem(d *dict, work string) Item {
	b, err := json.Marshal(d)
	if err != nil {
		b = nil
	}
	return Item{Type: d.text("type"), ID: d.text("id"), Work: work, Text: string(b)}
}

// importItem does what the worker does with one object. The failure that it
// returns stands in the work; source is what the worker sends along.
func (p *Platform) importItem(a *account, item *dict) *platformError {
	switch item.text("opencti_operation") {
	case "delete":
		return asFailure(p.remove(a, item.text("id")))
	case "patch":
		list, _ := plain(item.values["opencti_field_patch"]).([]any)
		patch := p.patchDomain
		if item.text("type") == mediaKind.stix {
			patch = p.patchObservable
		}
		_, err := patch(a, item.text("id"), edits(list))
		return asFailure(err)
	}
	in := p.inputOf(item)
	inline := in.files
	if p.gen == Gen7 {
		marks, err := p.inlineMarkings(a, in)
		if err != nil {
			return asFailure(err)
		}
		e, err := p.upsert(a, in)
		if err != nil {
			return asFailure(err)
		}
		for i, f := range inline {
			p.storeInline(a, e, f, marks[i])
		}
		return nil
	}
	if _, err := p.upsert(a, in); err != nil {
		return asFailure(err)
	}
	// Generation 6 uploads each file after the object, by the very mutation
	// that a connector may call.
	for _, f := range inline {
		if fail := p.pushInline(a, in.given, f); fail != nil {
			return fail
		}
	}
	return nil
}

func (p *Platform) pushInline(a *account, id string, f fileInput) *platformError {
	switch {
	case !f.hasType:
		return &platformError{code: "", message: "'mime_type'", bare: true}
	case f.name == "":
		return internal("File missing in the request.")
	case !a.may("KNOWLEDGE_KNUPLOAD"):
		return forbidden()
	}
	s, err := p.importPush(a, id, f)
	if err == nil && f.markings == nil {
		s.markings = nil
	}
	return asFailure(err)
}

// inlineMarkings are the markings of each file of an item: its own, else the
// object's. One that the user may not use drops the whole item.
func (p *Platform) inlineMarkings(a *account, in *input) ([][]string, error) {
	var out [][]string
	for _, f := range in.files {
		ids := f.markings
		if ids == nil {
			resolved, err := p.resolveMarkings(a, in.markings, false)
			if err != nil {
				return nil, err
			}
			ids = resolved
		}
		m, err := p.fileMarkings(a, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// storeInline keeps a file that came inside an object on generation 7: the
// version is ignored, identical bytes are left alone.
func (p *Platform) storeInline(a *account, e *entity, f fileInput, marks []string) {
	if old := p.graph.files[fileID(e, cleanName(f.name))]; old != nil && old.sha256 == f.sha256 {
		return
	}
	p.store(a, e, f, marks, false)
}

func asFailure(err error) *platformError {
	if err == nil {
		return nil
	}
	if f, ok := err.(*platformError); ok { //nolint:errorlint // platform errors are never wrapped
		return f
	}
	return internal("%s", err.Error())
}

// inputOf reads an object as the importer reads it.
func (p *Platform) inputOf(item *dict) *input {
	in := &input{given: item.text("id"), stixIDs: item.strings("x_opencti_stix_ids"), fields: map[string]any{}, variable: "$input"}
	switch item.text("type") {
	case "channel":
		in.kind = channelKind
	case "identity":
		in.kind = individualKind
		if fold(item.text("identity_class")) != "individual" {
			in.kind = organizationKind
		}
	case "media-content":
		in.kind, in.variable = mediaKind, "$MediaContent"
	case "relationship":
		in.kind = relationKind
		in.relation, in.from, in.to = item.text("relationship_type"), item.text("source_ref"), item.text("target_ref")
		in.start, in.stop = timeArg(item.values["start_time"]), timeArg(item.values["stop_time"])
		for _, k := range []string{"start_time", "stop_time"} {
			if s := item.text(k); s != "" && timeArg(s) == nil {
				in.badDate, in.badValue = k, s
			}
		}
	}
	for _, k := range in.kind.texts {
		if v, ok := item.values[k]; ok {
			in.fields[k] = scalar(v)
		}
	}
	for _, k := range in.kind.fixed {
		if v, ok := item.values[k]; ok {
			in.fields[k] = scalar(v)
		}
	}
	for _, k := range in.kind.lists {
		if l := item.strings(k); l != nil {
			in.fields[k] = l
		}
	}
	if in.kind == channelKind {
		if l := item.strings("x_opencti_aliases"); l != nil {
			in.fields["aliases"] = l
		}
	}
	if in.kind == mediaKind && in.fields["x_opencti_description"] == nil && item.text("description") != "" {
		in.fields["x_opencti_description"] = item.text("description")
	}
	in.author = first(item.text("created_by_ref"), item.text("x_opencti_created_by_ref"))
	in.markings = item.strings("object_marking_refs")
	in.labels = append(item.strings("labels"), item.strings("x_opencti_labels")...)
	if n, ok := item.values["confidence"].(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			c := int(i)
			in.confidence = &c
		}
	}
	in.files = inlineFiles(item)
	return in
}

func first(s ...string) string {
	for _, x := range s {
		if x != "" {
			return x
		}
	}
	return ""
}

func inlineFiles(item *dict) []fileInput {
	list, _ := item.values["x_opencti_files"].([]any)
	var out []fileInput
	for _, x := range list {
		d, ok := x.(*dict)
		if !ok {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(d.text("data"))
		if err != nil {
			continue
		}
		sum := sha256.Sum256(data)
		f := fileInput{name: d.text("name"), mediaType: d.text("mime_type"), size: int64(len(data)), sha256: hex.EncodeToString(sum[:]), data: data, markings: d.strings("object_marking_refs"), version: timeArg(d.values["version"])}
		_, f.hasType = d.values["mime_type"]
		f.noTrigger, _ = d.values["no_trigger_import"].(bool)
		out = append(out, f)
	}
	return out
}

// workText is the text of the error as the worker reports it.
func (f *platformError) workText() string {
	if f.code == "" {
		return f.message
	}
	return pythonDict(f)
}

// source is the item as it stands beside the error: with the number of its
// dependencies and, for what the importer has already filled in, its nulls.
func (p *Platform) source(item *dict) string {
	d := newDict()
	for _, k := range item.keys {
		d.set(k, item.values[k])
	}
	if _, ok := d.values["nb_deps"]; !ok {
		d.set("nb_deps", json.Number("1"))
	}
	if item.text("opencti_operation") == "" {
		var filled []string
		switch item.text("type") {
		case "relationship":
			filled = []string{"x_opencti_stix_ids", "x_opencti_granted_refs", "x_opencti_workflow_id"}
		case "channel", "identity":
			filled = []string{"x_opencti_stix_ids", "x_opencti_granted_refs"}
		}
		if filled != nil && p.gen == Gen7 {
			filled = append(filled, "x_opencti_modified_at", "opencti_upsert_operations")
		}
		for _, k := range filled {
			if _, ok := d.values[k]; !ok {
				d.set(k, nil)
			}
		}
	}
	s := pythonJSON(d)
	if len(s) >= 50000 {
		return "Bundle too large"
	}
	return strings.ToValidUTF8(s, "")
}
