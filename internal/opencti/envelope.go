package opencti

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// envelope is one message for the workers, with the keys and the order of the
// official client (vectors: bundle-split.json). Older platforms do not know
// no_split and newer ones do without it.
type envelope struct {
	BundleType     string   `json:"bundle_type"`
	ApplicantID    string   `json:"applicant_id"`
	ActionSequence int      `json:"action_sequence"`
	EntitiesTypes  []string `json:"entities_types"`
	Content        []byte   `json:"content"` // base64 in JSON
	// Update false still upserts; true would also ask for a merge of what several
	// ids of one object match (opencti.md §6.7).
	Update  bool    `json:"update"`
	DraftID *string `json:"draft_id"`
	WorkID  string  `json:"work_id,omitempty"`
}

// part is a bundle of a single object, as the official splitter makes it: with
// the id of the whole bundle, and the object's place in the dependency order.
type part struct {
	Type        string            `json:"type"`
	ID          string            `json:"id"`
	SpecVersion string            `json:"spec_version"`
	Sequence    int               `json:"x_opencti_seq"`
	Objects     []json.RawMessage `json:"objects"`
}

// message is an object on its way to the queue.
type message struct {
	ID   stix.ID
	Body []byte
}

// bundleID is the id of the bundle of a receipt.
func bundleID(receipt string) string {
	return "bundle--" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(receipt)).String()
}

// bundlePart is the part of one object.
type bundlePart struct {
	id   stix.ID
	part part
}

// bundleParts makes a part of each object, in the order of the bundle, which is the
// order of dependency.
func bundleParts(b stix.Bundle, receipt string) ([]bundlePart, error) {
	sequence := b.Sequence()
	parts := make([]bundlePart, 0, len(b.Objects))
	for i, o := range b.Objects {
		object, err := stix.Marshal(o)
		if err != nil {
			return nil, err
		}
		if !bytes.HasSuffix(object, []byte("}")) || len(object) < 3 {
			return nil, fmt.Errorf("encode %s: not a JSON object", o.ObjectID())
		}
		// The splitter's own mark, as its last key.
		object = fmt.Appendf(object[:len(object)-1], `,"nb_deps":%d}`, sequence[i])
		parts = append(parts, bundlePart{o.ObjectID(), part{
			Type: "bundle", ID: bundleID(receipt), SpecVersion: "2.1", Sequence: sequence[i], Objects: []json.RawMessage{object},
		}})
	}
	return parts, nil
}

// envelopes makes one message an object, in the order of the bundle.
func envelopes(b stix.Bundle, applicant, work string) ([]message, error) {
	parts, err := bundleParts(b, work)
	if err != nil {
		return nil, err
	}
	messages := make([]message, 0, len(parts))
	for i, p := range parts {
		content, err := encode(p.part)
		if err != nil {
			return nil, fmt.Errorf("encode the bundle of %s: %w", p.id, err)
		}
		body, err := encode(envelope{
			BundleType:     "QUEUE_BUNDLE",
			ApplicantID:    applicant,
			ActionSequence: i + 1,
			EntitiesTypes:  []string{},
			Content:        content,
			WorkID:         work,
		})
		if err != nil {
			return nil, fmt.Errorf("encode the envelope of %s: %w", p.id, err)
		}
		messages = append(messages, message{ID: p.id, Body: body})
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
