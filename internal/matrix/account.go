package matrix

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Config says which account to act as and what to act with.
type Config struct {
	// Homeserver is the URL of the client-server API, or a server name: then
	// .well-known discovery finds the URL (Matrix C-S API, "Server Discovery").
	Homeserver string
	UserID     id.UserID
	// Password logs in once; later starts use the device that it made.
	Password string
	// AccessToken is the alternative to a password: a token of a device that no
	// other client uses.
	AccessToken string
	// Approve shows a person what to do on a page of the homeserver's authentication
	// service, so that it lets the account in, and returns at once; its error ends the
	// login. nil: nobody is there who could.
	Approve    func(context.Context, Approval) error
	DeviceName string // shown to people in their device lists
	// RecoveryKey opens the account's secret storage: its recovery key, or the security
	// phrase. With it the device is signed, and the key backup opened. Empty: none.
	RecoveryKey string
	// GiveRecoveryKey hands over the recovery key of an identity that is made because the
	// account has none, and no RecoveryKey is set. It must not return nil before somebody
	// has it for good. nil: no identity is made then.
	GiveRecoveryKey func(key string) error

	Store   *store.Store
	Journal Journal
	Log     *slog.Logger // nil: silent

	// Transport carries every request; nil: http.DefaultTransport's settings with
	// the environment's proxies. TLS roots and proxies are the caller's to set.
	Transport http.RoundTripper
	// Debug logs method, path, status and duration of each request at debug level;
	// never bodies, query strings or tokens.
	Debug bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Pause waits between two questions whether a login was approved; nil: by a timer.
	Pause func(context.Context, time.Duration) error

	// HistoryFrom bounds what is read of a room's past when it is first seen: events
	// sent before it are left alone. Zero: no history is read at all.
	HistoryFrom time.Time
	Limits      Limits
}

// Limits are the sizes and times of an account's requests. Zero fields take the
// value of [DefaultLimits].
type Limits struct {
	LongPoll      time.Duration // how long the homeserver may hold a /sync without news
	Timeline      int           // events a room in an incremental /sync
	FirstTimeline int           // events a room in the first /sync; the rest is a history gap
	Response      int64         // bytes of a /sync or /messages response
	QueryUsers    int           // users in one /keys/query
}

// DefaultLimits are the limits that production uses.
//
// The first timeline is small because the whole response is held in memory and an
// account may be in thousands of rooms; what it leaves out is read as history.
var DefaultLimits = Limits{
	LongPoll:      30 * time.Second,
	Timeline:      100,
	FirstTimeline: 1,
	Response:      512 << 20,
	QueryUsers:    100,
}

// Account is one account on one homeserver, acting as one device. [Account.Open]
// comes first; after it an Account is safe for concurrent use, except that only
// one Sync may run at a time.
type Account struct {
	config  Config
	log     *slog.Logger
	store   *store.Store
	journal Journal
	now     func() time.Time

	// client is the only way to the homeserver, guest the way without a token. Set by
	// Open, then read-only apart from the client's token, which is replaced under its
	// own lock.
	client, guest *mautrix.Client

	// crypto is the crypto lock: who holds its one place may use machine. Taken
	// before the store's writer, never inside a transaction, and never held during
	// a request.
	crypto  chan struct{}
	machine *machine // guarded by crypto; nil after a rollback that could not be repaired yet

	// acting is what the account acts with; set by Open, replaced by a new login
	// (under syncing) and by renewals (in their turn), read by everybody. Of a replaced
	// one only tokens differ.
	acting  atomic.Pointer[credentials]
	renewal renewal
	entry   atomic.Value // of Entry; set by logins

	securing sync.Mutex // held by Secure and Backup
	// told and toldBackup, guarded by securing: the standing was logged since the start.
	told, toldBackup bool

	verifications atomic.Pointer[Verifications] // nil: nobody listens

	seeded      atomic.Bool // the searches for keys were listed since the start
	keysChanged atomic.Bool // the account's own keys have, since KeysChanged was asked
	keysUnsaved atomic.Bool // keys may have come since all were saved

	syncing    sync.Mutex // held by Sync and Open
	uploadAt   time.Time  // guarded by syncing: last upload of one-time keys
	fallbackAt time.Time  // guarded by syncing: last upload of a fallback key
	unlockDev  func() error
	closeOnce  sync.Once
	closeErr   error
}

// New checks the configuration. It opens nothing: see [Account.Open].
func New(c Config) (*Account, error) {
	if c.Store == nil || c.Journal == nil {
		return nil, errors.New("matrix account: store and journal are required")
	}
	if _, _, err := c.UserID.ParseAndValidateRelaxed(); err != nil {
		return nil, &LoginError{Reason: ReasonUserID, Server: c.Homeserver, User: c.UserID, Err: err}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Pause == nil {
		c.Pause = pauseFor
	}
	if c.DeviceName == "" {
		c.DeviceName = "octi_bot"
	}
	c.Limits = c.Limits.withDefaults()
	a := &Account{
		config:  c,
		log:     c.Log.With(slog.String("component", "matrix")),
		store:   c.Store,
		journal: c.Journal,
		now:     c.Now,
		crypto:  make(chan struct{}, 1),
		renewal: renewal{turn: make(chan struct{}, 1)},
	}
	a.acting.Store(&credentials{})
	a.keysUnsaved.Store(true)
	return a, nil
}

// self is what the account acts with. What it points to is never changed.
func (a *Account) self() *credentials { return a.acting.Load() }

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	if l.LongPoll > 0 {
		d.LongPoll = l.LongPoll
	}
	if l.Timeline > 0 {
		d.Timeline = l.Timeline
	}
	if l.FirstTimeline > 0 {
		d.FirstTimeline = l.FirstTimeline
	}
	if l.Response > 0 {
		d.Response = l.Response
	}
	if l.QueryUsers > 0 {
		d.QueryUsers = l.QueryUsers
	}
	return d
}

// UserID is the account's MXID.
func (a *Account) UserID() id.UserID { return a.config.UserID }

// DeviceID is the device that the account acts as; empty before [Account.Open].
func (a *Account) DeviceID() id.DeviceID { return a.self().Device }

// Entry is how the account got in; empty before [Account.Open].
func (a *Account) Entry() Entry {
	e, _ := a.entry.Load().(Entry)
	return e
}

// Close releases the device's lock. It may be called more than once. Nothing may
// be running when it is called.
func (a *Account) Close() error {
	a.closeOnce.Do(func() {
		if a.unlockDev != nil {
			a.closeErr = a.unlockDev()
		}
	})
	return a.closeErr
}

// received is the time of an event's arrival: UTC, in milliseconds.
func (a *Account) received() time.Time { return a.now().UTC().Truncate(time.Millisecond) }

// tables brings the account's own tables, and those of the crypto library, to
// their newest version.
func (a *Account) tables(ctx context.Context) error {
	return a.store.Tables(ctx, "matrix_version", upgrades)
}
