package matrix

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// absorb reads events of a room, oldest first, into b: each ends in exactly one of
// Events, Undecrypted and Unreadable. live is true for news from /sync.
//
// It runs inside [Account.transact]. State events among raws are events like
// others: they do not change what is known of the room, since a page of the past
// says nothing about the present.
func (a *Account) absorb(ctx context.Context, m *machine, b *timeline.Batch, room id.RoomID, raws []json.RawMessage, live bool) error {
	view, err := a.rooms().view(ctx, room)
	if err != nil {
		return err
	}
	for _, raw := range raws {
		e, problem := readEvent(raw)
		if err := a.absorbOne(ctx, m, b, view, e, problem, live); err != nil {
			return err
		}
	}
	return nil
}

// absorbOne reads one event. A panic is the event's own end: it becomes an
// unreadable row.
func (a *Account) absorbOne(ctx context.Context, m *machine, b *timeline.Batch, view *roomView, e wireEvent, problem string, live bool) (err error) {
	if problem != "" {
		b.Unreadable = append(b.Unreadable, a.unreadable(view.id, e, problem))
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			a.log.ErrorContext(ctx, "event broke its reader", slog.String("room_id", view.id.String()),
				slog.String("event_id", e.ID.String()), slog.String("stack", string(debug.Stack())))
			b.Unreadable = append(b.Unreadable, a.unreadable(view.id, e, badReader))
			err = nil
		}
	}()
	out := timeline.Event{
		Room: view.id, ID: e.ID, Sender: e.Sender, Type: e.Type, StateKey: e.StateKey,
		Content: e.Content, Raw: e.Raw, Live: live, Received: a.received(),
	}
	if out.Sent = out.Received; e.timed {
		out.Sent = timeline.ClampTime(e.Sent)
	}
	if out.SenderName, err = view.memberName(ctx, e.Sender); err != nil {
		return err
	}
	if out.RoomName, err = view.name(ctx); err != nil {
		return err
	}
	if !ciphertext(e) {
		out.Trust = view.plainTrust(e, live)
		if err := view.entitle(ctx, &out); err != nil {
			return err
		}
		relate(&out)
		m.heardInRoom(&out, "")
		b.Events = append(b.Events, out)
		return nil
	}
	no, err := a.decrypt(ctx, m, &out, e)
	if err != nil {
		return err
	}
	if no != nil {
		b.Undecrypted = append(b.Undecrypted, *no)
		return nil
	}
	if err := view.entitle(ctx, &out); err != nil {
		return err
	}
	m.heardInRoom(&out, m.speaker)
	b.Events = append(b.Events, out)
	return nil
}

// reread tries once more to decrypt an event that could not be. Names and times
// stay those of its first reception. The second result is nil when it has become
// readable.
func (a *Account) reread(ctx context.Context, m *machine, u timeline.Undecrypted) (out timeline.Event, no *timeline.Undecrypted, err error) {
	out = u.Event
	e, problem := readEvent(u.Event.Raw)
	defer func() {
		if r := recover(); r != nil {
			a.log.ErrorContext(ctx, "event broke its reader", slog.String("room_id", u.Event.Room.String()),
				slog.String("event_id", u.Event.ID.String()), slog.String("stack", string(debug.Stack())))
			u.Reason, u.Cause = timeline.ReasonMalformed, badReader
			no, err = &u, nil
		}
	}()
	if problem != "" || !ciphertext(e) {
		u.Reason, u.Cause = timeline.ReasonMalformed, problem
		return out, &u, nil
	}
	if no, err = a.decrypt(ctx, m, &out, e); err != nil || no != nil {
		return out, no, err
	}
	view, err := a.rooms().view(ctx, out.Room)
	if err != nil {
		return out, nil, err
	}
	if err := view.entitle(ctx, &out); err != nil {
		return out, nil, err
	}
	m.heardInRoom(&out, m.speaker)
	return out, nil, nil
}

// ciphertext reports whether there is something to decrypt: a redacted event has
// an empty content, and encrypted state events do not exist in the specification.
func ciphertext(e wireEvent) bool {
	if e.Type != event.EventEncrypted.Type || e.StateKey != nil {
		return false
	}
	there := false
	_ = members(e.Content, func(key string, _ json.RawMessage) { there = there || key == "ciphertext" || key == "algorithm" })
	return there
}

// decrypt puts the cleartext of e into out, or says why there is none. An error is
// one of the store's, and fails the transaction.
func (a *Account) decrypt(ctx context.Context, m *machine, out *timeline.Event, e wireEvent) (*timeline.Undecrypted, error) {
	fields := map[string]json.RawMessage{}
	if members(e.Content, func(key string, value json.RawMessage) { fields[key] = value }) != nil {
		return &timeline.Undecrypted{Event: *out, Reason: timeline.ReasonMalformed}, nil //nolint:nilerr // the error is the row
	}
	// Read by hand: the library's type refuses the whole for a relation or a mention
	// of the wrong shape.
	algorithm, _ := text(fields["algorithm"])
	session, _ := text(fields["session_id"])
	senderKey, _ := text(fields["sender_key"])
	body, _ := text(fields["ciphertext"])
	no := &timeline.Undecrypted{Event: *out, Session: id.SessionID(session), SenderKey: id.SenderKey(senderKey)}
	evt := &event.Event{
		ID: e.ID, RoomID: out.Room, Sender: e.Sender, Type: event.EventEncrypted, Timestamp: e.Sent,
		Content: event.Content{VeryRaw: e.Content, Parsed: &event.EncryptedEventContent{
			Algorithm: id.Algorithm(algorithm), SenderKey: id.SenderKey(senderKey),
			SessionID: id.SessionID(session), MegolmCiphertext: []byte(body),
		}},
	}
	calls := callsOf(ctx)
	calls.session, calls.sender, calls.taken, m.speaker = nil, e.Sender, "", ""
	plain, err := m.olm.DecryptMegolmEvent(ctx, evt)
	if broken := calls.err(); broken != nil {
		return nil, broken
	}
	if err == nil && (plain.Type.Type == "" || len(plain.Type.Type) > maxID || tooDeep(plain.Content.VeryRaw)) {
		err = crypto.ErrCorruptedMegolmPayload
	}
	if err != nil {
		no.Reason, no.Cause = undecrypted(err)
		if refusal, ok := errors.AsType[*event.RoomKeyWithheldEventContent](err); ok {
			if may, err := m.guard.mayWithhold(ctx, e.Sender, refusal.SenderKey); err != nil {
				return nil, err
			} else if !may {
				no.Reason, no.Cause = timeline.ReasonNoSession, "" // somebody else's word
			}
		}
		if errors.Is(err, olm.ErrBadMAC) && calls.session != nil {
			if err := m.guard.blame(ctx, calls.session, calls.beside, []byte(body)); err != nil {
				return nil, err
			}
		}
		if no.Reason == timeline.ReasonReplay && calls.taken != "" {
			no.Cause = "copy of " + calls.taken.String()
		}
		if no.Reason == timeline.ReasonNoSession {
			if no.Cause, err = a.keyless(ctx, e.Sender, out.Sent); err != nil {
				return nil, err
			}
		}
		if no.Reason.Retryable() {
			return no, a.seek(ctx, out.Room, no.Session)
		}
		return no, nil
	}
	out.Type = plain.Type.Type
	out.Trust = megolmTrust(plain, calls.session)
	if d := plain.Mautrix.TrustSource; d != nil && (out.Trust == timeline.TrustSigned || out.Trust == timeline.TrustDevice) {
		m.speaker = d.DeviceID
	}
	if out.Content, err = withOuterRelation(plain.Content.VeryRaw, fields["m.relates_to"]); err != nil {
		no.Reason = timeline.ReasonMalformed
		return no, nil //nolint:nilerr // the error is the row
	}
	relate(out)
	return nil, nil
}

// undecrypted says why an event did not decrypt (matrix.md: the taxonomy follows
// the errors of the Megolm layer). What is not known may be cured by another key.
func undecrypted(err error) (timeline.UndecryptedReason, string) {
	if refusal, ok := errors.AsType[*event.RoomKeyWithheldEventContent](err); ok {
		return timeline.ReasonWithheld, withheldCode(refusal.Code)
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, shape := errors.AsType[*json.UnmarshalTypeError](err)
	_, base := errors.AsType[base64.CorruptInputError](err)
	switch {
	case errors.Is(err, crypto.ErrGroupSessionWithheld):
		return timeline.ReasonWithheld, ""
	case errors.Is(err, crypto.ErrNoSessionFound):
		return timeline.ReasonNoSession, ""
	case errors.Is(err, olm.ErrUnknownMessageIndex):
		return timeline.ReasonUnknownIndex, ""
	case errors.Is(err, crypto.ErrDuplicateMessageIndex):
		return timeline.ReasonReplay, ""
	case errors.Is(err, crypto.ErrWrongRoom):
		return timeline.ReasonWrongRoom, ""
	case errors.Is(err, crypto.ErrUnsupportedAlgorithm):
		return timeline.ReasonAlgorithm, ""
	case errors.Is(err, crypto.ErrCorruptedMegolmPayload), errors.Is(err, crypto.ErrIncorrectEncryptedContentType), syntax, shape, base,
		errors.Is(err, olm.ErrBadMessageFormat), errors.Is(err, olm.ErrWrongProtocolVersion):
		return timeline.ReasonMalformed, ""
	case errors.Is(err, olm.ErrBadSignature):
		return timeline.ReasonMalformed, "not signed by the owner of its session"
	}
	return timeline.ReasonBadMAC, ""
}

// megolmTrust says how sure the sender of a decrypted event is. mautrix decrypts an
// event that the homeserver has put under another sender's name, so that the owner
// of the session is compared here.
func megolmTrust(plain *event.Event, session *crypto.InboundGroupSession) timeline.Trust {
	if session == nil {
		return timeline.TrustUnknown
	}
	if k := session.KeySource; k == id.KeySourceBackup || k == id.KeySourceImport || k == id.KeySourceForward || k == keySourceDoubted {
		return timeline.TrustBackup
	}
	if session.SourceUser != "" && session.SourceUser != plain.Sender {
		return timeline.TrustMismatch
	}
	switch state := plain.Mautrix.TrustState; {
	case state == id.TrustStateDeviceKeyMismatch:
		return timeline.TrustMismatch
	case state >= id.TrustStateCrossSignedTOFU:
		return timeline.TrustSigned
	case state == id.TrustStateUnknownDevice:
		return timeline.TrustUnknown
	case state == id.TrustStateForwarded, state == id.TrustStateBackup:
		return timeline.TrustBackup
	}
	return timeline.TrustDevice // not signed by its owner, or the owner's identity has changed
}

// withOuterRelation puts the relation of the encrypted event into its cleartext, in
// place of any that is there: only the one outside counts (Matrix C-S API, "Forming
// relationships between events").
func withOuterRelation(payload, outer json.RawMessage) (json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, fmt.Errorf("read cleartext: %w", err)
	}
	_, inside := fields["m.relates_to"]
	if !inside && outer == nil {
		return payload, nil
	}
	delete(fields, "m.relates_to")
	if outer != nil {
		fields["m.relates_to"] = outer
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("write cleartext: %w", err)
	}
	return out, nil
}

// relate notes which message the event belongs to and which it answers. Content
// that says nothing readable about that is the ledger's to list.
func relate(e *timeline.Event) {
	item, err := timeline.Parse(*e)
	if err != nil {
		return
	}
	e.Target, e.Reply, e.Thread = item.Target, item.Reply, item.Thread
}
