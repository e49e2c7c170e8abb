package ledger

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// These look at what is sealed, which nothing outside of the package sees.

func bodies() map[string]body {
	key, empty := "@alice:example.org", ""
	return map[string]body{
		"nothing":                {},
		"a plain event":          {raw: []byte(`{"content":{"body":"x"},"type":"m"}`), content: []byte(`{"body":"x"}`), senderName: "Alice", roomName: "Room"},
		"a decrypted event":      {raw: []byte(`{"content":{"ciphertext":"y"}}`), content: []byte(`{"body":"x"}`)},
		"a state event":          {raw: []byte(`{}`), content: []byte(`{}`), stateKey: &key},
		"an empty state key":     {raw: []byte(`{}`), stateKey: &empty},
		"content without raw":    {content: []byte(`{"body":"x"}`)},
		"bytes that are no text": {raw: []byte{0, 0xff, 0xfe}, senderName: "\xff"},
	}
}

func TestABodyComesBackAsItWas(t *testing.T) {
	for name, b := range bodies() {
		got, err := decodeBody(b.encode())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(b, got, cmp.AllowUnexported(body{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestContentThatStandsInTheRawEventIsNotWrittenTwice(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 1000)
	b := body{raw: append([]byte("before "), content...), content: content}
	if got := len(b.encode()); got > 1100 {
		t.Errorf("%d bytes for 1000", got)
	}
}

func TestFieldsOfALaterVersionAreSkipped(t *testing.T) {
	b := body{senderName: "Alice"}
	got, err := decodeBody(append(b.encode(), 99, 3, 'n', 'e', 'w'))
	if err != nil || got.senderName != "Alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzBody feeds the row decoder: it must not panic, must not reach outside of what it
// was given, and what it accepts must come back the same.
func FuzzBody(f *testing.F) {
	for _, b := range bodies() {
		f.Add(b.encode())
	}
	f.Add([]byte{bodyVersion, tagSlice, 2, 0xff, 0x01})
	f.Add([]byte{bodyVersion, tagRaw, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := decodeBody(in)
		if err != nil {
			return
		}
		again, err := decodeBody(b.encode())
		if err != nil {
			t.Fatalf("what was accepted does not come back: %v", err)
		}
		if !bytes.Equal(b.raw, again.raw) || !bytes.Equal(b.content, again.content) || b.senderName != again.senderName || b.roomName != again.roomName {
			t.Errorf("%+v came back as %+v", b, again)
		}
	})
}
