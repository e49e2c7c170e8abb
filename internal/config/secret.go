package config

import (
	"fmt"
	"log/slog"
)

// redacted is all that is ever shown of a secret.
const redacted = "[redacted]"

// confidential is a setting that is shown to nobody.
type confidential interface {
	// texts are what a log must hide; none when the setting is not set.
	texts() []string
}

var (
	_ confidential = Secret{}
	_ confidential = Headers{}
)

// Secret is a value that is handed to whoever needs it and shown to nobody. The
// zero value is "not set".
//
// The text hangs on a pointer because fmt calls no methods on unexported fields:
// of a Secret inside such a field it prints an address.
type Secret struct{ text *string }

// NewSecret makes a secret of the text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal is the text, empty when the secret is not set.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

func (s Secret) texts() []string {
	if s.text == nil {
		return nil
	}
	return []string{*s.text}
}

// String is "[redacted]".
func (Secret) String() string { return redacted }

// GoString is "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is "[redacted]"; JSON and YAML encoders use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the text as it is; [Load] has trimmed it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
