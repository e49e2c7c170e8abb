package config

import (
	"slices"
	"strings"
)

// QueueProtocol is how messages reach the platform's workers.
type QueueProtocol string

// The protocols: through the broker, or as calls of the platform that puts them
// there.
const (
	QueueAMQP QueueProtocol = "amqp"
	QueueAPI  QueueProtocol = "api"
)

func (QueueProtocol) choices() []string { return []string{string(QueueAMQP), string(QueueAPI)} }

// UnmarshalText takes a protocol in any case.
func (q *QueueProtocol) UnmarshalText(text []byte) error {
	return choose(text, q, "is no queue protocol", "write amqp, or api where the broker cannot be reached")
}

// Redactions is what becomes of a message that is deleted in Matrix.
type Redactions string

// The ways: replace the text by a notice, delete the object, or only mark it.
const (
	RedactionsMask   Redactions = "mask"
	RedactionsDelete Redactions = "delete"
	RedactionsKeep   Redactions = "keep"
)

func (Redactions) choices() []string {
	return []string{string(RedactionsMask), string(RedactionsDelete), string(RedactionsKeep)}
}

// UnmarshalText takes a way in any case.
func (r *Redactions) UnmarshalText(text []byte) error {
	return choose(text, r, "is no way to treat deleted messages", "write mask, delete or keep")
}

// choice is a setting with a closed set of values.
type choice interface {
	~string
	choices() []string
}

func choose[T choice](text []byte, to *T, wrong, cure string) error {
	s := strings.ToLower(string(text))
	if !slices.Contains((*to).choices(), s) {
		return malformed(wrong, cure)
	}
	*to = T(s)
	return nil
}
