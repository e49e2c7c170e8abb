package opencti

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// message is an object on its way to the queue.
type message struct {
	ID   stix.ID
	Body []byte
}

// bundleID is the id of the bundle of a receipt.
func bundleID(receipt string) string {
	return "bundle--" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(receipt)).String()
}

// bundlePart is one object of a bundle.
type bundlePart struct {
	id       stix.ID
	sequence int    // its place in the order of dependency
	object   []byte // as JSON
}

// bundleParts makes a part of each object, in the order of the bundle, which is the
// order of dependency.
func bundleParts(objects []encoded) ([]bundlePart, error) {
	b := stix.Bundle{Objects: make([]stix.Object, 0, len(objects))}
	for _, o := range objects {
		b.Objects = append(b.Objects, o.object)
	}
	sequence := b.Sequence()
	parts := make([]bundlePart, 0, len(objects))
	for i, o := range objects {
		id := o.object.ObjectID()
		if len(o.text) < 3 || o.text[len(o.text)-1] != '}' {
			return nil, fmt.Errorf("encode %s: not a JSON object", id)
		}
		// The splitter's own mark, as its last key.
		text := append(slices.Clip(o.text[:len(o.text)-1]), `,"nb_deps":`...)
		text = append(strconv.AppendInt(text, int64(sequence[i]), 10), '}')
		parts = append(parts, bundlePart{id, sequence[i], text})
	}
	return parts, nil
}

// appendBundle writes objects as the official splitter sends them: a bundle with the
// id of the whole one, and the place in the order of dependency.
func appendBundle(out []byte, id string, sequence int, objects ...[]byte) []byte {
	out = append(append(append(out, `{"type":"bundle","id":"`...), id...), `","spec_version":"2.1","x_opencti_seq":`...)
	out = append(strconv.AppendInt(out, int64(sequence), 10), `,"objects":[`...)
	for i, o := range objects {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, o...)
	}
	return append(out, `]}`...)
}

// envelopes makes one message an object, in the order of the bundle, with the keys
// and the order of the official client (vectors: bundle-split.json). Older platforms
// do not know no_split and newer ones do without it. update false still upserts; true
// would also ask for a merge of what several ids of one object match
// (opencti.md §6.7).
func envelopes(objects []encoded, applicant, work string) ([]message, error) {
	parts, err := bundleParts(objects)
	if err != nil {
		return nil, err
	}
	user, err := encode(applicant)
	if err != nil {
		return nil, fmt.Errorf("encode the applicant: %w", err)
	}
	receipt, err := encode(work)
	if err != nil {
		return nil, fmt.Errorf("encode the id of the work: %w", err)
	}
	bundle := bundleID(work)
	messages := make([]message, 0, len(parts))
	var content []byte
	for i, p := range parts {
		content = appendBundle(content[:0], bundle, p.sequence, p.object)
		body := make([]byte, 0, envelopeBytes(p.object)+len(user)+len(receipt))
		body = append(append(body, `{"bundle_type":"QUEUE_BUNDLE","applicant_id":`...), user...)
		body = strconv.AppendInt(append(body, `,"action_sequence":`...), int64(i+1), 10)
		body = base64.StdEncoding.AppendEncode(append(body, `,"entities_types":[],"content":"`...), content)
		body = append(body, `","update":false,"draft_id":null`...)
		if work != "" {
			body = append(append(body, `,"work_id":`...), receipt...)
		}
		messages = append(messages, message{ID: p.id, Body: append(body, '}')})
	}
	return messages, nil
}

// encode writes JSON without the escapes for HTML, which would make a text of
// angle brackets six times as large.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// envelopeBytes is an upper bound of the size of an object's message: base64 of
// the object and of what stands around it, some hundred bytes more than there are.
func envelopeBytes(object []byte) int {
	return base64.StdEncoding.EncodedLen(len(object)+200) + 400
}
