package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

var errNoPassphrase = errors.New("no passphrase was given: type it, or give it as the first line of the standard input")

// passphrase asks for a passphrase, as secret does, and for a new one twice.
func (in *invocation) passphrase(ctx context.Context, prompt string, twice bool) (string, error) {
	first, err := in.secret(ctx, prompt)
	if err == nil && first == "" {
		err = errNoPassphrase
	}
	if err != nil || !twice || !isTerminal(in.stdin) {
		return first, err
	}
	again, err := in.secret(ctx, "The same once more: ")
	if err == nil && again != first {
		err = errors.New("the two passphrases differ")
	}
	return first, err
}

// secret asks a person for something that is not shown, or takes the first line of the
// standard input where nobody sits there. It is never an argument: others see those. It may
// be empty.
func (in *invocation) secret(ctx context.Context, prompt string) (string, error) {
	f, ok := in.stdin.(interface{ Fd() uintptr })
	if !ok || !isTerminal(in.stdin) {
		line, err := bufio.NewReader(in.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read standard input: %w", err)
		}
		return trimLine(line), nil
	}
	tty := in.terminal()
	defer tty.Close()
	_, _ = io.WriteString(tty, prompt) // there is nobody else to ask
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	typed := make(chan string, 1)
	failed := make(chan error, 1)
	go func() { // it ends with the process, where nobody types
		text, err := term.ReadPassword(int(f.Fd()))
		if err != nil && !errors.Is(err, io.EOF) {
			failed <- fmt.Errorf("read from the terminal: %w", err)
			return
		}
		typed <- string(text)
	}()
	defer func() { _, _ = io.WriteString(tty, "\n") }() // as above
	select {
	case text := <-typed:
		return text, nil
	case err := <-failed:
		return "", err
	case <-ctx.Done():
		_ = term.Restore(int(f.Fd()), before) // who interrupts wants to see what they type
		return "", ctx.Err()
	}
}

// terminal is what a person who sits at the standard input sees, wherever the outputs go:
// what only they may read must not land in a file.
func (in *invocation) terminal() io.WriteCloser {
	if f, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
		return f
	}
	return openWriter{in.stdout} // it is none of a session's
}

// openWriter is a writer that stays open.
type openWriter struct{ io.Writer }

func (openWriter) Close() error { return nil }

// waitForEnter waits until a person presses Enter, or has gone.
func (in *invocation) waitForEnter(ctx context.Context) error {
	read := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(in.stdin).ReadString('\n')
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			return fmt.Errorf("wait for Enter: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// trimLine takes the end of a line away, and nothing else: a passphrase may end in blanks.
func trimLine(line string) string {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}
