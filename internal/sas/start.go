package sas

import (
	"slices"
	"time"
)

// What we can do, of each kind.
const (
	agreement = "curve25519-hkdf-sha256"
	hash      = "sha256"
	emoji     = "emoji"
	decimal   = "decimal"
)

// Start begins the comparison. Either side may, when both are ready: usually the one
// that asked. When both do at once, one of the two starts is as if it had not been sent.
func (v *Verification) Start() ([]Message, error) {
	if v.state != StateReady {
		return nil, v.notNow("start")
	}
	m := v.send(typeStart, map[string]any{
		"from_device":                  string(v.own.Device),
		"method":                       method,
		"key_agreement_protocols":      []string{agreement},
		"hashes":                       []string{hash},
		"message_authentication_codes": v.macs,
		"short_authentication_string":  []string{decimal, emoji},
	})
	// The other side hashes the content as it came, relation included.
	v.state, v.weStarted, v.start = StateStarted, true, m.Content
	return []Message{m}, nil
}

// onStart takes the start of the other side.
func (v *Verification) onStart(e Event, f fields) []Message {
	kind, ok := f.text("method")
	switch {
	case v.state != StateReady && v.state != StateStarted:
		return v.Cancel(CodeUnexpectedMessage)
	case !ok || f.device() == "":
		return v.Cancel(CodeInvalidMessage)
	case kind != method && v.state == StateStarted:
		return v.Cancel(CodeUnexpectedMessage)
	case v.state == StateStarted && !v.theirsWins():
		return nil
	}
	if code := v.agree(e, f); code != "" {
		return v.Cancel(code)
	}
	return []Message{v.accept()}
}

// theirsWins tells whose start counts if both sent one: that of the smaller user id, or
// device id where the users are the same.
func (v *Verification) theirsWins() bool {
	if v.their.User != v.own.User {
		return v.their.User < v.own.User
	}
	return v.their.Device < v.own.Device
}

// agree chooses from what their start offers.
func (v *Verification) agree(e Event, f fields) Code {
	if kind, _ := f.text("method"); kind != method {
		return CodeUnknownMethod
	}
	var offers [4][]string
	for i, name := range []string{"key_agreement_protocols", "hashes", "message_authentication_codes", "short_authentication_string"} {
		var ok bool
		if offers[i], ok = f.list(name); !ok {
			return CodeInvalidMessage
		}
	}
	if !slices.Contains(offers[0], agreement) || !slices.Contains(offers[1], hash) {
		return CodeUnknownMethod
	}
	mac := slices.IndexFunc(v.macs, func(m string) bool { return slices.Contains(offers[2], m) })
	var kinds []string
	for _, kind := range []string{decimal, emoji} {
		if slices.Contains(offers[3], kind) {
			kinds = append(kinds, kind)
		}
	}
	if mac < 0 || len(kinds) == 0 {
		return CodeUnknownMethod
	}
	start, err := canonicalize(e.Content)
	if err != nil {
		return CodeInvalidMessage
	}
	v.weStarted, v.start, v.mac, v.strings = false, start, v.macs[mac], kinds
	return ""
}

// accept says what was chosen, and promises our key before theirs is known.
func (v *Verification) accept() Message {
	v.state = StateAccepted
	return v.send(typeAccept, map[string]any{
		"method":                      method,
		"key_agreement_protocol":      agreement,
		"hash":                        hash,
		"message_authentication_code": v.mac,
		"short_authentication_string": v.strings,
		"commitment":                  encode(commitment(v.ephemeral.PublicKey().Bytes(), v.start)),
	})
}

// beginBare is what [Requested] makes of a start without a request (deprecated, "clients
// should handle such verifications").
func (v *Verification) beginBare(e Event, f fields, now time.Time) (*Verification, []Message, error) {
	v.bare, v.supported, v.expires = true, true, now.Add(Lifetime)
	if _, ok := f.text("method"); !ok {
		return nil, nil, ErrContent
	}
	if code := v.agree(e, f); code != "" {
		return v, v.Cancel(code), nil
	}
	return v, nil, nil
}

// onAccept takes what the other side chose from our start.
func (v *Verification) onAccept(_ Event, f fields) []Message {
	if v.state != StateStarted {
		return v.Cancel(CodeUnexpectedMessage)
	}
	var chosen [3]string
	for i, name := range []string{"key_agreement_protocol", "hash", "message_authentication_code"} {
		var ok bool
		if chosen[i], ok = f.text(name); !ok {
			return v.Cancel(CodeInvalidMessage)
		}
	}
	promised, given := f.text("commitment")
	promise, isBase64 := decode(promised)
	kinds, isList := f.list("short_authentication_string")
	if !given || !isBase64 || !isList {
		return v.Cancel(CodeInvalidMessage)
	}
	// The method is required, and left out by some.
	if kind, said := f.text("method"); said && kind != method || f["method"] != nil && !said {
		return v.Cancel(CodeUnknownMethod)
	}
	known := func(kind string) bool { return kind == decimal || kind == emoji }
	if chosen[0] != agreement || chosen[1] != hash || !slices.Contains(v.macs, chosen[2]) ||
		len(kinds) == 0 || !slices.ContainsFunc(kinds, known) {
		return v.Cancel(CodeUnknownMethod)
	}
	v.state, v.mac, v.strings, v.promise = StateKeyed, chosen[2], kinds, promise
	return []Message{v.sendKey()}
}
