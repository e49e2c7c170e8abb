package matrix_test

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// vault is a den whose bot has an identity and a key backup.
type vault struct {
	*den
	key string
	now time.Time
}

func newVault(t *testing.T) *vault {
	t.Helper()
	s := newScene(t, matrixtest.Options{})
	v := &vault{den: &den{scene: s, alice: s.peer("alice"), mallory: s.peer("mallory")}, now: time.Now()}
	r := s.server.NewRoom(v.alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(s.bot)
	r.Join(v.mallory.User)
	v.room = r.ID
	v.account = s.open(recovered(&v.key), v.clock)
	s.catchUp(v.account)
	if st := s.secured(v.account); st.Backup != "1" {
		t.Fatalf("%+v", st)
	}
	return v
}

func (v *vault) clock(c *matrix.Config) { c.Now = func() time.Time { return v.now } }

// saves uploads keys until all are saved, and gives how many were.
func (v *vault) saves() (sum int) {
	v.t.Helper()
	for {
		n, err := v.account.SaveKeys(v.t.Context(), 2)
		if err != nil {
			v.t.Fatal(err)
		}
		if n == 0 {
			return sum
		}
		sum += n
	}
}

// searches looks for keys until none is due, and reads what they open.
func (v *vault) searches() {
	v.t.Helper()
	for {
		more, err := v.account.SearchKeys(v.t.Context())
		if err != nil {
			v.t.Fatal(err)
		}
		if !more {
			break
		}
	}
	v.retry(v.account)
}

// moves goes on with an empty store, as after its loss.
func (v *vault) moves() matrix.Standing {
	v.t.Helper()
	v.anotherStore(v.account)
	v.account = v.open(withRecoveryKey(v.key), v.clock)
	v.secured(v.account)
	st, err := v.account.Backup(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	v.catchUp(v.account)
	for n := range v.gaps() {
		v.fill(v.account, n)
	}
	return st
}

func TestKeysAreSavedAndRestoredForJustTheEventsThatWait(t *testing.T) {
	v := newVault(t)
	for _, text := range []string{"one", "two", "three"} {
		v.say(v.alice, v.room, text)
		if err := v.alice.Rotate(t.Context(), v.room); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := v.server.NewRoom(v.alice.User, matrixtest.RoomOptions{Encrypted: true})
	elsewhere.Join(v.bot)
	v.say(v.alice, elsewhere.ID, "elsewhere")
	v.catchUp(v.account)
	if n := v.saves(); n != 4 {
		t.Fatalf("%d sessions saved, want 4", n)
	}
	if n := v.saves(); n != 0 {
		t.Errorf("%d sessions saved once more", n)
	}
	elsewhere.Leave(v.bot, v.bot)

	st := v.moves()
	if st.Backup != "1" || st.BackupProblem != "" {
		t.Fatalf("%+v", st)
	}
	if len(v.said()) != 0 {
		t.Fatalf("read without a key: %v", v.said())
	}
	v.searches()
	if len(v.said()) != 0 || v.asked() != 0 {
		t.Error("a key is looked for at once, though it may be on its way")
	}
	v.now = v.now.Add(time.Minute)
	v.searches()
	if diff := cmp.Diff([]string{"one", "two", "three"}, v.said()); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"one", "two"} {
		if trust := v.trustOf(text); trust != timeline.TrustBackup {
			t.Errorf("%s: trust %d", text, trust)
		}
	}
	if n := v.asked(); n != 3 {
		t.Errorf("the backup was asked for %d sessions, want the 3 that are needed", n)
	}
	if n := v.saves(); n != 0 {
		t.Errorf("%d restored sessions are saved once more", n)
	}
}

// asked is how many sessions the backup was asked for.
func (v *vault) asked() (n int) {
	for _, r := range v.server.Requests(matrixtest.RoomKeys) {
		if r.Method == http.MethodGet {
			n++
		}
	}
	return n
}

func (s *scene) trustOf(text string) timeline.Trust {
	s.t.Helper()
	for _, b := range s.diary.batches(s.t) {
		for _, e := range b.Events {
			if body(e) == text {
				return e.Trust
			}
		}
	}
	s.t.Fatalf("nobody said %q", text)
	return 0
}

func TestAKeyThatIsNowhereIsLookedForLessAndLess(t *testing.T) {
	v := newVault(t)
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	v.say(v.alice, v.room, "dark")
	end()
	v.catchUp(v.account)
	var tried []int
	for _, wait := range []time.Duration{time.Minute, 9 * time.Minute, 2 * time.Minute, time.Hour, 6 * time.Hour, 20 * time.Hour, 24 * time.Hour} {
		v.now = v.now.Add(wait)
		v.searches()
		tried = append(tried, v.asked())
	}
	if diff := cmp.Diff([]int{1, 1, 2, 3, 4, 4, 5}, tried); diff != "" {
		t.Error(diff)
	}
	next, err := v.account.NextSearch(t.Context())
	if err != nil || !next.After(v.now) {
		t.Errorf("the next search is at %s, now is %s: %v", next, v.now, err)
	}
	// Somebody who knows more has it looked for at once.
	if err := v.account.SearchAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.searches()
	if n := v.asked(); n != 6 {
		t.Errorf("looked for %d times, want 6", n)
	}
	// Once its key has come by another way, nobody looks for it any more.
	_, in := v.session()
	v.imports(in)
	v.now = v.now.Add(48 * time.Hour)
	v.searches()
	if n := v.count("SELECT count(*) FROM matrix_key_search"); n != 0 || v.asked() != 6 {
		t.Errorf("%d searches go on, %d requests", n, v.asked())
	}
}

// A proxy may take offence at one id, or the homeserver at one row.
func TestASearchThatFailsKeepsNoOtherBack(t *testing.T) {
	v := newVault(t)
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	v.say(v.alice, v.room, "one")
	first, in := v.session()
	v.plant(exported(t, in, v.room))
	if err := v.alice.Rotate(t.Context(), v.room); err != nil {
		t.Fatal(err)
	}
	v.say(v.alice, v.room, "two")
	second, in := v.session()
	v.plant(exported(t, in, v.room))
	end()
	v.catchUp(v.account)
	fails, failing, other := first.ID(), "one", "two" // the one that is asked for first
	if second.ID() < fails {
		fails, failing, other = second.ID(), "two", "one"
	}
	v.server.Inject(matrixtest.Fault{On: matrixtest.RoomKeys, Path: fails.String(), Status: 500})
	fail := 0
	for range 5 {
		v.now = v.now.Add(time.Minute)
		if _, err := v.account.SearchKeys(t.Context()); err != nil {
			fail++
		}
	}
	v.retry(v.account)
	if diff := cmp.Diff([]string{other}, v.said()); diff != "" || fail == 0 {
		t.Errorf("%d searches failed\n%s", fail, diff)
	}
	v.server.Heal()
	v.now = v.now.Add(time.Hour)
	v.searches()
	if diff := cmp.Diff([]string{other, failing}, v.said()); diff != "" {
		t.Error(diff)
	}
}

// imports hands alice's session over as a key file does.
func (v *vault) imports(in *crypto.InboundGroupSession) {
	v.t.Helper()
	got, err := v.account.ImportKeys(v.t.Context(), matrix.KeyFile{exported(v.t, in, v.room)})
	if err != nil || got.Taken != 1 {
		v.t.Fatalf("%+v: %v", got, err)
	}
	v.retry(v.account)
}

func exported(t *testing.T, in *crypto.InboundGroupSession, room id.RoomID) crypto.ExportedSession {
	t.Helper()
	key, err := in.Internal.Export(in.Internal.FirstKnownIndex())
	if err != nil {
		t.Fatal(err)
	}
	return crypto.ExportedSession{
		Algorithm: id.AlgorithmMegolmV1, RoomID: room, SenderKey: in.SenderKey, SessionID: in.ID(), SessionKey: string(key),
		SenderClaimedKeys: crypto.SenderClaimedKeys{Ed25519: in.SigningKey},
	}
}

func TestABackupThatIsReplacedIsNoticed(t *testing.T) {
	v := newVault(t)
	v.say(v.alice, v.room, "one")
	v.catchUp(v.account)
	v.saves()
	v.say(v.alice, v.room, "two")
	if err := v.alice.Rotate(t.Context(), v.room); err != nil {
		t.Fatal(err)
	}
	v.say(v.alice, v.room, "three")
	v.catchUp(v.account)
	other, err := backup.NewMegolmBackupKey()
	if err != nil {
		t.Fatal(err)
	}
	v.server.ReplaceBackup(v.bot, base64.RawStdEncoding.EncodeToString(other.PublicKey().Bytes()))
	if _, err := v.account.SaveKeys(t.Context(), 10); matrix.Classify(err).Class != matrix.ClassPermanent {
		t.Errorf("saved into another backup: %v", err)
	}
	st, err := v.account.Backup(t.Context())
	if err != nil || st.Backup != "" || st.BackupProblem != matrix.ProblemNoBackupKey {
		t.Errorf("without the recovery key: %+v, %v", st, err)
	}
	if n := v.saves(); n != 0 {
		t.Error("keys go into a backup that is not known")
	}
	v.restart(v.account)
	v.account = v.open(withRecoveryKey(v.key), v.clock)
	if st, err = v.account.Backup(t.Context()); err != nil || st.BackupProblem != matrix.ProblemOtherBackup {
		t.Errorf("with the recovery key: %+v, %v", st, err)
	}
	// The person deletes it, as the hint says: then the bot makes one again, with the
	// former key, and saves everything anew.
	v.server.DropBackup(v.bot)
	if st, err = v.account.Backup(t.Context()); err != nil || st.Backup != "3" || st.BackupProblem != "" {
		t.Errorf("once it is deleted: %+v, %v", st, err)
	}
	if n := v.saves(); n != 2 {
		t.Errorf("%d sessions saved anew, want 2", n)
	}
	if !strings.Contains(v.log.String(), "neither saved in nor restored from") {
		t.Error("the log does not say so")
	}
}

func TestASessionThatGetsBetterIsSavedAgain(t *testing.T) {
	v := newVault(t)
	_, in := v.lateKey()
	v.catchUp(v.account)
	v.saves()
	first := func() uint32 {
		_, keys := v.server.Backup(v.bot)
		return keys[v.room][in.ID()].First
	}
	if first() == 0 {
		t.Fatal("the session was known from its start")
	}
	v.imports(in)
	if n := v.saves(); n != 1 || first() != 0 {
		t.Errorf("%d saved; the backup has it from index %d on", n, first())
	}
}

// Whoever knows the backup's public key can put keys into it: the homeserver above all.
func TestAKeyThatWasPlantedInTheBackupDoesNotOutlastTheGenuineOne(t *testing.T) {
	v := newVault(t)
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	e := v.say(v.alice, v.room, "dark")
	end()
	v.catchUp(v.account)
	out, in := v.session()
	bogus := exported(t, in, v.room)
	bogus.SessionKey = bogusRatchet(t, v.export(in))
	v.plant(bogus)
	v.now = v.now.Add(time.Minute)
	v.searches()
	if u, ok := v.undecrypted(e); !ok || u.Reason == "" {
		t.Fatal("a bogus ratchet decrypts")
	}
	// The genuine key comes after all, with a later index than the planted one claims.
	v.say(v.alice, v.room, "two")
	v.sends(v.alice, event.ToDeviceRoomKey, &event.RoomKeyEventContent{
		Algorithm: id.AlgorithmMegolmV1, RoomID: v.room, SessionID: out.ID(), SessionKey: out.Internal.Key(),
	})
	v.say(v.alice, v.room, "three")
	v.catchUp(v.account)
	v.retry(v.account)
	if diff := cmp.Diff([]string{"three"}, v.said()); diff != "" {
		t.Error(diff)
	}
	// What is planted once more does not replace it, and a genuine copy is still welcome.
	v.plant(bogus)
	v.now = v.now.Add(time.Hour)
	v.searches()
	v.imports(in)
	if diff := cmp.Diff([]string{"three", "dark", "two"}, v.said()); diff != "" {
		t.Error(diff)
	}
}

// plant puts a session into the backup with its public key, which the homeserver knows.
func (v *vault) plant(s crypto.ExportedSession) {
	v.t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(v.server.BackupKey(v.bot))
	if err != nil {
		v.t.Fatal(err)
	}
	public, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		v.t.Fatal(err)
	}
	sealed, err := backup.EncryptSessionDataWithPubkey(public, backup.MegolmSessionData{
		Algorithm: s.Algorithm, SenderKey: s.SenderKey, SessionKey: s.SessionKey, ForwardingKeyChain: []string{},
		SenderClaimedKeys: backup.SenderClaimedKeys{Ed25519: s.SenderClaimedKeys.Ed25519},
	})
	if err != nil {
		v.t.Fatal(err)
	}
	data, err := json.Marshal(sealed)
	if err != nil {
		v.t.Fatal(err)
	}
	v.server.PutInBackup(v.bot, s.RoomID, s.SessionID, matrixtest.BackedUp{Data: data})
}

func TestRubbishInTheBackupIsNoKey(t *testing.T) {
	v := newVault(t)
	end := v.server.LoseToDevice(v.bot, "m.room.encrypted")
	v.say(v.alice, v.room, "dark")
	end()
	v.catchUp(v.account)
	_, in := v.session()
	for name, data := range map[string]string{
		"nothing":      `{}`,
		"a number":     `5`,
		"no point":     `{"ciphertext":"AAAA","ephemeral":"AAAA","mac":"AAAA"}`,
		"a wrong seal": `{"ciphertext":"AAAAAAAAAAAAAAAAAAAAAA","ephemeral":"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo","mac":"AAAAAAAAAAA"}`,
	} {
		v.server.PutInBackup(v.bot, v.room, in.ID(), matrixtest.BackedUp{Data: json.RawMessage(data)})
		v.now = v.now.Add(25 * time.Hour)
		v.searches()
		if len(v.said()) != 0 {
			t.Errorf("%s: it was read", name)
		}
	}
	s := exported(t, in, v.room)
	s.SessionKey = "AQAAAAA"
	v.plant(s)
	v.now = v.now.Add(25 * time.Hour)
	v.searches()
	if !strings.Contains(v.log.String(), "a key in the backup cannot be read") {
		t.Error("the log does not say that a key cannot be read")
	}
}
