package connector_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// A homeserver that does not say how the device stands, or takes no identity, keeps no key from
// being saved or looked for.
func TestKeysAreSavedWhileTheDevicesStandingIsNotKnown(t *testing.T) {
	hs := homeserver(t)
	bot := hs.UserID("bot")
	ctx := t.Context()
	st, err := store.Open(ctx, store.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	l := ledger.New(ledger.Config{Store: st, Self: bot})
	if err := l.Open(ctx); err != nil {
		t.Fatal(err)
	}
	a, err := matrix.New(matrix.Config{
		Homeserver: hs.URL(), UserID: bot, Password: "secret", Store: st, Journal: l, GiveRecoveryKey: func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Open(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if err := connector.KeeperTurn(ctx, a); err != nil {
		t.Fatal(err)
	}
	alice, err := hs.NewPeer(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	room := hs.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	room.Join(bot)
	if _, err := alice.Say(ctx, room.ID, "whose key is to be saved"); err != nil {
		t.Fatal(err)
	}
	for news := true; news; {
		if news, err = a.Poll(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if saving, err := a.Saving(ctx); err != nil || !saving {
		t.Errorf("a key that came needs no saving: %v, %v", saving, err)
	}
	hs.Inject(matrixtest.Fault{On: matrixtest.KeysQuery, Status: http.StatusInternalServerError})
	if err := connector.KeeperTurn(ctx, a); err == nil {
		t.Error("that the standing is not known is not told")
	}
	if saving, err := a.Saving(ctx); err != nil || saving {
		t.Errorf("a key is not saved: %v, %v", saving, err)
	}
	if _, saved := hs.Backup(bot); len(saved[room.ID]) != 1 {
		t.Errorf("the backup holds %d keys of the room, want one", len(saved[room.ID]))
	}
}

// The recovery key of a new identity has one place, where nothing stood before.
func TestARecoveryKeyIsWrittenWholeAndOverNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "recovery-key.txt")
	const key = "EsTb LW2K PGiF"
	for _, name := range []string{"first", "again, after a start that died"} {
		if err := connector.RecoveryFile(path)(key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := connector.RecoveryFile(path)("another key"); err == nil {
		t.Error("another key is written over it")
	}
	if err := connector.RecoveryFile(filepath.Join(dir, "nowhere", "key"))(key); err == nil {
		t.Error("a folder that does not exist is no mistake")
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != key+"\n" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("it leaves %v, %v", files, err)
	}
}
