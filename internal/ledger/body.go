package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// body is what of an event is sealed.
type body struct {
	raw, content         []byte
	senderName, roomName string
	stateKey             *string
	redacts              timeline.Right
}

// A body is a version byte and then fields: a tag, a length (uvarint), so many bytes.
// Unknown tags are skipped, so that an older connector reads what a newer one wrote.
const bodyVersion = 1

// The tags.
const (
	tagRaw        = 1
	tagContent    = 2
	tagSlice      = 3 // content as offset and length (uvarints) within raw
	tagSenderName = 4
	tagRoomName   = 5
	tagStateKey   = 6
	tagRedacts    = 7 // one byte, a timeline.Right
)

var errBody = errors.New("damaged event body")

// encode writes a body. The content of a plain event is a part of what was received
// and is not written twice.
func (b body) encode() []byte {
	out := make([]byte, 1, 64+len(b.raw)+len(b.content)+len(b.senderName)+len(b.roomName))
	out[0] = bodyVersion
	field := func(tag byte, value []byte) {
		out = append(out, tag)
		out = binary.AppendUvarint(out, uint64(len(value)))
		out = append(out, value...)
	}
	if len(b.raw) > 0 {
		field(tagRaw, b.raw)
	}
	if len(b.content) > 0 {
		if at := bytes.Index(b.raw, b.content); at >= 0 {
			place := binary.AppendUvarint(nil, uint64(at))
			field(tagSlice, binary.AppendUvarint(place, uint64(len(b.content))))
		} else {
			field(tagContent, b.content)
		}
	}
	if b.senderName != "" {
		field(tagSenderName, []byte(b.senderName))
	}
	if b.roomName != "" {
		field(tagRoomName, []byte(b.roomName))
	}
	if b.stateKey != nil {
		field(tagStateKey, []byte(*b.stateKey))
	}
	if b.redacts != timeline.RightUnknown {
		field(tagRedacts, []byte{byte(b.redacts)})
	}
	return out
}

// decodeBody reads what encode wrote, and answers errBody for anything else.
func decodeBody(in []byte) (body, error) {
	var b body
	if len(in) == 0 || in[0] != bodyVersion {
		return body{}, errBody
	}
	in = in[1:]
	for len(in) > 0 {
		tag := in[0]
		length, n := binary.Uvarint(in[1:])
		if n <= 0 || length > uint64(len(in)-1-n) {
			return body{}, errBody
		}
		value := in[1+n : 1+n+int(length)]
		in = in[1+n+int(length):]
		switch tag {
		case tagRaw:
			b.raw = value
		case tagContent:
			b.content = value
		case tagSlice:
			at, n := binary.Uvarint(value)
			if n <= 0 {
				return body{}, errBody
			}
			size, m := binary.Uvarint(value[n:])
			if m <= 0 || at > uint64(len(b.raw)) || size > uint64(len(b.raw))-at {
				return body{}, errBody
			}
			b.content = b.raw[at : at+size]
		case tagSenderName:
			b.senderName = string(value)
		case tagRoomName:
			b.roomName = string(value)
		case tagStateKey:
			key := string(value)
			b.stateKey = &key
		case tagRedacts:
			if len(value) == 1 {
				b.redacts = timeline.Right(value[0])
			}
		}
	}
	return b, nil
}
