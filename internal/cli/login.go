package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// loginCommand gets the bot's account in, once.
type loginCommand struct{}

func (c *loginCommand) run(ctx context.Context, in *invocation) int {
	// What an export needs is enough: the platform has no part in it.
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	for _, w := range settings.Warnings {
		in.say("warning: %s", w)
	}
	err := c.steps(ctx, in, settings)
	switch hide := telemetry.Hide(settings.Secrets()); {
	case err != nil && ctx.Err() != nil:
		in.complain("interrupted", "run matrix-connector login again; what was begun is left to lapse")
		return exitFailed
	case err != nil:
		in.complain(hide.Replace(err.Error()), hide.Replace(connector.Hint(err)))
		return exitFailed
	}
	return exitFine
}

// steps are what a login consists of, in their order.
func (c *loginCommand) steps(ctx context.Context, in *invocation, settings *config.Config) (err error) {
	show := &loginPage{in: in, user: string(settings.Matrix.UserID), person: isTerminal(in.stdin)}
	config := connector.Config{
		Settings: settings, Version: version(),
		Log: telemetry.NewLog(telemetry.LogConfig{Out: in.stderr, Level: slog.LevelWarn, Name: program, Hide: settings.Secrets()}),
	}
	if show.person && settings.Matrix.RecoveryKeyOut == "" {
		config.GiveRecoveryKey = show.recoveryKey(ctx)
	}
	login, err := connector.OpenLogin(ctx, config, show.approval)
	if err != nil {
		return err
	}
	defer func() {
		if e := login.Close(); err == nil {
			err = e
		}
	}()
	if err := c.device(ctx, show, login); err != nil {
		return err
	}
	return c.identity(ctx, show, login)
}

// device is the first step: the account is logged in.
func (c *loginCommand) device(ctx context.Context, show *loginPage, login *connector.Login) error {
	d, err := login.Device(ctx)
	if err != nil {
		return err
	}
	return show.device(d)
}

// loginPage is what a person is told, line by line: the same on a terminal and in a
// file.
type loginPage struct {
	in     *invocation
	user   string
	person bool // somebody sits in front of it
	typed  bool // a recovery key was
	unkept bool // the recovery key that was shown
}

// approval shows what to do on the page of the authentication service. A code is no
// secret of ours: it is of use to who logs in there as the bot.
func (p *loginPage) approval(_ context.Context, a connector.Approval) error {
	err := p.write("Open this page in any browser, on any machine:\n\n    %s\n\nand enter this code:\n\n    %s\n\n", printable(a.Page), printable(a.Code))
	if err == nil && a.Link != "" {
		err = p.write("Or open this page, and compare the code:\n\n    %s\n\n", printable(a.Link))
	}
	if err == nil {
		err = p.write("Log in there as %s, not as yourself; a private window helps.\n"+
			"The code holds for %s. Waiting for your approval …\n\n", p.user, inMinutes(a.Life))
	}
	return err
}

// entered says how a device got in.
func entered(entry string) string {
	switch entry {
	case "stored":
		return "is logged in already"
	case "password":
		return "is logged in, with the password"
	case "token":
		return "is logged in, with the access token"
	default:
		return "is logged in, by the authentication service"
	}
}

// device says as which device the bot is logged in.
func (p *loginPage) device(d connector.Device) error {
	return p.write("%s %s, as device %s.\n", printable(d.User), entered(d.Entry), printable(d.ID))
}

func (p *loginPage) write(format string, args ...any) error {
	if _, err := fmt.Fprintf(p.in.stdout, format, args...); err != nil {
		return fmt.Errorf("write to the terminal: %w", err)
	}
	return nil
}

// inMinutes is a short time as a person says it.
func inMinutes(d time.Duration) string {
	switch minutes := int(d.Minutes()); {
	case minutes < 1:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case minutes == 1:
		return "a minute"
	default:
		return fmt.Sprintf("%d minutes", minutes)
	}
}
