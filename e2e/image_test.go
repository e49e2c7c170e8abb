package e2e_test

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/e2e/image"
	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// nobody is the user of the image.
const nobody = 65532

// built is the image that the Dockerfile describes, of a version of its own.
func built(t *testing.T) *image.Image {
	t.Helper()
	root, err := parts.Root()
	if err != nil {
		t.Fatal(err)
	}
	args := image.Platform()
	maps.Copy(args, map[string]string{
		"VERSION": "v9.8.7", "COMMIT": strings.Repeat("ab", 20), "COMMITTED": "2026-01-02T03:04:05Z",
	})
	img, err := image.Build(t.Context(), root, args, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// volume is a new volume of an image: it has the owner of the folder that it covers.
func volume(t *testing.T, img *image.Image, at string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(img.Root, img.Volume))
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid != nobody || owner.Gid != nobody || info.Mode().Perm() != 0o700 {
		t.Fatalf("the volume's folder has owner %d:%d and mode %s", owner.Uid, owner.Gid, info.Mode())
	}
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(at, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// run is what a program of the image says.
func run(t *testing.T, env []string, program ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The image is run as an engine would: as its user, read-only but for the volume.
func TestTheImageReadsAndImportsWithAReadOnlyRoot(t *testing.T) {
	t.Parallel()
	img := built(t)
	s := scene.New(t, scene.Config{})
	store := s.Env["MATRIX_STORE_PATH"]
	volume(t, img, store)
	program, err := img.Program(store)
	if err != nil {
		t.Fatal(err)
	}

	out, err := run(t, nil, append(program, "version")...)
	for _, want := range []string{"matrix-connector v9.8.7 (go1.", strings.Repeat("ab", 20), "2026-01-02T03:04:05Z"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("version lacks %q: %v\n%s", want, err, out)
		}
	}

	before := files(t, img.Root)
	outside := s.Env
	s.Env = maps.Clone(outside)
	delete(s.Env, "MATRIX_STORE_PATH") // the volume is the default
	s.Program = program
	alice := s.Town.Moves("alice")
	c := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Says(room, "Read by nobody, and written nowhere else")
	alice.Sends(room, people.Document("report.pdf", "1"), "")
	s.Receives()

	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.PID()), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Uid:\t65532\t65532\t65532\t65532\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
		if !strings.Contains(string(status), line) {
			t.Errorf("the process lacks %q:\n%s", line, status)
		}
	}
	health, err := img.Healthcheck(store)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, environ(s.Env), health...); err != nil {
		t.Errorf("the health check of a working connector fails: %v\n%s", err, out)
	}
	s.Stops()
	if out, err := run(t, environ(s.Env), health...); err == nil {
		t.Errorf("the health check passes without a connector:\n%s", out)
	}
	if diff := cmp.Diff(before, files(t, img.Root)); diff != "" {
		t.Errorf("something was written outside the volume:\n%s", diff)
	}
	s.Env, s.Program = outside, nil
}

// The Python connector's volume belongs to root. What is said about it is the line
// that hands it over, and its files stay.
func TestTheImageSaysHowAVolumeOfRootsIsHandedOver(t *testing.T) {
	t.Parallel()
	img := built(t)
	s := scene.New(t, scene.Config{})
	store := s.Env["MATRIX_STORE_PATH"]
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(store, "@octi:example.test_DEVICE.db")
	if err := os.WriteFile(old, []byte("of the Python connector"), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := img.Program(store)
	if err != nil {
		t.Fatal(err)
	}
	outside := s.Env
	s.Env = maps.Clone(outside)
	delete(s.Env, "MATRIX_STORE_PATH")
	const line = "chown -R 65532:65532 /opt/opencti-connector-matrix/store"
	if out, err := run(t, environ(s.Env), program...); err == nil || !strings.Contains(out, line) {
		t.Errorf("it does not say %q: %v\n%s", line, err, out)
	}

	if out, err := exec.CommandContext(t.Context(), "chown", "-R", "65532:65532", store).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.Program = program
	alice := s.Town.Moves("alice")
	s.Starts()
	room := joined(s, alice, "War room")
	alice.Says(room, "After the volume was handed over")
	s.Receives()
	s.Env, s.Program = outside, nil
	if text, err := os.ReadFile(old); err != nil || string(text) != "of the Python connector" {
		t.Errorf("a file of the Python connector is gone or changed: %v", err)
	}
}

// files are the paths below a folder.
func files(t *testing.T, root string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		list = append(list, strings.TrimPrefix(path, root))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// environ is a map as an environment.
func environ(env map[string]string) []string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

func TestTheImageHoldsWhatItNeedsAndNothingElse(t *testing.T) {
	t.Parallel()
	img := built(t)
	want := []string{
		"", "/etc", "/etc/ssl", "/etc/ssl/certs", "/etc/ssl/certs/ca-certificates.crt",
		"/opt", "/opt/opencti-connector-matrix", "/opt/opencti-connector-matrix/store",
		"/usr", "/usr/local", "/usr/local/bin", "/usr/local/bin/matrix-connector",
		"/usr/share", "/usr/share/doc", "/usr/share/doc/matrix-connector",
		"/usr/share/doc/matrix-connector/LICENSE", "/usr/share/doc/matrix-connector/NOTICE",
		"/usr/share/doc/matrix-connector/THIRD-PARTY-LICENCES.txt",
	}
	if diff := cmp.Diff(want, files(t, img.Root)); diff != "" {
		t.Error(diff)
	}
	licences, err := os.ReadFile(filepath.Join(img.Root, "usr/share/doc/matrix-connector/THIRD-PARTY-LICENCES.txt"))
	for _, part := range []string{"\nmaunium.net/go/mautrix v", "Mozilla Public License", "\nmodernc.org/sqlite v", "\nstd 1."} {
		if err != nil || !strings.Contains(string(licences), part) {
			t.Errorf("the licences lack %q: %v", part, err)
		}
	}
	if img.Volume != "/opt/opencti-connector-matrix/store" {
		t.Errorf("the volume is %s, and the Python connector's elsewhere", img.Volume)
	}
	if !strings.Contains(img.Labels, `org.opencontainers.image.revision="`+strings.Repeat("ab", 20)) {
		t.Errorf("labels: %s", img.Labels)
	}
	if img.User != "65532:65532" {
		t.Errorf("user: %s", img.User)
	}
}
