package cli_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/cli"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

const loginKey = "canary-store-key, a long one"

// loginScene is a homeserver with a bot, and the environment of the login command.
type loginScene struct {
	t       *testing.T
	server  *matrixtest.Server
	environ []string
	path    string
}

func newLoginScene(t *testing.T, o matrixtest.Options, environ ...string) *loginScene {
	t.Helper()
	t.Chdir(t.TempDir())
	server, err := matrixtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v := server.Violations(); len(v) > 0 {
			t.Errorf("violations of the protocol:\n%s", strings.Join(v, "\n"))
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	bot := server.Account("bot", "canary-password")
	path := t.TempDir()
	return &loginScene{t: t, server: server, path: path, environ: append([]string{
		"MATRIX_SERVER=" + server.URL(), "MATRIX_USER_ID=" + string(bot), "MATRIX_STORE_PATH=" + path, "MATRIX_STORE_KEY=" + loginKey,
	}, environ...)}
}

// logsIn runs the command; told is called with each line that it writes.
func (s *loginScene) logsIn(ctx context.Context, told func(line string)) (stdout, stderr string, code int) {
	s.t.Helper()
	r, w := io.Pipe()
	var errs strings.Builder
	done := make(chan int, 1)
	go func() {
		code := cli.Main(ctx, []string{"login"}, s.environ, strings.NewReader(""), w, &errs)
		_ = w.Close() // of a pipe: always nil
		done <- code
	}()
	var out strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		told(lines.Text())
	}
	code = <-done
	for _, text := range []string{out.String(), errs.String()} {
		if strings.Contains(text, "canary") || strings.Contains(text, "syt_") || strings.Contains(text, "mcr_") || strings.Contains(text, "devicecode") {
			s.t.Errorf("a secret is shown: %s", text)
		}
	}
	return out.String(), errs.String(), code
}

func silently(string) {}

// unsigned is what follows where nobody is there who could keep a recovery key.
const unsigned = "warning: the device is not signed, and who gives room keys to signed devices alone gives it none, " +
	"because the account has no cross-signing identity\n" +
	"hint: run matrix-connector login on a terminal, which shows the recovery key of the new identity once; " +
	"or set MATRIX_RECOVERY_KEY_OUT to a file that it is written to\n"

var shownCode = regexp.MustCompile(`^ {4}(CODE-\d+)$`)

// confirming does with the code what a person does when it is shown.
func (s *loginScene) confirming(how func(code string) error) func(string) {
	return func(line string) {
		if m := shownCode.FindStringSubmatch(line); m != nil {
			if err := how(m[1]); err != nil {
				s.t.Error(err)
			}
		}
	}
}

func (s *loginScene) approving() func(string) {
	return s.confirming(func(code string) error { return s.server.Approve(code, s.server.UserID("bot")) })
}

// The service wants a second between two polls, so that the test takes that long.
var quick = matrixtest.Options{Service: &matrixtest.Service{Interval: time.Second}, Flows: []string{"m.login.sso"}}

func TestLoginByCode(t *testing.T) {
	s := newLoginScene(t, quick)
	stdout, stderr, code := s.logsIn(t.Context(), s.approving())
	devices := s.server.DeviceIDs(s.server.UserID("bot"))
	if code != 0 || stderr != "" || len(devices) != 1 {
		t.Fatalf("code %d, devices %v: %s%s", code, devices, stdout, stderr)
	}
	want := `Open this page in any browser, on any machine:

    SERVER/link

and enter this code:

    CODE

Log in there as @bot:test.example, not as yourself; a private window helps.
The code holds for 20 minutes. Waiting for your approval …

@bot:test.example is logged in, by the authentication service, as device DEVICE.
` + unsigned
	same := func(text string) string {
		text = strings.ReplaceAll(strings.ReplaceAll(text, s.server.URL(), "SERVER"), string(devices[0]), "DEVICE")
		return regexp.MustCompile(`CODE-\d+`).ReplaceAllString(text, "CODE")
	}
	if diff := cmp.Diff(want, same(stdout)); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}

	// Again: it is said as whom and as what, and nobody is asked.
	stdout, stderr, code = s.logsIn(t.Context(), silently)
	if code != 0 || stderr != "" || same(stdout) != "@bot:test.example is logged in already, as device DEVICE.\n"+unsigned {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	if n := s.server.Count(matrixtest.OAuthCode); n != 1 {
		t.Errorf("%d codes were asked for, want one", n)
	}

	// It was ended elsewhere: the same device is let in again.
	s.server.EndLogin(s.server.UserID("bot"), devices[0])
	stdout, _, code = s.logsIn(t.Context(), s.approving())
	if code != 0 || !strings.Contains(same(stdout), "is logged in, by the authentication service, as device DEVICE.\n") {
		t.Errorf("code %d: %s", code, stdout)
	}
}

func TestLoginWithASecret(t *testing.T) {
	s := newLoginScene(t, matrixtest.Options{}, "MATRIX_PASSWORD=canary-password")
	stdout, stderr, code := s.logsIn(t.Context(), silently)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "@bot:test.example is logged in, with the password, as device ") {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	if stdout, _, code := s.logsIn(t.Context(), silently); code != 0 || !strings.Contains(stdout, "is logged in already") {
		t.Errorf("code %d: %s", code, stdout)
	}
	if n := s.server.Count(matrixtest.Login); n != 1 {
		t.Errorf("%d logins, want one", n)
	}

	s = newLoginScene(t, matrixtest.Options{})
	s.environ = append(s.environ, "MATRIX_ACCESS_TOKEN="+s.server.Token(s.server.UserID("bot"), "BOTDEVICE1"))
	stdout, stderr, code = s.logsIn(t.Context(), silently)
	if code != 0 || stderr != "" || stdout != "@bot:test.example is logged in, with the access token, as device BOTDEVICE1.\n"+unsigned {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
}

func TestALoginThatFailsSaysWhatToDo(t *testing.T) {
	for _, test := range []struct {
		name    string
		options matrixtest.Options
		environ []string
		confirm func(s *loginScene) func(string)
		holds   []string
	}{
		{
			name: "the person refuses", options: quick,
			confirm: func(s *loginScene) func(string) { return s.confirming(s.server.Deny) },
			holds:   []string{"refused on the page", "allow the login on the page"},
		},
		{
			name: "the person is logged in there as somebody else", options: quick,
			confirm: func(s *loginScene) func(string) {
				alice := s.server.Account("alice", "canary-alice")
				return s.confirming(func(code string) error { return s.server.Approve(code, alice) })
			},
			holds: []string{"approved for another account: it is @alice:test.example", "private window"},
		},
		{
			name: "no secret, and no service", options: matrixtest.Options{},
			holds: []string{"neither a password nor an access token is set", "MATRIX_PASSWORD"},
		},
		{
			name: "the password is wrong", environ: []string{"MATRIX_PASSWORD=canary-wrong"},
			holds: []string{"does not accept user and password", "MATRIX_PASSWORD"},
		},
		{
			name: "the service has no codes", options: matrixtest.Options{Service: &matrixtest.Service{NoCodes: true}, Flows: []string{"m.login.sso"}},
			holds: []string{"through a browser alone", "MATRIX_ACCESS_TOKEN"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newLoginScene(t, test.options, test.environ...)
			told := silently
			if test.confirm != nil {
				told = test.confirm(s)
			}
			_, stderr, code := s.logsIn(t.Context(), told)
			if code != 1 {
				t.Errorf("code %d, want 1", code)
			}
			for _, text := range test.holds {
				if !strings.Contains(stderr, text) {
					t.Errorf("stderr %q without %q", stderr, text)
				}
			}
		})
	}
}

func TestALoginBesideARunningConnectorSaysSo(t *testing.T) {
	s := newLoginScene(t, quick)
	running, err := store.Open(t.Context(), store.Config{Path: s.path, Key: []byte(loginKey)})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close() //nolint:errcheck // the process ends
	release, err := running.Lock("connector")
	if err != nil {
		t.Fatal(err)
	}
	defer release() //nolint:errcheck // the process ends
	stdout, stderr, code := s.logsIn(t.Context(), silently)
	want := "matrix-connector: error: a connector is running on this store: " + s.path + "\n" +
		"matrix-connector: hint: stop it first; whether its login holds says matrix-connector check\n"
	if code != 1 || stdout != "" || stderr != want {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	if n := len(s.server.Requests("")); n > 0 {
		t.Errorf("the homeserver was asked %d times", n)
	}
}

func TestALoginCanBeInterrupted(t *testing.T) {
	s := newLoginScene(t, quick)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, stderr, code := s.logsIn(ctx, s.confirming(func(string) error { cancel(); return nil }))
	if code != 1 || !strings.Contains(stderr, "error: interrupted\n") {
		t.Errorf("code %d: %s", code, stderr)
	}
	if devices := s.server.DeviceIDs(s.server.UserID("bot")); len(devices) > 0 {
		t.Errorf("the devices %v are left", devices)
	}
}

func TestAfterALoginNoCommandNeedsASecret(t *testing.T) {
	s := newLoginScene(t, quick)
	alice := s.server.Account("alice", "canary-alice")
	den := s.server.NewRoom(alice, matrixtest.RoomOptions{Name: "Den"})
	den.Join(s.server.UserID("bot"))
	den.Say(alice, "hello")
	export := func() (string, int) {
		var out, errs strings.Builder
		code := cli.Main(t.Context(), []string{"export", "--output", "out"}, s.environ, strings.NewReader(""), &out, &errs)
		if text := out.String() + errs.String(); strings.Contains(text, "canary") || strings.Contains(text, "syt_") {
			t.Errorf("a secret is shown: %s", text)
		}
		return errs.String(), code
	}
	stderr, code := export()
	if code != 1 || !strings.Contains(stderr, "the homeserver has no other way in") || !strings.Contains(stderr, "run `matrix-connector login` once") {
		t.Errorf("before the login: code %d: %s", code, stderr)
	}
	if stdout, stderr, code := s.logsIn(t.Context(), s.approving()); code != 0 {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	if stderr, code = export(); code != 0 {
		t.Fatalf("after the login: code %d: %s", code, stderr)
	}
	messages, err := filepath.Glob("out/messages/*/*.json")
	if err != nil || len(messages) != 1 {
		t.Errorf("messages %v, %v, want one", messages, err)
	}
	if n := len(s.server.DeviceIDs(s.server.UserID("bot"))); n != 1 {
		t.Errorf("%d devices, want one", n)
	}
}

// What can be done once somebody has logged in, and before the first start.
func TestAfterALoginCommandsKnowTheStore(t *testing.T) {
	s := newLoginScene(t, quick)
	if stdout, stderr, code := s.logsIn(t.Context(), s.approving()); code != 0 {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"keys export keys.txt", 0, "0 keys are in"},
		{"keys import keys.txt", 0, "0 keys taken in, of 0"},
		{"verify", 1, "start it"},
	} {
		var out strings.Builder
		code := cli.Main(t.Context(), strings.Fields(test.args), s.environ, strings.NewReader("canary passphrase\n"), &out, &out)
		if text := out.String(); code != test.code || !strings.Contains(text, test.want) || strings.Contains(text, "canary") {
			t.Errorf("%s: code %d: %s", test.args, code, text)
		}
	}
}
