package check_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func TestAllIsWellBeforeTheFirstStart(t *testing.T) {
	for _, g := range []openctitest.Generation{openctitest.Gen6, openctitest.Gen7} {
		t.Run(fmt.Sprintf("generation %d", g), func(t *testing.T) {
			s := newScene(t, openctitest.Config{Generation: g})
			r := s.checks()
			r.noneFails()
			r.is(check.Settings, check.OK, "11 set: 11 from the environment")
			r.is(check.Store, check.OK, "to be made at the first start")
			r.is(check.Homeserver, check.OK, "v1.12")
			r.is(check.Login, check.OK, "can log in")
			r.is(check.Device, check.Skipped, "first start")
			r.is(check.Rooms, check.OK, "in 1 room")
			r.is(check.Platform, check.OK, map[openctitest.Generation]string{openctitest.Gen6: "6.4.3", openctitest.Gen7: "7.260318.0"}[g])
			r.is(check.Rights, check.OK, "connector")
			r.is(check.Confidence, check.OK, "100")
			r.is(check.Markings, check.OK, "TLP:AMBER")
			r.is(check.Registered, check.OK, "not registered yet")
			r.is(check.Broker, check.Warning, "can be reached", "check --register")
			r.is(check.Queue, check.Skipped)
			r.is(check.Channels, check.Skipped)
			r.is(check.Clock, check.OK)

			if devices := s.homeserver.DeviceIDs(s.bot); len(devices) > 0 {
				t.Errorf("the check has left the devices %v", devices)
			}
			if len(s.platform.Connectors()) > 0 {
				t.Error("the check has registered the connector")
			}
			if _, err := os.Stat(s.env["MATRIX_STORE_PATH"]); err == nil {
				t.Error("the check has made the store")
			}
		})
	}
}

func TestTheBrokerOfARegisteredConnectorIsLookedAt(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.registers("Matrix", "EXTERNAL_IMPORT", s.env["OPENCTI_TOKEN"])
	s.broker.messages, s.broker.workers = 7, 2
	r := s.checks()
	r.noneFails()
	r.is(check.Registered, check.OK, "registered as Matrix")
	r.is(check.Broker, check.OK, "guest", "the platform says 127.0.0.1:5672")
	r.is(check.Queue, check.OK, "7 messages wait, read by 2 workers")
	if n := s.platform.Calls("registerConnector"); n != 1 {
		t.Errorf("registered %d times, want the one of the earlier start", n)
	}
}

func TestRegisterTellsTheBroker(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.register = true
	r := s.checks()
	r.noneFails()
	r.is(check.Registered, check.OK, "registered as Matrix")
	r.is(check.Queue, check.OK)
	if c := s.platform.Connectors(); len(c) != 1 || c[0].ID != connID {
		t.Errorf("registered is %v", c)
	}
}

func TestBesideARunningConnectorNothingChanges(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.registers("Matrix", "EXTERNAL_IMPORT", s.env["OPENCTI_TOKEN"])
	account := s.starts()
	devices := s.homeserver.DeviceIDs(s.bot)
	syncs := s.homeserver.Count(matrixtest.Sync)
	r := s.checks()
	r.noneFails()
	r.is(check.Login, check.OK, "with the stored device")
	r.is(check.Device, check.Warning, string(account.DeviceID()), "not cross-signed", "no cross-signing identity", "MSC4153", "matrix-connector login")
	r.is(check.Backup, check.Warning, "no key backup", "recovery key")
	r.is(check.Keys, check.OK, "nobody has withheld")
	if got := s.homeserver.DeviceIDs(s.bot); !slices.Equal(got, devices) {
		t.Errorf("devices were %v, and are %v", devices, got)
	}
	if n := s.homeserver.Count(matrixtest.Sync) - syncs; n > 0 {
		t.Errorf("the check has asked for %d syncs in the device's name", n)
	}
	if n := s.homeserver.Count(matrixtest.Login); n != 1 {
		t.Errorf("%d logins, want that of the start alone", n)
	}
	// The account still works: its device is locked by it, and its store is whole.
	if err := account.Sync(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAStoreAtRestIsNotTouched(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	t.Run("an earlier start", func(t *testing.T) {
		inner := *s
		inner.t = t
		inner.starts()
	})
	before := contents(t, s.env["MATRIX_STORE_PATH"])
	s.checks().noneFails()
	if diff := cmp.Diff(before, contents(t, s.env["MATRIX_STORE_PATH"])); diff != "" {
		t.Errorf("the store was changed (-before +after):\n%s", diff)
	}
}

// contents are the files of a folder by their hash and time of change.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := []byte("folder")
		if !d.IsDir() {
			if text, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		found[path] = fmt.Sprintf("%x %s", sha256.Sum256(text), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 2 {
		t.Fatalf("only %v in the store", found)
	}
	return found
}

func TestInvitesShowTheLineThatAcceptsThem(t *testing.T) {
	t.Run("before the first start", func(t *testing.T) {
		s := newScene(t, openctitest.Config{})
		s.env["MATRIX_INVITE_FROM"] = "@boss:test.example"
		s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{}).Invite(s.alice, s.bot)
		r := s.checks()
		r.is(check.Rooms, check.Warning, "1 invite pending", "MATRIX_INVITE_FROM=@boss:test.example,@alice:test.example")
	})
	t.Run("stored by a start", func(t *testing.T) {
		s := newScene(t, openctitest.Config{})
		s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{}).Invite(s.alice, s.bot)
		s.starts()
		s.checks().is(check.Rooms, check.OK, "1 invite pending, will be accepted")
		s.env["MATRIX_INVITE_FROM"] = ""
		s.checks().is(check.Rooms, check.Warning, "may not invite", "MATRIX_INVITE_FROM=@alice:test.example")
	})
}

func TestARoomThatIsReplacedByOneOutOfReachIsTold(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	next := s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{Public: true})
	room := s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{})
	room.Join(s.bot)
	room.SetState(s.alice, "m.room.tombstone", "", matrixtest.Content{"replacement_room": next.ID})
	s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{}).Invite(s.alice, s.bot)
	s.starts()
	s.checks().is(check.Rooms, check.OK, "1 of them replaced by one that it is not in", "1 invite pending, will be accepted")
	s.env["MATRIX_ROOMS_EXCLUDE"] = string(next.ID)
	s.checks().is(check.Rooms, check.Warning, string(next.ID), "the settings for that one do not hold for it")
}

func TestRoomsThatAreLeftOutAreTold(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	room := s.homeserver.NewRoom(s.alice, matrixtest.RoomOptions{Name: "Private"})
	room.Join(s.bot)
	s.env["MATRIX_ROOMS_EXCLUDE"] = string(room.ID)
	r := s.checks()
	r.is(check.Rooms, check.OK, "in 2 rooms", "1 left out")
	left, ok := r.line(check.Rooms).Facts["left_out"].([]map[string]any)
	if !ok || len(left) != 1 || left[0]["room_id"] != string(room.ID) {
		t.Errorf("left out is %v", r.line(check.Rooms).Facts)
	}
	s.env["MATRIX_ROOMS_EXCLUDE"] = "!*"
	s.checks().is(check.Rooms, check.Warning, "nothing is imported", "MATRIX_ROOMS_EXCLUDE")
}

func TestABotThatNobodyMayInviteIsTold(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.bot = s.homeserver.Account("lonely", password)
	s.env["MATRIX_USER_ID"], s.env["MATRIX_INVITE_FROM"] = string(s.bot), ""
	s.checks().is(check.Rooms, check.Warning, "nobody may invite", "MATRIX_INVITE_FROM", "@lonely:test.example")
}

func TestSecretsAndControlCharactersOfOthersAreNotRepeated(t *testing.T) {
	s := newScene(t, openctitest.Config{Users: []openctitest.User{{Name: "con\x1b[31m\nnector", Token: "canary-token"}}})
	s.env["OPENCTI_TOKEN"] = "canary-token"
	r := s.checks()
	for _, l := range r.lines {
		if strings.ContainsAny(l.Says+l.Hint, "\x1b\n") {
			t.Errorf("%s steers the terminal: %q", l.Name, l.Says)
		}
	}
}
