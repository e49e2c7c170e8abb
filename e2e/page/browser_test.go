package page_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// browsers are the programs that do, after Debian's names.
var browsers = []string{"chromium-headless-shell", "chromium"}

// patience is how long a browser may take for one answer on a busy machine.
const patience = time.Minute

// browser is a headless Chromium, spoken to over its DevTools pipe: one JSON object
// a message, ended by a zero byte (chromedevtools.github.io/devtools-protocol).
type browser struct {
	t     *testing.T
	to    *os.File
	mu    sync.Mutex // guards what follows
	next  int
	waits map[int]chan message
	heard map[string][]json.RawMessage // events by method
	fresh chan struct{}                // closed by the next event
	tab   string                       // session of the only tab
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// opens starts a browser with one empty tab. It ends with the test.
func opens(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatal("no browser to look with: run make setup, or install Debian's chromium-headless-shell")
	}
	in, to, err := os.Pipe()
	must(t, err)
	from, out, err := os.Pipe()
	must(t, err)
	args := []string{
		"--headless", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--no-default-browser-check", "--user-data-dir=" + t.TempDir(),
	}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // which root cannot have
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{in, out} // 3 and 4
	cmd.Stderr = &said
	// It starts others, which hold its pipes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	must(t, cmd.Start())
	must(t, errors.Join(in.Close(), out.Close()))
	b := &browser{t: t, to: to, waits: map[int]chan message{}, heard: map[string][]json.RawMessage{}, fresh: make(chan struct{})}
	ended := make(chan struct{})
	go func() { defer close(ended); b.listen(from) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed
		_ = errors.Join(to.Close(), from.Close())
		<-ended
		if t.Failed() {
			t.Logf("the browser said:\n%s", said.String()[max(0, said.Len()-2000):])
		}
	})
	var target struct{ TargetID string }
	b.asks("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.asks("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.tab = session.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		b.asks(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) listen(from *os.File) {
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.ID != 0 {
			if c := b.waits[m.ID]; c != nil {
				c <- m
			}
		} else {
			b.heard[m.Method] = append(b.heard[m.Method], m.Params)
			close(b.fresh)
			b.fresh = make(chan struct{})
		}
		b.mu.Unlock()
	}
}

// asks calls a method and reads its result into out, where that is not nil.
func (b *browser) asks(method string, params map[string]any, out any) {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	call := map[string]any{"id": b.next, "method": method}
	if params != nil {
		call["params"] = params
	}
	if b.tab != "" {
		call["sessionId"] = b.tab
	}
	answer := make(chan message, 1)
	b.waits[b.next] = answer
	b.mu.Unlock()
	text, err := json.Marshal(call)
	must(b.t, err)
	_, err = b.to.Write(append(text, 0))
	must(b.t, err)
	select {
	case m := <-answer:
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if out != nil {
			must(b.t, json.Unmarshal(m.Result, out))
		}
	case <-time.After(patience):
		b.t.Fatalf("%s: no answer", method)
	}
}

// opens a page and waits until it is loaded.
func (b *browser) goesTo(url string) {
	b.t.Helper()
	before := len(b.events("Page.loadEventFired"))
	b.asks("Page.navigate", map[string]any{"url": url}, nil)
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		n, fresh := len(b.heard["Page.loadEventFired"]), b.fresh
		b.mu.Unlock()
		if n > before {
			return
		}
		select {
		case <-fresh:
		case <-deadline:
			b.t.Fatalf("%s is not loaded", url)
		}
	}
}

func (b *browser) events(method string) []json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]json.RawMessage(nil), b.heard[method]...)
}

// finds works out an expression in the page.
func (b *browser) finds(expression string, out any) {
	b.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	b.asks("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, got.ExceptionDetails.Text)
	}
	must(b.t, json.Unmarshal(got.Result.Value, out))
}

// looks makes the window so wide, in the colours of a scheme, and takes a picture of
// the whole page as PNG.
func (b *browser) looks(width int, scheme string) []byte {
	b.t.Helper()
	b.asks("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.asks("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	var height int
	b.finds("document.documentElement.scrollHeight", &height)
	b.asks("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	var shot struct{ Data string }
	b.asks("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	must(b.t, err)
	return png
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("browser: %w", err))
	}
}
