package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// finding is a line of check --json.
type finding struct {
	Name, State, Says, Hint string
	Facts                   map[string]any
}

// checks runs the real binary's check, and gives its lines by name; the settings
// that warn are left out.
func checks(t *testing.T, s *scene.Scene, code int, args ...string) map[string]finding {
	t.Helper()
	run, err := parts.StartConnector(t.Context(), parts.ConnectorConfig{
		Dir: s.Dir, Args: append([]string{"check", "--json"}, args...), Env: maps.Clone(s.Env), Program: s.Program,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), scene.Patience)
	defer cancel()
	got, err := run.Wait(ctx)
	if err != nil || got != code {
		t.Errorf("check ended with %d, %v; want %d\n%s%s", got, err, code, run.Stdout, run.Stderr)
	}
	var answer struct {
		Fine  bool
		Lines []finding
	}
	if err := json.Unmarshal([]byte(run.Stdout.String()), &answer); err != nil {
		t.Fatalf("%v: %s%s", err, run.Stdout, run.Stderr)
	}
	if answer.Fine != (code == 0) {
		t.Errorf("fine is %t", answer.Fine)
	}
	for _, secret := range []string{people.Password, s.Env["OPENCTI_TOKEN"], parts.BrokerPassword} {
		if strings.Contains(run.Stdout.String()+run.Stderr.String(), secret) {
			t.Errorf("a secret is shown:\n%s%s", run.Stdout, run.Stderr)
		}
	}
	found := map[string]finding{}
	for _, l := range answer.Lines {
		if l.Name != "settings" || l.State != "warning" {
			found[l.Name] = l
		}
	}
	return found
}

// are asserts the states of lines.
func are(t *testing.T, found map[string]finding, state string, names ...string) {
	t.Helper()
	for _, name := range names {
		if l := found[name]; l.State != state {
			t.Errorf("%s is %q (%s; hint: %s), want %s", name, l.State, l.Says, l.Hint, state)
		}
	}
}

// devicesOf asks the homeserver for all devices of the account, with keys or
// without.
func devicesOf(t *testing.T, s *scene.Scene, token string) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Env["MATRIX_SERVER"]+"/_matrix/client/v3/devices", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Devices []struct {
			ID string `json:"device_id"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || len(answer.Devices) == 0 {
		t.Fatalf("devices are %v, %v", answer, err)
	}
	var list []string
	for _, d := range answer.Devices {
		list = append(list, d.ID)
	}
	slices.Sort(list)
	return list
}

// filesOf are the files of a folder by hash and time of change.
func filesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%x %s", sha256.Sum256(text), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestACheckTellsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{Synapse: true})
	alice := s.Town.Moves("alice")
	token := s.Town.LogsIn(s.Bot.Localpart()) // to look at the account from beside
	devices := devicesOf(t, s, token)

	// Before the first start: the password is tried, and nothing stays.
	waiting := alice.Creates("Incident 6")
	alice.Invites(waiting, s.Bot)
	first := checks(t, s, 0)
	are(t, first, "ok", "settings", "homeserver", "login", "rooms", "platform", "rights", "confidence", "markings", "connector", "clock")
	are(t, first, "warning", "store", "broker") // its key lies beside it; nobody knows the queue yet
	are(t, first, "skipped", "device", "queue", "channels")
	if says := first["rooms"].Says; !strings.Contains(says, "1 invite pending, will be accepted") {
		t.Errorf("rooms says %q", says)
	}
	if got := devicesOf(t, s, token); !slices.Equal(got, devices) {
		t.Errorf("devices were %v, and are %v", devices, got)
	}
	if len(s.Platform.Connectors()) > 0 {
		t.Error("the check has registered the connector")
	}
	if _, err := os.Stat(s.Env["MATRIX_STORE_PATH"]); err == nil {
		t.Error("the check has made a store")
	}
	known := checks(t, s, 0, "--register")
	are(t, known, "ok", "connector", "broker")
	if len(s.Platform.Connectors()) != 1 {
		t.Error("check --register has not registered the connector")
	}

	// Beside a running connector.
	s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Something to read before the check")
	s.Receives()
	devices = devicesOf(t, s, token)
	beside := checks(t, s, 0)
	are(t, beside, "ok", "homeserver", "login", "rooms", "connector", "broker", "queue", "channels", "clock")
	are(t, beside, "warning", "device") // it is not cross-signed
	if beside["store"].Facts["running"] != true {
		t.Errorf("the running connector is not seen: %v", beside["store"])
	}
	if got := devicesOf(t, s, token); !slices.Equal(got, devices) {
		t.Errorf("devices were %v, and are %v", devices, got)
	}
	alice.Says(room, "The connector reads on after the check")
	s.Receives()
	s.Stops()

	// Of a store at rest.
	before := filesOf(t, s.Env["MATRIX_STORE_PATH"])
	are(t, checks(t, s, 0), "ok", "login", "queue")
	if after := filesOf(t, s.Env["MATRIX_STORE_PATH"]); !maps.Equal(before, after) {
		t.Errorf("the store was\n%v\nand is\n%v", before, after)
	}

	// And after a loss of power.
	s.Starts()
	alice.Says(room, "This is said before the power goes")
	s.Receives()
	s.Kills()
	are(t, checks(t, s, 0), "ok", "login", "channels")
	s.Starts()
	alice.Says(room, "And this is said when it is back")
	s.Receives()
}

func TestACheckFindsWhatIsAway(t *testing.T) {
	t.Parallel()
	s := scene.New(t, scene.Config{})
	s.Offline()
	s.Env["MATRIX_PASSWORD"] = "certainly not the password"
	s.Env["MQ_PASS"] = "nor is this one"
	found := checks(t, s, 3, "--register")
	are(t, found, "failed", "login", "broker")
	are(t, found, "ok", "homeserver", "platform", "rights")
	if hint := found["broker"].Hint; !strings.Contains(hint, "MQ_PASS") {
		t.Errorf("the broker's hint is %q", hint)
	}
	delete(s.Env, "MQ_PASS")
	s.Env["MQ_VHOST"] = "nowhere"
	if hint := checks(t, s, 3)["broker"].Hint; !strings.Contains(hint, "MQ_VHOST") {
		t.Errorf("the broker's hint is %q", hint)
	}
	delete(s.Env, "MQ_VHOST")
	s.ToHomeserver.Shut()
	s.ToPlatform.Shut()
	away := checks(t, s, 3)
	are(t, away, "failed", "homeserver", "platform")
	are(t, away, "skipped", "login", "rooms", "rights", "markings", "broker", "clock")
}

func TestACheckNamesAVolumeThatBelongsToSomebodyElse(t *testing.T) {
	t.Parallel()
	built, err := parts.BuildConnector(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary, store := filepath.Join(dir, "matrix-connector"), filepath.Join(dir, "store")
	if err := errors.Join(os.WriteFile(binary, program, 0o755), os.Mkdir(store, 0o555)); err != nil {
		t.Fatal(err)
	}
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	check := exec.CommandContext(t.Context(), binary, "check")
	check.Dir = dir
	check.Env = []string{
		"MATRIX_SERVER=http://127.0.0.1:1", "MATRIX_USER_ID=@octi:example.org", "MATRIX_PASSWORD=" + people.Password,
		"OPENCTI_URL=http://127.0.0.1:1", "OPENCTI_TOKEN=a token", "CONNECTOR_ID=7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11",
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // who may write everywhere
		uid, gid = 65532, 65532
		check.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	out, err := check.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Errorf("it ended with %v", err)
	}
	for _, want := range []string{"failed   store", "mode 0555", fmt.Sprintf("chown -R %d:%d %s", uid, gid, store), "MATRIX_STORE_PATH"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}
