package scene

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const song = `EsTb 7f/g "quoted" key+of all`

// Whichever way a secret is written, it is found, and nothing else is.
func TestACanaryIsHeardInEveryForm(t *testing.T) {
	t.Parallel()
	var c canaries
	c.secret([]byte(song), "the recovery key")
	c.said("What Alice has said in the war room", "chat text")
	quoted, err := json.Marshal(song)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is":            `{"msg":"opened with ` + song + `"}`,
		"in JSON":             `{"key":` + string(quoted) + `}`,
		"in an address":       "GET /?key=" + url.QueryEscape(song),
		"in hex":              hex.EncodeToString([]byte(song)),
		"without its blanks":  strings.ReplaceAll(song, " ", ""),
		"in base64":           base64.StdEncoding.EncodeToString([]byte(song)),
		"in base64, second":   base64.StdEncoding.EncodeToString([]byte(":" + song + ":")),
		"in base64, third":    base64.URLEncoding.EncodeToString([]byte("::" + song + "::")),
		"at the end":          "\n" + song,
		"behind half of it":   song[:12] + song,
		"behind another head": song[:beak] + "…" + song,
	} {
		if got := c.in(text); !slices.Equal(got, []string{"the recovery key"}) {
			t.Errorf("%s: %q is found in %s", name, got, text)
		}
	}
	if got := c.in("What Alice has said i…, … in the war room"); !slices.Equal(got, []string{"chat text"}) {
		t.Errorf("half a message: %q", got)
	}
	if got := c.in(strings.Repeat("What Alice might say is "+song[:len(song)-1]+"! ", 3)); got != nil {
		t.Errorf("what is no secret: %q", got)
	}
}

// Files are read as they lie on the disk, and each sort has its own rule.
func TestACanaryIsHeardInEveryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "What Alice has said in the war room"
	write("store/matrix-connector.db", "\x00\x01"+text)
	write("store/matrix-connector.db-wal", "\xff"+song+"\xff")
	write("store/spool/42", "sealed "+base64.StdEncoding.EncodeToString([]byte("x"+song)))
	write("store/store.key", song)         // its own place
	write("export/bundle.json", text)      // what an export is for
	write("export/other.json", text+song)  // but no secret
	write("recovery-key.txt", song)        // where the operator wants it
	write("store/named.txt", "in a name:") // harmless
	write("store/"+text+".txt", "harmless")

	var secrets, chat canaries
	secrets.secret([]byte(song), "the key")
	chat.said(text, "chat text")
	got, err := inFiles(dir, &secrets, &chat, map[string]bool{filepath.Join(dir, "recovery-key.txt"): true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"export/other.json holds the key",
		"store/" + text + ".txt is named after chat text",
		"store/matrix-connector.db holds chat text",
		"store/matrix-connector.db-wal holds the key",
		"store/spool/42 holds the key",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
