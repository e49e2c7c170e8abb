package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/request"
)

// verifyCommand verifies the bot and somebody by emoji, through the running connector.
type verifyCommand struct {
	User string `arg:"" optional:""`
	Room string `placeholder:"ROOM"`
}

func (c *verifyCommand) run(ctx context.Context, in *invocation) int {
	asked, err := connector.AskToVerify(c.User, c.Room)
	if err != nil {
		in.complain(err.Error(), connector.Hint(err))
		return exitUsage
	}
	settings, ok := in.settings(config.ForDirectory)
	if !ok {
		return exitUsage
	}
	desk, err := connector.OpenDesk(ctx, settings, nil)
	if err == nil {
		defer desk.Close() //nolint:errcheck // nothing depends on it
		err = desk.Wake(ctx)
	}
	if errors.Is(err, control.ErrNobody) {
		return in.fail(err, "start it: the emoji are exchanged by the running connector, and shown here")
	}
	if err != nil {
		return in.failOf(err, settings)
	}
	d := &dialogue{desk: desk, in: in, bot: string(settings.Matrix.UserID)}
	code, err := d.run(ctx, asked)
	if err != nil {
		return in.failOf(err, settings)
	}
	return code
}

// dialogue is a verification as the person in front of the command sees it.
type dialogue struct {
	desk *connector.Desk
	in   *invocation
	bot  string

	asked sync.Once
}

func (d *dialogue) run(ctx context.Context, asked connector.VerifyAsked) (code int, err error) {
	number, err := d.desk.SubmitInteractive(ctx, request.KindVerify, asked)
	if err != nil {
		return exitFailed, err
	}
	r, err := d.desk.Watch(ctx, number, func(r request.Request) { d.show(ctx, r) })
	if ctx.Err() != nil || err != nil {
		// The other side hears of it when the connector sees that nobody is here.
		ending := context.WithoutCancel(ctx)
		withdrawn := d.desk.Withdraw(ending, number)
		_ = d.desk.Wake(ending) // it looks by itself, too
		if ctx.Err() == nil {
			return exitFailed, errors.Join(err, withdrawn)
		}
		d.in.say("stopped")
		return exitFailed, nil // the person ended it
	}
	switch r.State {
	case request.Failed:
		return exitFailed, &connector.RequestError{State: r.State, Failure: r.Failure()}
	case request.Withdrawn:
		return exitFailed, errors.New("the connector was busy for too long; try again")
	case request.Open, request.Done:
	}
	var s connector.VerifyShown
	if err := request.Into(r.Shows, &s); err != nil {
		return exitFailed, err
	}
	return d.end(s)
}

// show tells how far it is.
func (d *dialogue) show(ctx context.Context, r request.Request) {
	var s connector.VerifyShown
	if r.State != request.Open || request.Into(r.Shows, &s) != nil {
		return // the end is told by end
	}
	who := printable(s.User.String())
	switch s.Phase {
	case connector.VerifyWaits:
		d.print("Waiting for somebody who verifies the bot: in their client they open the profile of\n%s and choose Verify. Ctrl-C stops.\n", d.bot)
	case connector.VerifyAsks:
		d.print("%s was asked to verify, and has to accept in a client. Ctrl-C stops.\n", who)
	case connector.VerifyBegins:
		d.print("%s verifies, with the device %s.\n", who, printable(s.Device.String()))
	case connector.VerifyCompares:
		d.emoji(s)
		d.asked.Do(func() { go d.ask(ctx, r.ID) })
	case connector.VerifyConfirmed:
		d.print("Confirmed here. The other side has yet to.\n")
	case connector.VerifyDone, connector.VerifyCancelled:
	}
}

func (d *dialogue) emoji(s connector.VerifyShown) {
	d.print("\n")
	for _, e := range s.Emoji {
		d.print("    %s  %s\n", e.Symbol, e.Name)
	}
	for _, n := range s.Decimals {
		d.print("    %d\n", n)
	}
	d.print("\nDoes %s see just the same, in this order? Ask them on another way than this room.\nType yes or no: ", printable(s.User.String()))
}

// ask waits for the person's answer, and hands it on. It ends with the process.
func (d *dialogue) ask(ctx context.Context, number int64) {
	lines := bufio.NewScanner(d.in.stdin)
	for lines.Scan() {
		answer := connector.VerifyDiffer
		switch strings.ToLower(strings.TrimSpace(lines.Text())) {
		case "yes", "y":
			answer = connector.VerifySame
		case "no", "n":
		default:
			d.print("Type yes or no: ")
			continue
		}
		if err := d.desk.Answer(ctx, number, answer); err == nil {
			_ = d.desk.Wake(ctx) // it looks by itself, too
		}
		return
	}
}

// cancellations say why a verification did not come about, by the specification's code.
var cancellations = map[string]string{
	"m.user":                  "it was cancelled",
	"m.timeout":               "it took too long",
	"m.mismatched_sas":        "the emoji are not the same: somebody may sit in between. Do not trust this account before you know why",
	"m.mismatched_commitment": "the key is not the one that was promised: somebody may sit in between",
	"m.key_mismatch":          "the keys are not those that the homeserver shows: somebody may sit in between",
	"m.unknown_method":        "the other client cannot verify by emoji",
	"m.accepted":              "it was accepted on another device",
}

// end tells what came of it.
func (d *dialogue) end(s connector.VerifyShown) (int, error) {
	who := printable(s.User.String())
	if s.Phase != connector.VerifyDone {
		why := cancellations[s.Code]
		if why == "" {
			why = "the other client stopped it (" + printable(s.Code) + ")"
		}
		return exitFailed, fmt.Errorf("%s is not verified: %s", who, why)
	}
	switch {
	case s.Signed:
		d.print("Verified: the other session of %s has signed the bot's device.\n", who)
	case s.User.String() == d.bot:
		d.print("Verified, but the other session of %s has not signed the bot's device. Does it have the account's identity?\nmatrix-connector check shows how the device stands.\n", who)
	default:
		d.print("Verified: %s and the bot trust each other. Keys come with what is said from now on.\n", who)
	}
	return exitFine, nil
}

func (d *dialogue) print(format string, args ...any) {
	_, _ = fmt.Fprintf(d.in.stdout, format, args...) // there is nobody else to tell
}
