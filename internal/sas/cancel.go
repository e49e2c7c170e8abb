package sas

import (
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"
)

// Code is why a verification was cancelled (C-S API, m.key.verification.cancel).
type Code string

// The codes of the specification.
const (
	CodeUser                 Code = "m.user"
	CodeTimeout              Code = "m.timeout"
	CodeUnknownTransaction   Code = "m.unknown_transaction"
	CodeUnknownMethod        Code = "m.unknown_method"
	CodeUnexpectedMessage    Code = "m.unexpected_message"
	CodeKeyMismatch          Code = "m.key_mismatch"
	CodeUserMismatch         Code = "m.user_mismatch"
	CodeInvalidMessage       Code = "m.invalid_message"
	CodeAccepted             Code = "m.accepted"
	CodeMismatchedCommitment Code = "m.mismatched_commitment"
	CodeMismatchedSAS        Code = "m.mismatched_sas"
)

// reasons is what we tell a person at the other side, whose client does not know the code.
var reasons = map[Code]string{
	CodeUser:                 "The verification was cancelled.",
	CodeTimeout:              "The verification took too long.",
	CodeUnknownTransaction:   "This verification is not known here.",
	CodeUnknownMethod:        "There is no verification method in common.",
	CodeUnexpectedMessage:    "A message came that was not expected.",
	CodeKeyMismatch:          "The keys are not the expected ones.",
	CodeUserMismatch:         "Another account was expected.",
	CodeInvalidMessage:       "A message came that is not valid.",
	CodeAccepted:             "The verification was accepted on another device.",
	CodeMismatchedCommitment: "The key is not the one that was promised.",
	CodeMismatchedSAS:        "The short authentication strings are not the same.",
}

// Cancellation is how a verification was cancelled.
type Cancellation struct {
	Code Code // empty when theirs was no code
	Ours bool // by us; otherwise by the other side, or by another device of our account
}

// Cancellation tells how the verification was cancelled, if it was.
func (v *Verification) Cancellation() (Cancellation, bool) {
	return v.cancellation, v.state == StateCancelled
}

// Cancel ends the verification: the person here does not want to, or the caller found a
// reason. It is fine to call it at any time; what has ended stays as it is.
func (v *Verification) Cancel(code Code) []Message {
	if v.state.Ended() {
		return nil
	}
	v.end(Cancellation{Code: code, Ours: true})
	if v.transaction == "" {
		return nil // nobody has heard of it
	}
	to := v.devices
	if v.their.Device != "" {
		to = []id.DeviceID{v.their.Device}
	}
	return []Message{v.cancelling(code, to)}
}

// Mismatch is [Verification.Cancel] by a person who sees other emoji than the other one.
func (v *Verification) Mismatch() []Message { return v.Cancel(CodeMismatchedSAS) }

// Expire cancels the verification if its time is over. In ten minutes a person could not
// be reached, or lost interest; nobody is to confirm it a day later.
func (v *Verification) Expire(now time.Time) []Message {
	if v.state.Ended() || now.Before(v.expires) {
		return nil
	}
	if v.state == StateAsked && !v.supported {
		// Another of our devices may be able to: it is not ours to refuse.
		v.end(Cancellation{Code: CodeTimeout, Ours: true})
		return nil
	}
	return v.Cancel(CodeTimeout)
}

// end forgets the secrets, too.
func (v *Verification) end(c Cancellation) {
	v.state, v.cancellation, v.sas = StateCancelled, c, [6]byte{}
	v.forget()
}

func (v *Verification) forget() {
	v.ephemeral, v.secret, v.pending, v.seen = nil, nil, nil, nil
}

func (v *Verification) cancelling(code Code, to []id.DeviceID) Message {
	reason, known := reasons[code]
	if !known {
		reason = reasons[CodeUser]
	}
	return v.message(typeCancel, map[string]any{"code": string(code), "reason": reason}, to)
}

// onCancel ends the verification, whatever their message looks like otherwise.
func (v *Verification) onCancel(e Event, f fields) []Message {
	code, _ := f.text("code")
	asking := v.state == StateAsking
	v.end(Cancellation{Code: cleanCode(code)})
	if !asking {
		return nil
	}
	// One of their devices refused: the others need not ask any more. Which one it was
	// is known only when it said so in ciphertext.
	return v.others(CodeUser, e.Device)
}

// others cancels the request at all devices but one.
func (v *Verification) others(code Code, but id.DeviceID) []Message {
	var to []id.DeviceID
	for _, d := range v.devices {
		if d != but {
			to = append(to, d)
		}
	}
	if len(to) == 0 {
		return nil
	}
	return []Message{v.cancelling(code, to)}
}

// cleanCode is a code that can be shown: theirs may be anything.
func cleanCode(code string) Code {
	const most = 64
	if len(code) > most {
		return ""
	}
	for _, r := range code {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-' {
			return ""
		}
	}
	return Code(code)
}

// What becomes of a call that does not fit.
var (
	ErrState       = errors.New("not possible in this state")
	ErrUnsupported = errors.New("no verification method in common")
)

func (v *Verification) notNow(what string) error {
	return fmt.Errorf("%s a verification that is %s: %w", what, v.state, ErrState)
}
