package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// DrainTime is how long delivery may go on after the connector was told to stop.
// Container runtimes kill after ten seconds.
const DrainTime = 8 * time.Second

// Config says what to connect.
type Config struct {
	Settings *config.Config
	Log      *slog.Logger
	// Output is a directory to export to; empty: deliver to the platform.
	Output string
	// Follow keeps an export running when it has caught up.
	Follow bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Metrics counts what is done; nil: nothing is counted.
	Metrics *telemetry.Metrics
	// GiveRecoveryKey takes the recovery key of an identity that is made because the account
	// has none; nil: it goes to the file of the settings.
	GiveRecoveryKey func(key string) error
	// Version of the program, as the status page shows it.
	Version string
}

// Connector is one account of one homeserver and one sink.
type Connector struct {
	config Config
	log    *slog.Logger
	now    func() time.Time
	vitals *vitals
	doors  *doors        // set by Run, before anything is opened
	asked  chan struct{} // a command has made a request

	// Set by open, in this order.
	store    *store.Store
	unlock   func() error
	rules    *rules
	requests *request.Table
	ledger   *ledger.Ledger
	account  *matrix.Account
	invites  *matrix.Invites
	mapper   *mapping.Mapper
	out      output

	// heard is closed by hear, once the platform has been asked whether the store is an
	// old copy, or could not be.
	heard   chan struct{}
	hearing sync.Once

	// noFiles is set when the platform's user may not upload: attachments stay wanted.
	noFiles atomic.Bool
}

// New prepares a connector. It opens nothing: see [Connector.Run].
func New(c Config) (*Connector, error) {
	if c.Settings == nil {
		return nil, errors.New("connector: settings are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Connector{config: c, log: c.Log, now: c.Now, vitals: newVitals(c.Now, c.Metrics, c.Settings.Secrets()), asked: make(chan struct{}, 1), heard: make(chan struct{})}, nil
}

// Run opens everything, works until ctx ends, and closes everything in reverse. It
// returns nil when it was told to stop or, for an export, has caught up, and an
// error when a person has to act: a wrong password, a missing right, a store of
// another account. What may pass by itself is waited out.
func (c *Connector) Run(ctx context.Context) (err error) {
	c.openDoors(ctx)
	if err := c.open(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil // told to stop while starting
		}
		return errors.Join(err, c.close())
	}
	defer func() { err = errors.Join(err, c.close()) }()

	// Delivery outlives reading, so that what was read can still be brought home.
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()
	halves, running := errgroup.WithContext(ctx)
	reading, stopReading := context.WithCancel(running)
	defer stopReading()

	read := make(chan struct{})
	halves.Go(func() error {
		defer close(read)
		return c.read(reading, stopReading)
	})
	halves.Go(func() error {
		// When the reading half fails, or all is told to stop, there is time to drain.
		go c.drain(delivering, reading.Done(), read, stopDelivering)
		return c.deliver(delivering)
	})
	err = halves.Wait()
	if err == nil {
		c.log.InfoContext(ctx, "stopped")
	}
	return err
}

// drain stops delivery once reading has ended and nothing is due any more, or
// [DrainTime] after the end was asked for.
func (c *Connector) drain(ctx context.Context, asked, read <-chan struct{}, stop context.CancelFunc) {
	defer stop()
	select {
	case <-asked:
	case <-ctx.Done():
		return
	}
	c.log.InfoContext(ctx, "stopping: what is due is still delivered", slog.Duration("duration", DrainTime))
	ctx, cancel := context.WithTimeout(ctx, DrainTime)
	defer cancel()
	select {
	case <-read:
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		changed := c.ledger.Changed()
		if idle, err := c.nothingDue(ctx); err != nil || idle {
			return
		}
		pause(ctx, 100*time.Millisecond, changed)
	}
}

// open opens the store, makes the parts, and checks what can be checked without
// anyone's answer.
func (c *Connector) open(ctx context.Context) (err error) {
	s := c.config.Settings
	if err := c.openStore(ctx); err != nil {
		return err
	}
	if err := c.alone(ctx); err != nil {
		return err
	}
	c.requests = request.New(c.store, c.now)
	if err := c.requests.Open(ctx); err != nil {
		return err
	}
	c.doors.socket(ctx)
	if err := c.openLedger(ctx); err != nil {
		return err
	}
	if err := c.backfiller().begin(ctx); err != nil {
		return err
	}
	if err := c.ledger.Reconsider(ctx); err != nil {
		return fmt.Errorf("apply settings to the ledger: %w", err)
	}
	if err := c.sweep(ctx); err != nil {
		return err
	}
	if c.mapper, err = newMapper(s, c.rules); err != nil {
		return err
	}
	if c.account, err = c.newAccount(); err != nil {
		return err
	}
	c.invites, err = c.account.Invites(c.rules.invites())
	if err != nil {
		return fmt.Errorf("MATRIX_INVITE_FROM: %w", err)
	}
	if c.out, err = c.newOutput(); err != nil {
		return err
	}
	if err := c.dedicate(ctx); err != nil {
		return err
	}
	c.config.Metrics.Observe(c.levels, c.now)
	c.vitals.set(func(v *vitals) { v.open, v.registered = true, c.config.Output != "" })
	return nil
}

// openStore opens the store, and says whose key seals it.
func (c *Connector) openStore(ctx context.Context) (err error) {
	m := c.config.Settings.Matrix
	c.store, err = store.Open(ctx, store.Config{Path: m.StorePath, Key: []byte(m.StoreKey.Reveal()), Log: c.log})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if c.store.OwnKey() {
		c.log.WarnContext(ctx, "the store is sealed with a key that lies beside it: a stolen disk is readable",
			slog.String("setting", "MATRIX_STORE_KEY"))
	}
	return nil
}

// openLedger opens the ledger, by the rules of the settings.
func (c *Connector) openLedger(ctx context.Context) error {
	s := c.config.Settings
	c.rules = newRules(s, c.now())
	c.ledger = c.rules.ledger(ledger.Config{Store: c.store, Log: c.log, Clock: c.now})
	if err := c.ledger.Open(ctx); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	return nil
}

// dedicate ties the store to its sink: what has landed on a platform has not landed
// in a folder. A store of another kind of sink is left alone.
func (c *Connector) dedicate(ctx context.Context) error {
	name := c.out.name()
	before, err := c.ledger.Sink(ctx)
	if err != nil {
		return err
	}
	kind, _, _ := strings.Cut(name, " ")
	if before != "" && !strings.HasPrefix(before, kind+" ") {
		return &StoreError{Path: c.config.Settings.Matrix.StorePath, Before: before, Now: name}
	}
	return c.ledger.SetSink(ctx, name)
}

// StoreError is a store that remembers deliveries to another kind of sink.
type StoreError struct{ Path, Before, Now string }

// Error says whose the store is.
func (e *StoreError) Error() string {
	return fmt.Sprintf("store %s delivers to %s, not to %s", e.Path, e.Before, e.Now)
}

// Hint says what a person can do.
func (e *StoreError) Hint() string {
	return "set MATRIX_STORE_PATH to a folder of its own for this; the bot gets a second device there"
}

// alone waits until no other process works on the store. Two of them would settle
// each other's receipts and sweep each other's files. An export that ends by itself
// does not wait: somebody sits in front of it.
func (c *Connector) alone(ctx context.Context) error {
	once := c.config.Output != "" && !c.config.Follow
	return c.insist(ctx, "start", func() (err error) {
		c.unlock, err = c.store.Lock("connector")
		return err
	}, func(err error) bool { return once || !errors.Is(err, store.ErrLocked) })
}

// insist tries until it succeeds, ctx ends, or an error is final: what may pass by
// itself is waited out.
func (c *Connector) insist(ctx context.Context, what string, try func() error, final func(error) bool) error {
	p := pace{log: c.log, what: what, now: c.now, vitals: c.vitals}
	for {
		err := try()
		if err == nil {
			c.vitals.worked(what)
		}
		if err == nil || ctx.Err() != nil || final(err) {
			return err
		}
		if !pause(ctx, p.after(ctx, err, classify(err)), nil) {
			return ctx.Err()
		}
	}
}

// sweep removes files from the spool that no row names: what a crash left.
func (c *Connector) sweep(ctx context.Context) error {
	named, err := c.ledger.Spooled(ctx)
	if err != nil {
		return fmt.Errorf("list spooled files: %w", err)
	}
	removed, err := c.store.Spool().Sweep(func(name string) bool { return named[name] })
	if err != nil {
		return fmt.Errorf("sweep spool: %w", err)
	}
	if removed > 0 {
		c.log.InfoContext(ctx, "unfinished files removed from the spool", slog.Int("count", removed))
	}
	return nil
}

// close undoes open in reverse.
func (c *Connector) close() error {
	c.config.Metrics.Stopped()
	c.doors.close()
	var errs []error
	if c.out != nil {
		errs = append(errs, c.out.close())
	}
	if c.account != nil {
		errs = append(errs, c.account.Close())
	}
	if c.unlock != nil {
		errs = append(errs, c.unlock())
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}
