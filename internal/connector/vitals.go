package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// The operations of loops and starts, as log, metrics and status call them.
const (
	opStart    = "start"
	opLogIn    = "log in"
	opRegister = "register"
	opSync     = "sync"
	opPing     = "ping"
	opDeliver  = "deliver"
)

// party is the other side of an operation.
type party string

const (
	atHomeserver party = "homeserver"
	atPlatform   party = "platform"
	atBroker     party = "broker"
	atStore      party = "store"
)

// vitals is what the connector knows of its own health: which operations work, which
// do not since when, and what was reached. It is kept in memory alone, for metrics
// and status. All methods may be called on nil and from any goroutine.
type vitals struct {
	now     func() time.Time
	metrics *telemetry.Metrics
	hide    *strings.Replacer // takes secrets out of the texts of errors
	started time.Time

	mu         sync.Mutex // guards what follows
	operations map[string]*operation
	open       bool // the store is open and ours
	loggedIn   bool
	registered bool // or nobody to register with
	version    string
	synced     time.Time
	standing   matrix.Standing // how the device stands, once that was looked at
	stands     bool
	waits      string // why files are not fetched for now; empty: they are
}

// fetchWaits notes why files are not fetched, and gives why not before.
func (v *vitals) fetchWaits(why string) (before string) {
	if v == nil {
		return why
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	before, v.waits = v.waits, why
	return before
}

// operation is what became of one kind of work.
type operation struct {
	busy    time.Time // since when a turn has been running; zero: none is
	failing time.Time // since when it has failed without a success; zero: it works
	failed  time.Time // last failure
	count   int       // failures since the start
	class   string
	text    string // of the last error, without secrets
	cure    string
	with    party
	full    bool // the disk of the store is
}

func newVitals(now func() time.Time, metrics *telemetry.Metrics, secrets []string) *vitals {
	return &vitals{now: now, metrics: metrics, hide: telemetry.Hide(secrets), started: now(), operations: map[string]*operation{}}
}

// count is where to count what happens; nil, which counts nothing, without vitals.
func (v *vitals) count() *telemetry.Metrics {
	if v == nil {
		return nil
	}
	return v.metrics
}

// of gives the record of an operation. The caller holds the lock.
func (v *vitals) of(name string) *operation {
	o := v.operations[name]
	if o == nil {
		o = &operation{}
		v.operations[name] = o
	}
	return o
}

// turn notes that a turn of a loop begins, and gives what notes its end.
func (v *vitals) turn(name string) (end func()) {
	if v == nil {
		return func() {}
	}
	began := v.now()
	v.mu.Lock()
	v.of(name).busy = began
	v.mu.Unlock()
	return func() {
		v.metrics.Worked(name, v.now().Sub(began))
		v.mu.Lock()
		defer v.mu.Unlock()
		v.of(name).busy = time.Time{}
	}
}

// worked notes that an operation works.
func (v *vitals) worked(name string) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.of(name).failing = time.Time{}
	if name == opSync {
		v.synced = v.now()
		v.metrics.Synced(v.synced)
	}
}

// failed notes that an operation does not work.
func (v *vitals) failed(name string, err error, class string) { v.fail(name, err, class, true) }

// missed notes a failure that concerns one row alone: the operation goes on with
// others.
func (v *vitals) missed(name string, err error, class string) { v.fail(name, err, class, false) }

func (v *vitals) fail(name string, err error, class string, goesOn bool) {
	if v == nil || err == nil || errors.Is(err, context.Canceled) {
		return
	}
	with := partyOf(name, err)
	v.metrics.Failed(name, class, with == atPlatform || with == atBroker)
	v.mu.Lock()
	defer v.mu.Unlock()
	o := v.of(name)
	now := v.now()
	if goesOn && o.failing.IsZero() {
		o.failing = now
	}
	o.failed, o.class, o.with = now, class, with
	o.text, o.cure, o.full = v.hide.Replace(err.Error()), "", with == atStore && diskFull(err)
	if o.full {
		o.cure = "make room on the volume of MATRIX_STORE_PATH: it goes on by itself, and what was not read is still at the homeserver"
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		o.cure = v.hide.Replace(h.Hint())
	}
	o.count++
}

// partyOf says whose failure an error is. What neither the homeserver's side nor the
// platform's has classified comes from the store.
func partyOf(name string, err error) party {
	if e, ok := errors.AsType[*opencti.Error](err); ok {
		if e.Op == "publish" || e.Op == "queue" || e.Op == "dial" {
			return atBroker
		}
		return atPlatform
	}
	if ofStore(err) {
		return atStore
	}
	switch name {
	case opSync, opLogIn, "fill", "fetch", "invite", "keys", "request":
		return atHomeserver
	case opStart:
		return atStore
	}
	return atPlatform
}

// ofStore reports whether an error is one of the database: its driver's errors carry
// SQLite's code, and those of no other party do.
func ofStore(err error) bool {
	if e, ok := errors.AsType[*matrix.MediaError](err); ok {
		return e.Reason == matrix.MediaDiskFull || e.Reason == matrix.MediaSpool
	}
	var coded interface {
		error
		Code() int
	}
	return errors.As(err, &coded)
}

// sqliteFull is SQLITE_FULL, the primary code of a write for which there was no room
// (sqlite.org/rescode.html#full).
const sqliteFull = 13

// diskFull reports whether there was no room for what was to be stored.
func diskFull(err error) bool {
	if e, ok := errors.AsType[*matrix.MediaError](err); ok && e.Reason == matrix.MediaDiskFull {
		return true
	}
	var coded interface {
		error
		Code() int
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.As(err, &coded) && coded.Code()&0xff == sqliteFull
}

// set changes a fact.
func (v *vitals) set(change func(*vitals)) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

// isOpen reports whether store and ledger can be asked.
func (v *vitals) isOpen() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

// A turn that runs longer than this hangs: every request and every statement in it has
// a bound of its own. Files take as long as they are large, and invites wait for
// their turn.
const (
	hangs     = 30 * time.Minute
	hangsLong = 12 * time.Hour
)

// alive gives the loop that hangs, as an error.
func (v *vitals) alive() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(v.operations)) {
		limit := hangs
		if name == "fetch" || name == "attach" || name == "invite" {
			limit = hangsLong
		}
		if since := v.operations[name].busy; !since.IsZero() && v.now().Sub(since) > limit {
			return fmt.Errorf("loop %s hangs since %s", name, since.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
