package matrix_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const phrase = "a passphrase, with ünïcode"

func TestAKeyFileOfAnotherClientMakesOldMessagesReadable(t *testing.T) {
	d := newDen(t)
	end := d.server.LoseToDevice(d.bot, "m.room.encrypted")
	e := d.say(d.alice, d.room, "dark")
	end()
	d.catchUp(d.account)
	_, in := d.session()
	text, err := crypto.ExportKeys(phrase, []*crypto.InboundGroupSession{in})
	if err != nil {
		t.Fatal(err)
	}
	// An editor may have changed the ends of its lines, and a mail what stands around it.
	mangled := append([]byte("Hello,\r\n\r\n"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...)
	for _, text := range [][]byte{text, mangled, bytes.TrimSpace(text)} {
		f, err := matrix.ReadKeyFile(text, phrase)
		if err != nil || len(f) != 1 {
			t.Fatalf("%d sessions: %v", len(f), err)
		}
		got, err := d.account.ImportKeys(t.Context(), append(f, crypto.ExportedSession{}))
		if diff := cmp.Diff(matrix.Imported{Sessions: 2, Taken: 1, Unreadable: 1}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	d.retry(d.account)
	if got, ok := d.event(e); !ok || body(got) != "dark" || got.Trust != timeline.TrustBackup {
		t.Errorf("%+v, %v", got, ok)
	}
}

func TestAnExportedFileIsReadByAnotherClient(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	// Also a session that stands beside another room's.
	out, in := d.session()
	d.sends(d.mallory, event.ToDeviceRoomKey, &event.RoomKeyEventContent{
		Algorithm: id.AlgorithmMegolmV1, RoomID: "!elsewhere:test.example", SessionID: out.ID(), SessionKey: out.Internal.Key(),
	})
	d.catchUp(d.account)
	looking, err := store.OpenReadOnly(t.Context(), store.Config{Path: d.folder, Key: []byte("a key for tests, long enough to be one")})
	if err != nil {
		t.Fatal(err)
	}
	defer looking.Close() //nolint:errcheck // it was only read
	f, err := matrix.ExportKeys(t.Context(), looking, d.bot)
	if err != nil || len(f) != 2 {
		t.Fatalf("%d sessions: %v", len(f), err)
	}
	text, err := f.Write(phrase)
	if err != nil {
		t.Fatal(err)
	}
	bob := d.peer("bob")
	taken, all, err := bob.Machine.ImportKeys(t.Context(), phrase, text)
	if err != nil || taken != 2 || all != 2 {
		t.Errorf("%d of %d: %v", taken, all, err)
	}
	theirs, err := bob.Store.GetGroupSession(t.Context(), d.room, in.ID())
	if err != nil || theirs == nil || theirs.SenderKey != in.SenderKey || theirs.SigningKey != in.SigningKey {
		t.Errorf("%+v: %v", theirs, err)
	}
	if _, err := matrix.ExportKeys(t.Context(), looking, "@other:test.example"); err == nil {
		t.Error("keys of another account are given away")
	}
}

func TestAKeyFileThatIsNoneSaysWhy(t *testing.T) {
	good, err := matrix.KeyFile{{Algorithm: id.AlgorithmMegolmV1}}.Write(phrase)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "-----BEGIN MEGOLM SESSION DATA-----\n", "-----END MEGOLM SESSION DATA-----\n"
	body := strings.TrimSuffix(strings.TrimPrefix(string(good), begin), end)
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	file := func(change func([]byte) []byte) string {
		return begin + base64.StdEncoding.EncodeToString(change(bytes.Clone(raw))) + "\n" + end
	}
	notJSON, err := crypto.EncryptKeyExport(phrase, []byte(`{"no":"list"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		text, phrase string
		want         error
	}{
		"empty":              {"", phrase, matrix.ErrNoKeyFile},
		"a text":             {"Dear operator", phrase, matrix.ErrNoKeyFile},
		"no end":             {begin + body, phrase, matrix.ErrNoKeyFile},
		"no base64":          {begin + "???\n" + end, phrase, matrix.ErrNoKeyFile},
		"too short":          {file(func(b []byte) []byte { return b[:20] }), phrase, matrix.ErrNoKeyFile},
		"nothing but a head": {file(func(b []byte) []byte { return b[:37] }), phrase, matrix.ErrNoKeyFile},
		"another version":    {file(func(b []byte) []byte { b[0] = 2; return b }), phrase, matrix.ErrKeyFileVersion},
		"rounds for years":   {file(func(b []byte) []byte { binary.BigEndian.PutUint32(b[33:], 1<<32-1); return b }), phrase, matrix.ErrKeyFileRounds},
		"no rounds":          {file(func(b []byte) []byte { binary.BigEndian.PutUint32(b[33:], 0); return b }), phrase, matrix.ErrKeyFileRounds},
		"another passphrase": {string(good), "other", matrix.ErrKeyFilePhrase},
		"a changed byte":     {file(func(b []byte) []byte { b[40] ^= 1; return b }), phrase, matrix.ErrKeyFilePhrase},
		"no list":            {string(notJSON), phrase, matrix.ErrKeyFileContent},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := matrix.ReadKeyFile([]byte(one.text), one.phrase)
			if !errors.Is(err, one.want) {
				t.Errorf("got %v, want %v", err, one.want)
			}
			if err != nil && one.text != "" && strings.Contains(err.Error(), strings.TrimSpace(one.text)) {
				t.Error("the error quotes the file")
			}
		})
	}
}

func FuzzReadKeyFile(f *testing.F) {
	good, err := matrix.KeyFile{{Algorithm: id.AlgorithmMegolmV1}}.Write("p")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("-----BEGIN MEGOLM SESSION DATA-----\n-----END MEGOLM SESSION DATA-----"))
	f.Add([]byte("-----BEGIN MEGOLM SESSION DATA-----\nAQ==\n-----END MEGOLM SESSION DATA-----"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64 && bytes.Count(text, []byte("A")) < len(text)/4 {
			return // most of them only derive keys
		}
		_, err := matrix.ReadKeyFile(text, "p")
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("a long error: %d bytes", len(err.Error()))
		}
	})
}

// A file may hold any session, of any room, and says whatever it wants about it.
func TestAKeyFileDoesNotReplaceWhatIsBetter(t *testing.T) {
	d := newDen(t)
	first, in := d.lateKey()
	e := d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	worse := exported(t, in, d.room)
	late, err := in.Internal.Export(1)
	if err != nil {
		t.Fatal(err)
	}
	worse.SessionKey = string(late)
	bogus := exported(t, in, d.room)
	bogus.SessionKey = bogusRatchet(t, d.export(in))
	moved := exported(t, in, "!elsewhere:test.example")
	got, err := d.account.ImportKeys(t.Context(), matrix.KeyFile{worse, bogus, moved})
	if diff := cmp.Diff(matrix.Imported{Sessions: 3, Taken: 2, Refused: 1}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	two := d.say(d.alice, d.room, "two")
	d.catchUp(d.account)
	d.retry(d.account)
	for _, want := range []id.EventID{e, two} {
		if got, ok := d.event(want); !ok || got.Trust != timeline.TrustDevice {
			t.Errorf("%s: %v, trust %d", want, ok, got.Trust)
		}
	}
	// The genuine, earlier copy makes the rest readable, and the sender stays as sure.
	if _, err := d.account.ImportKeys(t.Context(), matrix.KeyFile{exported(t, in, d.room)}); err != nil {
		t.Fatal(err)
	}
	d.retry(d.account)
	if got, ok := d.event(first); !ok || got.Trust != timeline.TrustDevice {
		t.Errorf("the first: %v, trust %d", ok, got.Trust)
	}
}
