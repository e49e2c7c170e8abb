package matrix_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// secured is a standing without when it was found.
func (s *scene) secured(a *matrix.Account) matrix.Standing {
	s.t.Helper()
	st, err := a.Secure(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if st.Checked == 0 {
		s.t.Error("the standing does not say when it was found")
	}
	st.Checked = 0
	return st
}

// recovered gives the recovery key that an account hands over.
func recovered(key *string) func(*matrix.Config) {
	return func(c *matrix.Config) {
		c.GiveRecoveryKey = func(k string) error {
			if *key != "" {
				return errors.New("handed over twice")
			}
			*key = k
			return nil
		}
	}
}

func withRecoveryKey(key string) func(*matrix.Config) {
	return func(c *matrix.Config) { c.RecoveryKey = key }
}

// seenBy is how a peer sees the bot's device.
func (s *scene) seenBy(p *matrixtest.Peer, device id.DeviceID) id.TrustState {
	s.t.Helper()
	keys, err := p.Machine.FetchKeys(s.t.Context(), []id.UserID{s.bot}, true)
	if err != nil {
		s.t.Fatal(err)
	}
	d := keys[s.bot][device]
	if d == nil {
		s.t.Fatal("the bot's device has no keys")
	}
	trust, err := p.Machine.ResolveTrustContext(s.t.Context(), d)
	if err != nil {
		s.t.Fatal(err)
	}
	return trust
}

func TestAnAccountWithoutAnIdentityGetsOne(t *testing.T) {
	for name, o := range map[string]struct {
		options matrixtest.Options
		change  func(*scene) func(*matrix.Config)
	}{
		"with the password, where the homeserver asks for it": {
			matrixtest.Options{IdentityAuth: []string{"m.login.password"}}, func(*scene) func(*matrix.Config) { return func(*matrix.Config) {} },
		},
		"with a token, where it does not": {
			matrixtest.Options{}, func(s *scene) func(*matrix.Config) {
				token := s.server.Token(s.bot, "")
				return func(c *matrix.Config) { c.Password, c.AccessToken = "", token }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, o.options)
			alice := s.peer("alice")
			var key string
			change := o.change(s)
			a := s.open(change, recovered(&key))
			if trust := s.seenBy(alice, a.DeviceID()); trust >= id.TrustStateCrossSignedTOFU {
				t.Fatalf("before: %s", trust)
			}
			if diff := cmp.Diff(matrix.Standing{Identity: true, Signed: true, Backup: "1"}, s.secured(a)); diff != "" {
				t.Error(diff)
			}
			if key == "" {
				t.Fatal("nobody was given the recovery key")
			}
			if trust := s.seenBy(alice, a.DeviceID()); trust != id.TrustStateCrossSignedTOFU {
				t.Errorf("alice sees the device as %s", trust)
			}
			// The next start needs nothing more, and makes nothing more.
			made := len(s.server.Requests(matrixtest.KeysSigning))
			s.restart(a)
			b := s.open(change)
			if diff := cmp.Diff(matrix.Standing{Identity: true, Signed: true, Backup: "1"}, s.secured(b)); diff != "" {
				t.Error(diff)
			}
			if n := len(s.server.Requests(matrixtest.KeysSigning)); n != made {
				t.Error("cross-signing keys were uploaded once more")
			}
			// With the key, another store of the account gets a signed device.
			s.anotherStore(b)
			c := s.open(func(c *matrix.Config) { c.Password = botPassword }, withRecoveryKey(key))
			if c.DeviceID() == a.DeviceID() {
				t.Fatal("it is the same device")
			}
			if st := s.secured(c); !st.Signed || st.Problem != "" {
				t.Errorf("the second device: %+v", st)
			}
			if trust := s.seenBy(alice, c.DeviceID()); trust != id.TrustStateCrossSignedTOFU {
				t.Errorf("alice sees the second device as %s", trust)
			}
			if strings.Contains(s.log.String(), strings.Split(key, " ")[0]) {
				t.Error("the recovery key is in the log")
			}
		})
	}
}

// restart closes an account, and the store with it.
func (s *scene) restart(a *matrix.Account) {
	s.t.Helper()
	if err := errors.Join(a.Close(), s.store.Close()); err != nil {
		s.t.Fatal(err)
	}
	s.openStore()
}

// anotherStore goes on with an empty store.
func (s *scene) anotherStore(a *matrix.Account) {
	s.t.Helper()
	if err := errors.Join(a.Close(), s.store.Close()); err != nil {
		s.t.Fatal(err)
	}
	s.folder = s.t.TempDir()
	s.openStore()
}

// hasIdentity gives the bot's account an identity from another client of it, as a
// person has one who logged in with Element first, and gives its recovery key.
func (s *scene) hasIdentity() (key string, element *matrixtest.Peer) {
	s.t.Helper()
	element = s.peer("bot")
	s.server.Account("bot", botPassword) // a peer has a password of its own
	ctx, m := s.t.Context(), element.Machine
	key, _, err := m.GenerateAndUploadCrossSigningKeysWithPassword(ctx, botPassword, "")
	if err == nil {
		err = errors.Join(m.SignOwnDevice(ctx, m.OwnIdentity()), m.SignOwnMasterKey(ctx))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return key, element
}

func TestAnIdentityIsNeverReplaced(t *testing.T) {
	phrase := "correct horse battery staple"
	for name, o := range map[string]struct {
		change func(key string, element *matrixtest.Peer) []func(*matrix.Config)
		want   matrix.Problem
	}{
		"without the recovery key": {func(string, *matrixtest.Peer) []func(*matrix.Config) {
			return []func(*matrix.Config){func(c *matrix.Config) {
				c.GiveRecoveryKey = func(string) error { return errors.New("must not be asked") }
			}}
		}, matrix.ProblemUnsigned},
		"with it": {func(key string, _ *matrixtest.Peer) []func(*matrix.Config) {
			return []func(*matrix.Config){withRecoveryKey(key)}
		}, ""},
		"with it, typed without care": {func(key string, _ *matrixtest.Peer) []func(*matrix.Config) {
			return []func(*matrix.Config){withRecoveryKey("  " + strings.ReplaceAll(key, " ", "") + "\n")}
		}, ""},
		"with another key": {func(_ string, _ *matrixtest.Peer) []func(*matrix.Config) {
			return []func(*matrix.Config){withRecoveryKey("EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d")}
		}, matrix.ProblemWrongKey},
		"with a phrase that it was not made from": {func(string, *matrixtest.Peer) []func(*matrix.Config) {
			return []func(*matrix.Config){withRecoveryKey(phrase)}
		}, matrix.ProblemWrongKey},
		"with the phrase that it was made from": {func(_ string, element *matrixtest.Peer) []func(*matrix.Config) {
			key, err := element.Machine.SSSS.GenerateAndUploadKey(t.Context(), phrase)
			if err == nil {
				err = element.Machine.UploadCrossSigningKeysToSSSS(t.Context(), key, element.Machine.CrossSigningKeys)
			}
			if err == nil {
				err = element.Machine.SSSS.SetDefaultKeyID(t.Context(), key.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			return []func(*matrix.Config){withRecoveryKey(phrase)}
		}, ""},
		"with a storage whose keys are not the identity's": {func(key string, element *matrixtest.Peer) []func(*matrix.Config) {
			others, err := element.Machine.GenerateCrossSigningKeys()
			if err != nil {
				t.Fatal(err)
			}
			id, meta, err := element.Machine.SSSS.GetDefaultKeyData(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			storage, err := meta.VerifyRecoveryKey(id, key)
			if err == nil {
				err = element.Machine.UploadCrossSigningKeysToSSSS(t.Context(), storage, others)
			}
			if err != nil {
				t.Fatal(err)
			}
			return []func(*matrix.Config){withRecoveryKey(key)}
		}, matrix.ProblemOtherKeys},
		"with a storage that holds nothing": {func(key string, element *matrixtest.Peer) []func(*matrix.Config) {
			for _, kind := range []string{"m.cross_signing.self_signing", "m.cross_signing.master"} {
				if err := element.Client.SetAccountData(t.Context(), kind, map[string]any{}); err != nil {
					t.Fatal(err)
				}
			}
			return []func(*matrix.Config){withRecoveryKey(key)}
		}, matrix.ProblemNoSecrets},
		"with a storage that makes the phrase cost hours": {func(_ string, element *matrixtest.Peer) []func(*matrix.Config) {
			meta := map[string]any{"algorithm": "m.secret_storage.v1.aes-hmac-sha2", "passphrase": map[string]any{
				"algorithm": "m.pbkdf2", "iterations": 2_000_000_000, "salt": "salt",
			}}
			if err := element.Client.SetAccountData(t.Context(), "m.secret_storage.key.slow", meta); err != nil {
				t.Fatal(err)
			}
			if err := element.Machine.SSSS.SetDefaultKeyID(t.Context(), "slow"); err != nil {
				t.Fatal(err)
			}
			return []func(*matrix.Config){withRecoveryKey(phrase)}
		}, matrix.ProblemWrongKey},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			key, element := s.hasIdentity()
			made := len(s.server.Requests(matrixtest.KeysSigning))
			a := s.open(o.change(key, element)...)
			want := matrix.Standing{Identity: true, Signed: o.want == "", Problem: o.want}
			if diff := cmp.Diff(want, s.secured(a)); diff != "" {
				t.Error(diff)
			}
			if n := len(s.server.Requests(matrixtest.KeysSigning)); n != made {
				t.Error("cross-signing keys were uploaded")
			}
			if o.want == "" {
				return
			}
			if o.want.Hint(s.bot) == "" {
				t.Error("nothing is said to help")
			}
			if log := s.log.String(); !strings.Contains(log, "rooms may stay dark") || !strings.Contains(log, string(o.want)) {
				t.Errorf("the log does not say so:\n%s", log)
			}
		})
	}
}

func TestNoIdentityIsMadeWhereItsKeyHasNowhereToGo(t *testing.T) {
	for name, o := range map[string]struct {
		options matrixtest.Options
		change  func(*matrix.Config)
		want    matrix.Problem
	}{
		"nobody is there":        {want: matrix.ProblemNoIdentity, change: func(*matrix.Config) {}},
		"it cannot be written":   {want: matrix.ProblemKeyOut, change: func(c *matrix.Config) { c.GiveRecoveryKey = func(string) error { return errors.New("no space left") } }},
		"a browser is asked for": {options: matrixtest.Options{IdentityAuth: []string{"m.login.sso"}}, want: matrix.ProblemRefused, change: withRecoveryKey("a phrase of the operator's")},
		"there is no password": {options: matrixtest.Options{IdentityAuth: []string{"m.login.password"}}, want: matrix.ProblemRefused, change: func(c *matrix.Config) {
			c.RecoveryKey = "a phrase of the operator's"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, o.options)
			change := o.change
			if name == "there is no password" {
				token := s.server.Token(s.bot, "")
				change = func(c *matrix.Config) { o.change(c); c.Password, c.AccessToken = "", token }
			}
			a := s.open(change)
			st := s.secured(a)
			st.Detail = ""
			if diff := cmp.Diff(matrix.Standing{Problem: o.want}, st); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The identity is made in steps. Whatever request fails, or is answered in vain, another
// start goes on with the same keys: nobody is left with an identity that has no key.
func TestAnIdentityThatIsInterruptedIsFinished(t *testing.T) {
	endpoints := []matrixtest.Endpoint{
		matrixtest.AccountData, matrixtest.KeysSigning, matrixtest.KeysSignatures, matrixtest.RoomKeysVersion, matrixtest.KeysQuery,
	}
	for _, lost := range []matrixtest.Fault{{Status: 500}, {CutAfter: -1}} {
		for _, endpoint := range endpoints {
			for after := range 12 {
				lost.On, lost.After, lost.Times = endpoint, after, 1
				if interrupted(t, lost) {
					continue
				}
				if after == 0 {
					t.Errorf("%s was never asked", endpoint)
				}
				break // there are no more requests of that kind
			}
		}
	}
}

// interrupted makes an identity with one fault on the way, starts again, and looks whether
// all is there. It reports whether the fault was met.
func interrupted(t *testing.T, lost matrixtest.Fault) bool {
	t.Helper()
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	keys := map[string]bool{}
	var key string
	give := func(c *matrix.Config) {
		c.GiveRecoveryKey = func(k string) error {
			keys[k], key = true, k
			return nil
		}
	}
	a := s.open(give)
	var met atomic.Bool
	lost.Reach = func() { met.Store(true) }
	s.server.Inject(lost)
	_, err := a.Secure(t.Context())
	s.server.Heal()
	if met.Load() && err == nil && lost.Status != 0 {
		t.Errorf("%+v: it is not told", lost.On)
	}
	s.restart(a)
	b := s.open(give)
	if st := s.secured(b); st.Problem != "" || !st.Signed {
		t.Errorf("%s %d: %+v", lost.On, lost.After, st)
	}
	if trust := s.seenBy(alice, b.DeviceID()); trust != id.TrustStateCrossSignedTOFU {
		t.Errorf("%s %d: alice sees the device as %s", lost.On, lost.After, trust)
	}
	if len(keys) != 1 {
		t.Errorf("%s %d: %d recovery keys were handed over", lost.On, lost.After, len(keys))
	}
	s.anotherStore(b)
	c := s.open(withRecoveryKey(key))
	if st := s.secured(c); st.Problem != "" || !st.Signed {
		t.Errorf("%s %d: with the key that was handed over: %+v", lost.On, lost.After, st)
	}
	return met.Load()
}

func TestASignatureThatIsGoneIsMadeAgain(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	alice := s.peer("alice")
	var key string
	a := s.open(recovered(&key))
	s.secured(a)
	unsigned := func() {
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(s.server.DeviceKeys(s.bot, a.DeviceID()), &keys); err != nil {
			t.Fatal(err)
		}
		var sigs map[id.UserID]map[id.KeyID]string
		if err := json.Unmarshal(keys["signatures"], &sigs); err != nil {
			t.Fatal(err)
		}
		own := id.NewKeyID(id.KeyAlgorithmEd25519, a.DeviceID().String())
		keys["signatures"], _ = json.Marshal(map[id.UserID]map[id.KeyID]string{s.bot: {own: sigs[s.bot][own]}})
		text, _ := json.Marshal(keys)
		s.server.SetDeviceKeys(s.bot, a.DeviceID(), text)
	}
	unsigned()
	if diff := cmp.Diff(matrix.Standing{Identity: true, Problem: matrix.ProblemUnsigned, Backup: "1"}, s.secured(a)); diff != "" {
		t.Error(diff)
	}
	s.restart(a)
	a = s.open(withRecoveryKey(key))
	if diff := cmp.Diff(matrix.Standing{Identity: true, Signed: true, Backup: "1"}, s.secured(a)); diff != "" {
		t.Error(diff)
	}
	if trust := s.seenBy(alice, a.DeviceID()); trust != id.TrustStateCrossSignedTOFU {
		t.Errorf("alice sees the device as %s", trust)
	}
}

func TestAReplacedIdentityIsNoticed(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	var key string
	a := s.open(recovered(&key))
	s.secured(a)
	s.server.ResetIdentity(s.bot)
	_, element := s.hasIdentity()
	if st := s.secured(a); st.Problem != matrix.ProblemChanged {
		t.Errorf("%+v", st)
	}
	s.restart(a)
	a = s.open(withRecoveryKey(key))
	if st := s.secured(a); st.Problem != matrix.ProblemWrongKey {
		t.Errorf("with the former key: %+v", st)
	}
	// The owner of the account may sign the device from the other session.
	device := s.deviceOf(element, a.DeviceID())
	if err := element.Machine.SignOwnDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if st := s.secured(a); !st.Signed || st.Problem != "" {
		t.Errorf("once it is signed: %+v", st)
	}
	if !strings.Contains(s.log.String(), "has been replaced, and the new one has signed the device") {
		t.Error("the log does not say so")
	}
}

func (s *scene) deviceOf(p *matrixtest.Peer, device id.DeviceID) *id.Device {
	s.t.Helper()
	keys, err := p.Machine.FetchKeys(s.t.Context(), []id.UserID{s.bot}, true)
	if err != nil || keys[s.bot][device] == nil {
		s.t.Fatalf("no such device: %v", err)
	}
	return keys[s.bot][device]
}

// A homeserver may show anything as the account's keys.
func TestKeysThatAreNoneAreNoIdentity(t *testing.T) {
	for name, self := range map[string]string{
		"a short key": `{"user_id":"%s","usage":["self_signing"],"keys":{"ed25519:AAAA":"AAAA"},"signatures":{}}`,
		"no key":      `{"user_id":"%s","usage":["self_signing"],"keys":{},"signatures":{}}`,
		"two keys":    `{"user_id":"%s","usage":["self_signing"],"keys":{"ed25519:A":"A","ed25519:B":"B"}}`,
		"no object":   `5`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			s.hasIdentity()
			s.server.ShowSelfSigning(s.bot, strings.ReplaceAll(self, "%s", s.bot.String()))
			a := s.open()
			if st := s.secured(a); st.Signed || st.Problem != matrix.ProblemUnsigned {
				t.Errorf("%+v", st)
			}
		})
	}
}
