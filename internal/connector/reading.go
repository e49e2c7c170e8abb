package connector

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

var _ matrix.Journal = (*ledger.Ledger)(nil)

// newAccount makes the account of the settings.
func (c *Connector) newAccount() (*matrix.Account, error) {
	m, err := c.accountConfig()
	if err != nil {
		return nil, err
	}
	account, err := matrix.New(m)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	return account, nil
}

// accountConfig is what the settings say about the account.
func (c *Connector) accountConfig() (matrix.Config, error) {
	s := c.config.Settings
	transport, err := c.transport()
	if err != nil {
		return matrix.Config{}, err
	}
	m := matrix.Config{
		Homeserver: string(s.Matrix.Server), UserID: id.UserID(s.Matrix.UserID),
		Password: s.Matrix.Password.Reveal(), AccessToken: s.Matrix.AccessToken.Reveal(), DeviceName: s.Matrix.DeviceName,
		Store: c.store, Journal: &countedJournal{Ledger: c.ledger, store: c.store, metrics: c.config.Metrics}, Log: c.log, Transport: transport, Debug: s.Matrix.Debug, Now: c.now,
	}
	m.RecoveryKey = s.Matrix.RecoveryKey.Reveal()
	if m.GiveRecoveryKey = c.config.GiveRecoveryKey; m.GiveRecoveryKey == nil && s.Matrix.RecoveryKeyOut != "" {
		m.GiveRecoveryKey = recoveryFile(s.Matrix.RecoveryKeyOut)
	}
	if start, history := c.rules.earliest(); history {
		m.HistoryFrom = start // the ledger bounds each room by its own
	}
	return m, nil
}

// read runs the reading half until ctx ends.
func (c *Connector) read(ctx context.Context, caughtUp context.CancelFunc) error {
	err := c.unheard(ctx)
	if err == nil {
		err = c.openAccount(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // an end that was asked for is no failure
		}
		return err
	}
	fill := &filler{ledger: c.ledger, account: c.account, log: c.log, vitals: c.vitals, paged: c.call}
	fetch := &fetcher{
		ledger: c.ledger, account: c.account, store: c.store, log: c.log,
		files: c.rules.files, off: c.noFiles.Load, vitals: c.vitals,
		quota: quota{most: int64(c.config.Settings.Matrix.SpoolMaxSize), usage: c.store.Usage},
	}
	keep := &keeper{account: c.account, welcome: c.invites.MayInvite, log: c.log, now: c.now, vitals: c.vitals}
	keys := c.loop("keys", keep.turn)
	keys.calm = calmKeys
	group, ctx := errgroup.WithContext(ctx)
	loops := []*loop{c.loop("fill", fill.turn), c.loop("fetch", fetch.turn), keys, c.requestLoop()}
	if c.config.Output != "" && !c.config.Follow {
		loops = append(loops, c.loop("sync", (&ending{connector: c, keeper: keep, done: caughtUp}).turn))
	} else {
		synced := make(chan struct{}, 1)
		invite := c.loop("invite", func(ctx context.Context) (bool, error) { return false, c.invites.Accept(ctx) })
		// An invite is news to no row of the ledger, so each /sync calls.
		invite.wake = func() <-chan struct{} { return synced }
		loops = append(loops, invite, c.loop("sync", func(ctx context.Context) (bool, error) {
			err := c.account.Sync(ctx)
			select {
			case synced <- struct{}{}:
			default: // called already
			}
			return true, err
		}))
	}
	if retention := c.config.Settings.Matrix.ContentRetention; !retention.Forever && (c.config.Output == "" || c.config.Follow) {
		trim := c.loop("trim", (&trimmer{ledger: c.ledger, log: c.log, now: c.now, keep: retention.Duration}).turn)
		trim.wake = func() <-chan struct{} { return nil } // no change makes content old
		loops = append(loops, trim)
	}
	for _, l := range loops {
		group.Go(func() error { return l.run(ctx) })
	}
	return group.Wait()
}

func (c *Connector) loop(name string, turn func(context.Context) (bool, error)) *loop {
	return &loop{name: name, ledger: c.ledger, log: c.log, now: c.now, vitals: c.vitals, calm: calm, turn: turn}
}

// openAccount logs in, waiting out what may pass by itself.
func (c *Connector) openAccount(ctx context.Context) error {
	err := c.insist(ctx, "log in", func() error { return c.account.Open(ctx) }, func(err error) bool {
		class := classify(err).class
		return class == "permanent" || class == "unauthorized" || unreachable(err)
	})
	if err == nil {
		c.vitals.set(func(v *vitals) { v.loggedIn = true })
		c.log.InfoContext(ctx, "account is open", slog.String("user_id", c.account.UserID().String()),
			slog.String("device_id", c.account.DeviceID().String()))
	}
	return err
}

// ending is the sync loop of an export: it ends the reading when everything was
// read and delivered.
type ending struct {
	connector *Connector
	keeper    *keeper
	done      context.CancelFunc
	quiet     int
}

// An export has caught up after so many answers without news in a row, with a
// pause between them: a room key may come some /syncs after its message, and a room
// some time after its join.
const (
	quietPolls = 4
	quietPause = 500 * time.Millisecond
)

func (e *ending) turn(ctx context.Context) (more bool, err error) {
	c := e.connector
	news, err := c.account.Poll(ctx)
	if err == nil {
		err = c.invites.Accept(ctx)
	}
	if err != nil {
		e.quiet = 0
		return true, err
	}
	caughtUp, err := c.ledger.CaughtUp(ctx)
	if err != nil {
		return true, fmt.Errorf("ask the ledger for the rest: %w", err)
	}
	if caughtUp {
		if caughtUp, err = e.keeper.caughtUp(ctx); err != nil {
			return true, err
		}
	}
	if news || !caughtUp {
		e.quiet = 0
	} else if e.quiet++; e.quiet >= quietPolls {
		c.log.InfoContext(ctx, "caught up")
		e.done()
	}
	if !news {
		pause(ctx, quietPause, nil)
	}
	return true, nil
}
