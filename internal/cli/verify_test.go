package cli_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/cli"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// console is a terminal: what was printed, and somebody who waits for it and types.
type console struct {
	mu    sync.Mutex
	text  bytes.Buffer
	more  chan struct{}
	typed *io.PipeWriter
	stdin *io.PipeReader
}

func newConsole() *console {
	c := &console{more: make(chan struct{}, 1)}
	c.stdin, c.typed = io.Pipe()
	return c
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return c.text.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// await waits until the words stand there, letting the other side do its part meanwhile.
func (c *console) await(ctx context.Context, t *testing.T, words string, meanwhile func()) {
	t.Helper()
	for !strings.Contains(c.String(), words) {
		meanwhile()
		select {
		case <-c.more:
		case <-ctx.Done():
			t.Fatalf("%q was never printed:\n%s", words, c)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// verifying is a running connector, alice with a client, and what both need.
type verifying struct {
	t      *testing.T
	ctx    context.Context
	env    []string
	alice  *matrixtest.Verifier
	bot    id.UserID
	device id.DeviceID
	room   id.RoomID
	log    *console
}

func newVerifying(t *testing.T) *verifying {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	hs, err := matrixtest.New(matrixtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v := &verifying{t: t, ctx: ctx, bot: hs.Account("bot", "canary-password"), log: newConsole()}
	v.env = []string{
		"MATRIX_SERVER=" + hs.URL(), "MATRIX_USER_ID=" + v.bot.String(), "MATRIX_PASSWORD=canary-password",
		"MATRIX_STORE_PATH=" + filepath.Join(dir, "store"), "MATRIX_INVITE_FROM=@alice:" + hs.Name(),
		"MATRIX_STORE_KEY=" + strings.Repeat("k", 32), "MATRIX_RECOVERY_KEY_OUT=" + filepath.Join(dir, "recovery.key"),
	}
	alice, err := hs.NewPeer(ctx, "alice")
	if err == nil {
		err = alice.SignSelf(ctx)
	}
	if err == nil {
		v.alice, err = alice.Verifier()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := hs.NewRoom(alice.User, matrixtest.RoomOptions{Encrypted: true})
	r.Join(v.bot)
	v.room = r.ID
	running, stop := context.WithCancel(ctx)
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(running, []string{"export", "--follow", "--output", filepath.Join(dir, "out")}, v.env, strings.NewReader(""), v.log, v.log)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the connector ended with %d:\n%s", code, v.log)
		}
		cancel()
		if wrong := hs.Violations(); len(wrong) > 0 {
			t.Errorf("violations of the protocol:\n%s", strings.Join(wrong, "\n"))
		}
		if err := hs.Close(); err != nil {
			t.Error(err)
		}
	})
	v.log.await(ctx, t, "the device is signed by the account", func() {})
	v.device = hs.DeviceIDs(v.bot)[0]
	return v
}

// command starts matrix-connector verify in front of a person.
func (v *verifying) command(args ...string) (*console, <-chan int) {
	c := newConsole()
	code := make(chan int, 1)
	go func() {
		defer c.stdin.Close() //nolint:errcheck // always nil
		code <- cli.Main(v.ctx, append([]string{"verify"}, args...), v.env, c.stdin, c, c)
	}()
	return c, code
}

func (v *verifying) hear() {
	v.t.Helper()
	if _, err := v.alice.Hear(v.ctx); err != nil {
		v.t.Fatal(err)
	}
}

func (v *verifying) post(one *sas.Verification, out []sas.Message, err error) {
	v.t.Helper()
	if err == nil {
		err = v.alice.Post(v.ctx, one, out)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// shown are the names of the emoji that stand on the console.
func shown(c *console) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^    \S+  (.+)$`).FindAllStringSubmatch(c.String(), -1) {
		names = append(names, m[1])
	}
	return names
}

func names(t *testing.T, one *sas.Verification) (names []string) {
	t.Helper()
	emoji, ok := one.Emoji()
	if !ok {
		t.Fatalf("alice's client shows no emoji in %s", one.State())
	}
	for _, e := range emoji {
		names = append(names, e.Name)
	}
	return names
}

func TestAPersonVerifiesTheBotInFrontOfTheCommand(t *testing.T) {
	v := newVerifying(t)
	c, code := v.command()
	c.await(v.ctx, t, "Waiting for somebody", v.hear)
	one, out, err := v.alice.Book.Request(v.bot, []id.DeviceID{v.device}, time.Now())
	v.post(one, out, err)
	for one.State() != sas.StateReady {
		v.hear()
	}
	out, err = one.Start()
	v.post(one, out, err)
	c.await(v.ctx, t, "Type yes or no: ", v.hear)
	for one.State() != sas.StateComparing {
		v.hear()
	}
	if got, want := strings.Join(shown(c), ", "), strings.Join(names(t, one), ", "); got != want {
		t.Fatalf("shown %s, alice sees %s", got, want)
	}
	if _, err := io.WriteString(c.typed, "perhaps\nYES\n"); err != nil {
		t.Fatal(err)
	}
	out, err = one.Confirm()
	v.post(one, out, err)
	c.await(v.ctx, t, "Verified: @alice:", v.hear)
	if got := <-code; got != 0 {
		t.Errorf("it ended with %d:\n%s", got, c)
	}
	if us, ok := one.Outcome(); !ok || us.Device != v.device || us.Keys.Master == "" {
		t.Errorf("alice's client verified %+v", us)
	}
	v.log.await(v.ctx, t, "verified by emoji", func() {})
	if strings.Contains(v.log.String()+c.String(), "canary") {
		t.Error("a secret was printed")
	}
}

func TestTheBotAsksAPersonAndTheyDiffer(t *testing.T) {
	v := newVerifying(t)
	c, code := v.command(v.alice.User.String(), "--room", v.room.String())
	c.await(v.ctx, t, "was asked to verify", v.hear)
	var one *sas.Verification
	for one == nil {
		v.hear()
		if all := v.alice.Book.UnderWay(); len(all) > 0 {
			one = all[0]
		}
	}
	out, err := one.Accept()
	v.post(one, out, err)
	c.await(v.ctx, t, "Type yes or no: ", v.hear)
	if _, err := io.WriteString(c.typed, "no\n"); err != nil {
		t.Fatal(err)
	}
	c.await(v.ctx, t, "is not verified: the emoji are not the same", v.hear)
	if got := <-code; got != 1 {
		t.Errorf("it ended with %d:\n%s", got, c)
	}
	for !one.State().Ended() {
		v.hear()
	}
	if said, _ := one.Cancellation(); said.Code != sas.CodeMismatchedSAS {
		t.Errorf("alice heard %s", said.Code)
	}
}

func TestStrangersAreNotAsked(t *testing.T) {
	v := newVerifying(t)
	for _, who := range []string{"@mallory:elsewhere.org", "mallory", "!room:example.org"} {
		c, code := v.command(who)
		if got := <-code; got == 0 || !strings.Contains(c.String(), "error: ") || !strings.Contains(c.String(), "hint: ") {
			t.Errorf("asking %s ended with %d:\n%s", who, got, c)
		}
	}
}
