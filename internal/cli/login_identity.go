package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// identity is the second step: the account's cross-signing identity signs the device, so
// that everybody's clients give it room keys.
func (c *loginCommand) identity(ctx context.Context, show *loginPage, login *connector.Login) error {
	s, err := login.Identity(ctx)
	if err != nil {
		return err
	}
	for tries := 0; s.Locked && tries < 3; tries++ {
		key, err := show.askRecoveryKey(ctx, s)
		if err != nil || key == "" {
			return errors.Join(err, show.standing(s))
		}
		if s, err = login.IdentityWith(ctx, key); err != nil {
			return err
		}
		show.typed = true
		if !show.person {
			break // who wrote it elsewhere does not write another one
		}
	}
	return show.standing(s)
}

// askRecoveryKey asks for the account's recovery key, which is not shown. Without a terminal
// the first line of the standard input is one, if there is any. Empty: to go without.
func (p *loginPage) askRecoveryKey(ctx context.Context, s connector.Standing) (string, error) {
	text := ""
	if p.person {
		text = "\nThe account has a cross-signing identity, made in another client. Its recovery key, or security\nphrase, lets it sign this device and opens its key backup.\n"
		switch {
		case s.Overtaken:
			text = "\nSomebody else has made the account's identity meanwhile. The recovery key above opens nothing: throw\nit away. Theirs, or their security phrase, lets it sign this device and opens its key backup.\n"
		case p.typed:
			text = "\nThat one does not open it. Try again.\n"
		case s.Wrong:
			text = "\nMATRIX_RECOVERY_KEY does not open what the account has in its secret storage.\n"
		}
		text += "Recovery key (Enter goes on without it): "
	}
	return p.in.secret(ctx, text)
}

// recoveryKey shows the recovery key of a new identity, once, and waits until somebody says
// that it is written down: before that nothing is made.
func (p *loginPage) recoveryKey(ctx context.Context) func(string) error {
	return func(key string) error {
		tty := p.in.terminal()
		_, err := fmt.Fprintf(tty, "\nThe account has no cross-signing identity yet; one is made now. This is its recovery key:\n\n    %s\n\n"+
			"It opens everything that the account has, and it is shown this once. Keep it where you keep\nsecrets, apart from the store. Press Enter when you have it; Ctrl-C makes nothing.\n", key)
		if err := errors.Join(err, tty.Close()); err != nil {
			return fmt.Errorf("write to the terminal: %w", err)
		}
		err = p.in.waitForEnter(ctx)
		p.unkept = err != nil
		return err
	}
}

// standing says how others see the device.
func (p *loginPage) standing(s connector.Standing) error {
	if p.unkept {
		return &unkeptError{}
	}
	if p.typed && s.Wrong {
		return &wrongKeyError{user: p.user, signed: s.Signed}
	}
	var errs []error
	if s.Signed {
		errs = append(errs, p.write("The account's identity has signed the device: clients give it room keys.\n"))
	} else {
		errs = append(errs, p.warn("the device is not signed, and who gives room keys to signed devices alone gives it none", s.Doubt))
	}
	switch {
	case s.NotSaved.Because != "":
		errs = append(errs, p.warn("keys are not saved outside of the store", s.NotSaved))
	case s.Backup != "":
		errs = append(errs, p.write("The account's key backup is open: room keys are saved in it and restored from it.\n"))
	}
	return errors.Join(errs...)
}

// warn says what is not as it could be, why, and what cures it.
func (p *loginPage) warn(what string, d connector.Doubt) error {
	why := d.Because
	if d.Detail != "" {
		why += " (" + printable(d.Detail) + ")"
	}
	err := p.write("warning: %s, because %s\n", what, why)
	if d.Hint != "" {
		err = errors.Join(err, p.write("hint: %s\n", d.Hint))
	}
	return err
}

// unkeptError is a recovery key that nobody said they have.
type unkeptError struct{}

func (*unkeptError) Error() string {
	return "the device is logged in, but not signed: nobody said that they have the recovery key, so no identity was made"
}

func (*unkeptError) Hint() string {
	return "run matrix-connector login again, and press Enter once the key is written down; or set MATRIX_RECOVERY_KEY_OUT to a file that it is written to"
}

// wrongKeyError is a recovery key that somebody typed, and that is not the account's.
type wrongKeyError struct {
	user   string
	signed bool // the device is, all the same
}

func (e *wrongKeyError) Error() string {
	if e.signed {
		return "the device is logged in and signed, but the key backup stays closed: what was typed is not the recovery key of " + e.user
	}
	return "the device is logged in, but not signed: what was typed is not the recovery key of " + e.user
}

func (e *wrongKeyError) Hint() string {
	return "find the recovery key, or the security phrase, that was shown when the account's secure backup was set up, and run matrix-connector login again; " +
		"or sign the device from another session of the account: matrix-connector verify"
}
