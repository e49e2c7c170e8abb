package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Login puts the bot's account in order while no connector runs: it holds the store as
// a running one does. Its steps are called one after the other, [Login.Device] first.
type Login struct{ connector *Connector }

// Approval is what a person has to do so that the account is let in.
type Approval = matrix.Approval

// OpenLogin takes the store. It does not wait for a connector that runs on it: that is
// a [*RunningError]. approve shows a person what to do where the homeserver wants
// somebody's consent, and returns at once.
func OpenLogin(ctx context.Context, c Config, approve func(context.Context, Approval) error) (*Login, error) {
	made, err := New(c)
	if err != nil {
		return nil, err
	}
	l := &Login{connector: made}
	if err := l.open(ctx, approve); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Login) open(ctx context.Context, approve func(context.Context, Approval) error) (err error) {
	c := l.connector
	if err := c.openStore(ctx); err != nil {
		return err
	}
	c.unlock, err = c.store.Lock("connector")
	if errors.Is(err, store.ErrLocked) {
		return &RunningError{Path: c.store.Path()}
	} else if err != nil {
		return err
	}
	if err := c.openLedger(ctx); err != nil {
		return err
	}
	// From here on commands find where to ask, as after a start.
	if err := request.New(c.store, nil).Open(ctx); err != nil {
		return err
	}
	m, err := c.accountConfig()
	if err != nil {
		return err
	}
	m.Approve = approve
	m.Log = slog.New(slog.DiscardHandler) // a person is told what it would say, by who called
	if c.account, err = matrix.New(m); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	return nil
}

// Close gives the store back.
func (l *Login) Close() error {
	c := l.connector
	var errs []error
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

// Device is the bot's device on the homeserver.
type Device struct {
	User, ID string
	// Entry is how it got in: "stored" where an earlier login holds, "password",
	// "token", or "code" where somebody has approved.
	Entry string
}

// Device logs the account in, as the device of the store where there is one, and makes
// sure that its keys are on the homeserver. A login that holds is left as it is.
func (l *Login) Device(ctx context.Context) (Device, error) {
	a := l.connector.account
	if err := a.Open(ctx); err != nil {
		return Device{}, err
	}
	return Device{User: a.UserID().String(), ID: a.DeviceID().String(), Entry: string(a.Entry())}, nil
}

// RunningError is a store that a running connector works on.
type RunningError struct{ Path string }

// Error names the store.
func (e *RunningError) Error() string { return "a connector is running on this store: " + e.Path }

// Hint says what a person can do.
func (e *RunningError) Hint() string {
	return "stop it first; whether its login holds says matrix-connector check"
}
