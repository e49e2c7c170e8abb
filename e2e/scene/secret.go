package scene

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/ssss"
	"maunium.net/go/mautrix/event"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// recoveryKey is what [Scene.Secret] calls the key that opens the account's secret storage.
const recoveryKey = "the recovery key"

// Secret says that a text must stand nowhere in what the connector writes.
func (s *Scene) Secret(text, what string) { s.secrets[text] = what }

// Kinds are the sorts of secrets that are looked for at this moment.
func (s *Scene) Kinds() []string {
	return slices.Sorted(maps.Keys(s.known().kind))
}

// canaries fails the story for what was overheard.
func (s *Scene) canaries() {
	for _, what := range s.Overheard() {
		s.t.Error(what)
	}
}

// Overheard is what stands in anything that was written by now, and must not: also what is
// there only while the connector runs. It is empty in every good story.
func (s *Scene) Overheard() (heard []string) {
	s.t.Helper()
	secrets, chat := s.known(), s.chat()
	both := &canaries{}
	both.merge(secrets)
	both.merge(chat)
	seen := func(where string, found []string) {
		for _, what := range found {
			heard = append(heard, where+": "+what)
		}
	}
	for i, run := range s.runs {
		seen(fmt.Sprintf("run %d logs", i+1), both.in(run.Stderr.String()))
		seen(fmt.Sprintf("run %d says", i+1), both.in(run.Stdout.String()))
	}
	seen("others see in the list of processes", both.in(s.processes))
	for path, text := range s.page() {
		seen("shown on "+path, both.in(text))
	}
	found, err := inFiles(s.Dir, secrets, chat, s.given())
	s.must(err)
	seen("in a file", found)
	for _, o := range s.Platform.Objects() {
		text, err := json.Marshal(o)
		s.must(err)
		seen("on the platform, "+o.StandardID, secrets.in(string(text)))
	}
	return heard
}

// known are all secrets of the scene: what it was given, and what the connector made.
func (s *Scene) known() *canaries {
	c := &canaries{}
	for text, what := range map[string]string{
		people.Password:                  "a password",
		parts.BrokerPassword:             "the broker's password",
		s.setting("OPENCTI_TOKEN"):       "the platform's token",
		s.setting("MATRIX_ACCESS_TOKEN"): "an access token",
		s.setting("MATRIX_STORE_KEY"):    "the store's key",
		s.setting("MATRIX_RECOVERY_KEY"): recoveryKey,
	} {
		c.secret([]byte(text), what)
	}
	for text, what := range s.secrets {
		c.secret([]byte(text), what)
	}
	_ = filepath.WalkDir(s.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == store.FileName {
			s.stored(c, filepath.Dir(path))
		}
		return nil
	})
	return c
}

// setting is a setting's value, wherever it stands.
func (s *Scene) setting(name string) string {
	if path := s.Env[name+"_FILE"]; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	return s.Env[name]
}

// stored adds the secrets that a store holds sealed. A story may have made a store that does
// not open; those of the stories about secrets do.
func (s *Scene) stored(c *canaries, folder string) {
	ctx := context.WithoutCancel(s.t.Context())
	if key, err := os.ReadFile(filepath.Join(folder, store.KeyFileName)); err == nil {
		text := strings.TrimSpace(string(key))
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			c.secret(raw, "the store's key")
		}
	}
	st, err := store.OpenReadOnly(ctx, store.Config{Path: folder, Key: []byte(s.setting("MATRIX_STORE_KEY"))})
	if err != nil {
		return
	}
	defer st.Close() //nolint:errcheck // it was only read
	tokens := []string{}
	for _, one := range []struct{ what, column, table, place string }{
		{"an access token", "access_token", "matrix_account", "matrix_account access_token "},
		{"a refresh token", "refresh_token", "matrix_account", "matrix_account refresh_token "},
		{"the key of the crypto tables", "pickle_key", "matrix_account", "matrix_account pickle_key "},
		{"the key of the key backup", "private_key", "matrix_backup", "matrix_backup private_key "},
		{"the keys of a new identity", "pending", "matrix_identity", "matrix_identity pending "},
	} {
		var sealed []byte
		if st.DB().QueryRow(ctx, "SELECT "+one.column+" FROM "+one.table).Scan(&sealed) != nil || sealed == nil {
			continue // there is none, or not yet such a table
		}
		plain, err := st.Unseal(sealed, one.place+s.Bot.String())
		if err != nil {
			s.t.Errorf("%s is not sealed as it is read here: %v", one.what, err)
			continue
		}
		c.secret(plain, one.what)
		if one.what == "an access token" {
			tokens = append(tokens, string(plain))
		}
	}
	s.roomKeys(ctx, c, st)
	for text, what := range s.secrets {
		if what == recoveryKey {
			s.identity(ctx, c, text, tokens)
		}
	}
}

// roomKeys adds the ratchets of the room keys, which begin behind a version and an index.
func (s *Scene) roomKeys(ctx context.Context, c *canaries, st *store.Store) {
	keys, err := matrix.ExportKeys(ctx, st, s.Bot)
	if err != nil {
		return // nobody has logged in to it
	}
	const front, ratchet = 5, 128
	for _, k := range keys {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(k.SessionKey, "="))
		if err == nil && len(raw) >= front+ratchet {
			c.secret(raw[front:front+ratchet], "a room key")
		}
	}
}

// identity adds the private keys of the account's cross-signing identity and of its backup.
func (s *Scene) identity(ctx context.Context, c *canaries, recovery string, tokens []string) {
	for _, token := range tokens {
		client, err := mautrix.NewClient(s.Town.Homeserver.URL, s.Bot, token)
		s.must(err)
		storage := ssss.NewSSSSMachine(client)
		name, meta, err := storage.GetDefaultKeyData(ctx)
		if err != nil {
			continue // a device that has gone
		}
		key, err := meta.VerifyRecoveryKey(name, strings.Join(strings.Fields(recovery), ""))
		if err != nil {
			continue // a storage that came later
		}
		for kind, what := range map[event.Type]string{
			event.AccountDataCrossSigningMaster: "a private key of the identity", event.AccountDataCrossSigningSelf: "a private key of the identity",
			event.AccountDataCrossSigningUser: "a private key of the identity", event.AccountDataMegolmBackupKey: "the key of the key backup",
		} {
			if plain, err := storage.GetDecryptedAccountData(ctx, kind, key); err == nil {
				c.secret(plain, what)
			}
		}
	}
}

// chat is what people said and sent.
func (s *Scene) chat() *canaries {
	c := &canaries{}
	for _, one := range s.Town.Said() {
		for _, text := range append(one.Former, one.Text) {
			c.said(text, "chat text")
		}
		if one.File != nil {
			c.said(one.File.Name, "a file name")
			c.said(string(one.File.Bytes[:min(len(one.File.Bytes), 64)]), "a file")
		}
	}
	return c
}

// given are the files that settings name: the operator's own places for secrets.
func (s *Scene) given() map[string]bool {
	given := map[string]bool{filepath.Join(s.Dir, ".env"): true, filepath.Join(s.Dir, "config.yml"): true}
	for name, value := range s.Env {
		if strings.HasSuffix(name, "_FILE") || name == "MATRIX_RECOVERY_KEY_OUT" {
			given[value] = true
		}
	}
	return given
}

// inFiles looks through a folder as it lies on the disk, raw: no secret stands in any file
// but in those that were given for it, and no chat text in a store. Of what it finds it tells
// the file, in order.
func inFiles(dir string, secrets, chat *canaries, given map[string]bool) (found []string, err error) {
	var stores []string
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == store.FileName {
			stores = append(stores, filepath.Dir(path)+string(filepath.Separator))
		}
		return nil // what goes meanwhile is no file any more
	})
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || given[path] || entry.Name() == store.KeyFileName {
			return nil //nolint:nilerr // as above
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		name := strings.TrimPrefix(path, dir+string(filepath.Separator))
		inside := slices.ContainsFunc(stores, func(s string) bool { return strings.HasPrefix(path, s) })
		for _, what := range secrets.in(string(text)) {
			found = append(found, name+" holds "+what)
		}
		if inside {
			for _, what := range chat.in(string(text)) {
				found = append(found, name+" holds "+what)
			}
			for _, what := range chat.in(name) {
				found = append(found, name+" is named after "+what)
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// watches notes what others see of a process: its arguments always, its environment in what
// the operator did not put there.
func (s *Scene) watches(run *parts.Connector) {
	for _, what := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", run.PID(), what))
		if err != nil {
			continue // it has ended
		}
		for field := range strings.SplitSeq(string(text), "\x00") {
			if name, _, ok := strings.Cut(field, "="); ok && what == "environ" && s.Env[name] != "" {
				continue
			}
			s.processes += field + "\n"
		}
	}
}

// page is what a running connector shows to whoever asks, by path.
func (s *Scene) page() map[string]string {
	shown := map[string]string{}
	if s.run == nil || s.Env["CONNECTOR_METRICS_PORT"] == "" {
		return shown
	}
	for _, path := range []string{"/", "/status.json", "/metrics", "/healthz", "/readyz"} {
		r, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), http.MethodGet, "http://127.0.0.1:"+s.Env["CONNECTOR_METRICS_PORT"]+path, nil)
		s.must(err)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			continue // it is not there, which others look at
		}
		text, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			continue
		}
		shown[path] = string(text)
	}
	return shown
}
