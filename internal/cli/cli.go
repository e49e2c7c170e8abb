package cli

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2 // arguments or settings are wrong
)

// program is the name in front of errors and hints.
const program = "matrix-connector"

// grammar is the command line as kong reads it. Help is our own text: one page a
// command, in help/.
type grammar struct {
	Help    bool `short:"h"`
	Version bool

	Run        runCommand      `cmd:"" default:"1"`
	Backfill   backfillCommand `cmd:""`
	Check      checkCommand    `cmd:""`
	Export     exportCommand   `cmd:""`
	Health     healthCommand   `cmd:""`
	Keys       keysCommand     `cmd:""`
	Login      loginCommand    `cmd:""`
	Missing    missingCommand  `cmd:""`
	Requeue    requeueCommand  `cmd:""`
	Rooms      roomsCommand    `cmd:""`
	Status     statusCommand   `cmd:""`
	Verify     verifyCommand   `cmd:""`
	VersionOf  versionCommand  `cmd:"" name:"version"`
	HelpOnThis helpCommand     `cmd:"" name:"help"`
}

// invocation is what a command may use of the outside.
type invocation struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

//go:embed help/*.txt
var helpPages embed.FS

// Main runs the command line args (without the program's name) until it is done or
// ctx ends, and returns the exit code. environ is the environment as os.Environ
// gives it; stdin is there for commands that ask.
func Main(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	in := &invocation{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	var g grammar
	parser, err := kong.New(&g, kong.Name(program), kong.NoDefaultHelp(), kong.Writers(stdout, stderr), kong.Exit(func(int) {}))
	if err != nil {
		return in.fail(err, "")
	}
	parsed, err := parser.Parse(args)
	switch {
	case g.Help && err == nil:
		command, _, _ := strings.Cut(commandOf(parsed), " ")
		return in.help(command, args)
	case g.Help: // what the command needs may be missing
		return in.help(firstWord(args), args)
	case err != nil:
		in.complain(err.Error(), program+" --help shows what can be done")
		return exitUsage
	case g.Version:
		return g.VersionOf.run(in)
	}
	switch commandOf(parsed) {
	case "backfill":
		return g.Backfill.run(ctx, in)
	case "check":
		return g.Check.run(ctx, in)
	case "export":
		return g.Export.run(ctx, in)
	case "health":
		return g.Health.run(ctx, in)
	case "keys import":
		return g.Keys.Import.run(ctx, in)
	case "keys export":
		return g.Keys.Export.run(ctx, in)
	case "login":
		return g.Login.run(ctx, in)
	case "missing":
		return g.Missing.run(ctx, in)
	case "requeue":
		return g.Requeue.run(ctx, in)
	case "rooms":
		return g.Rooms.run(ctx, in)
	case "status":
		return g.Status.run(ctx, in)
	case "verify":
		return g.Verify.run(ctx, in)
	case "version":
		return g.VersionOf.run(in)
	case "help":
		return in.help(g.HelpOnThis.Command, args)
	default:
		return g.Run.run(ctx, in)
	}
}

// commandOf names the command that was asked for, as it is typed.
func commandOf(parsed *kong.Context) string {
	return strings.TrimPrefix(parsed.Selected().Path(), program+" ")
}

// firstWord is the first of the arguments that is no flag, "" for none.
func firstWord(args []string) string {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			return arg
		}
	}
	return ""
}

// helpCommand shows a page of help.
type helpCommand struct {
	Command string `arg:"" optional:""`
}

// help shows the page of a command. The page of run, which is what happens without
// a command, is shown to those who asked for it by name.
func (in *invocation) help(command string, args []string) int {
	page := "help/" + command + ".txt"
	if command == "" || command == "help" || command == "run" && !slices.Contains(args, "run") {
		page = "help/" + program + ".txt"
	}
	text, err := helpPages.ReadFile(page)
	if err != nil {
		in.complain(fmt.Sprintf("there is no command %q", command), program+" --help shows what can be done")
		return exitUsage
	}
	if _, err := in.stdout.Write(text); err != nil {
		return in.fail(fmt.Errorf("write help: %w", err), "")
	}
	return exitFine
}

// complain writes an error and what to do about it.
func (in *invocation) complain(wrong string, hints ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: error: %s\n", program, wrong)
	for _, hint := range hints {
		if hint != "" {
			fmt.Fprintf(&b, "%s: hint: %s\n", program, hint)
		}
	}
	_, _ = io.WriteString(in.stderr, b.String()) // there is nobody else to tell
}

// fail ends a command with an error.
func (in *invocation) fail(err error, hint string) int {
	in.complain(err.Error(), hint)
	return exitFailed
}

// settings reads the settings, or tells all that is wrong with them.
func (in *invocation) settings(purpose config.Purpose) (*config.Config, bool) {
	c, err := config.Load(config.Input{Environ: in.environ, Folders: folders(), Purpose: purpose})
	if err == nil {
		return c, true
	}
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		in.complain(err.Error())
		return nil, false
	}
	wrong := 0
	for _, p := range problems {
		in.complain(p.Error(), p.Cure)
		if p.Variable != "" || p.Key != "" {
			wrong++
		}
	}
	if wrong > 1 {
		in.complain(fmt.Sprintf("%d settings are wrong; nothing was started", wrong))
	}
	return nil, false
}
