//go:build crash

package crash

import (
	"os"
	"path"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Build reports whether this is a build that dies.
const Build = true

// state is what this process has passed so far.
var state = struct {
	sync.Mutex
	passed map[string]int
	log    *os.File
	at     string // where to die, and at which passing
	nth    int
}{passed: map[string]int{}}

func init() {
	if name := os.Getenv("CRASH_LOG"); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test's own file
		if err != nil {
			panic(err)
		}
		state.log = f
	}
	at, nth, numbered := strings.Cut(os.Getenv("CRASH_AT"), "#")
	state.at, state.nth = at, 1
	if numbered {
		n, err := strconv.Atoi(nth)
		if err != nil {
			panic("CRASH_AT: after # stands which passing it is, counted from 1")
		}
		state.nth = n
	}
}

// At passes the named moment. The detail tells moments of one name apart: the path of
// a request, an operation; "" is the function that the store's user is in.
func At(name, detail string) {
	if detail == "" {
		detail = caller()
	}
	name += " " + general(detail)
	state.Lock()
	defer state.Unlock()
	state.passed[name]++
	if state.log != nil {
		_, _ = state.log.WriteString(name + "\n")
	}
	if name == state.at && state.passed[name] == state.nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing happens after it
	}
}

// particular are the parts of a path that name one room, event, user or transaction.
var particular = regexp.MustCompile(`^([!$@#].*|.*[:%].*|[A-Za-z0-9_.=~-]*[0-9][A-Za-z0-9_.=~-]{7,}|[A-Za-z]{20,})$`)

func general(detail string) string {
	parts := strings.Split(detail, "/")
	for i, p := range parts {
		if particular.MatchString(p) {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// helper are functions that begin transactions for others.
var helper = regexp.MustCompile(`^(ledger\.\(\*Ledger\)\.do|matrix\.\(\*Account\)\.transact)$`)

// caller is the innermost function that is not the store's.
func caller() string {
	var pcs [48]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "/internal/") && !strings.Contains(f.Function, "/internal/store.") && !strings.Contains(f.Function, "/internal/crash.") {
			if name, _, _ := strings.Cut(path.Base(f.Function), ".func"); !helper.MatchString(name) {
				return name
			}
		}
		if !more {
			return "elsewhere"
		}
	}
}
