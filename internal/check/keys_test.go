package check_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// What check foresees is what the next start does.
func TestTheDevicesStandingIsForeseen(t *testing.T) {
	const otherKey = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d"
	for name, o := range map[string]struct {
		identity bool
		env      func(key string) map[string]string
		device   []string
		backup   []string
	}{
		"no identity, and nowhere for its key": {
			device: []string{"no cross-signing identity", "matrix-connector login"}, backup: []string{"no key backup"},
		},
		"no identity, and a file for its key": {
			env:    func(string) map[string]string { return map[string]string{"MATRIX_RECOVERY_KEY_OUT": "./key.txt"} },
			device: []string{"the next start makes an identity"}, backup: []string{"no key backup"},
		},
		"no identity, and a phrase of the operator's": {
			env: func(string) map[string]string {
				return map[string]string{"MATRIX_RECOVERY_KEY": "a phrase of the operator's"}
			},
			device: []string{"the next start makes an identity"}, backup: []string{"the next start makes one"},
		},
		"an identity without its key": {
			identity: true, device: []string{"no recovery key is set", "MATRIX_RECOVERY_KEY"}, backup: []string{"no key backup"},
		},
		"an identity with its key": {
			identity: true, env: func(key string) map[string]string { return map[string]string{"MATRIX_RECOVERY_KEY": key} },
			device: []string{"the next start signs it"}, backup: []string{"the next start makes one"},
		},
		"an identity with another key": {
			identity: true, env: func(string) map[string]string { return map[string]string{"MATRIX_RECOVERY_KEY": otherKey} },
			device: []string{"does not open", "security phrase"}, backup: []string{"does not open"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, openctitest.Config{})
			s.starts()
			key := ""
			if o.identity {
				key, _ = hasIdentity(t, s)
			}
			if o.env != nil {
				maps.Copy(s.env, o.env(key))
			}
			made := s.homeserver.Count(matrixtest.KeysSigning) + s.homeserver.Count(matrixtest.KeysSignatures)
			r := s.checks()
			r.noneFails()
			r.is(check.Device, check.Warning, o.device...)
			state := check.Warning
			if slices.Contains(o.backup, "the next start makes one") {
				state = check.OK
			}
			r.is(check.Backup, state, o.backup...)
			if n := s.homeserver.Count(matrixtest.KeysSigning) + s.homeserver.Count(matrixtest.KeysSignatures); n != made {
				t.Error("check has signed something")
			}
		})
	}
}

func TestABackupInUseIsTold(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.env["MATRIX_RECOVERY_KEY"] = "a phrase of the operator's"
	account := s.starts(func(c *matrix.Config) { c.RecoveryKey = s.env["MATRIX_RECOVERY_KEY"] })
	if _, err := account.Secure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := account.Backup(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := s.checks()
	r.is(check.Device, check.OK, "is cross-signed")
	r.is(check.Backup, check.OK, "key backup 1")
	s.homeserver.ReplaceBackup(s.bot, "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo")
	r = s.checks()
	r.is(check.Backup, check.Warning, "not the one", "delete the key backup")
}

func TestWhoWithholdsKeysIsTold(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	account := s.starts()
	alice, err := s.homeserver.NewPeer(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	room := s.homeserver.NewRoom(alice.User, matrixtest.RoomOptions{})
	room.Join(s.bot)
	room.Say(alice.User, "hello")
	s.homeserver.SendToDevice(alice.User, s.bot, account.DeviceID(), "m.room_key.withheld", map[string]any{
		"algorithm": "m.megolm.v1.aes-sha2", "code": "m.unverified", "room_id": room.ID, "session_id": "a session",
	})
	for range 2 {
		if _, err := account.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := s.checks()
	r.is(check.Keys, check.Warning, alice.User.String(), "m.unverified", "get the device signed")
}
