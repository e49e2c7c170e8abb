package parts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopTimeout is how long Close waits after SIGTERM before it kills.
const stopTimeout = 10 * time.Second

// command is what a child is started from.
type command struct {
	name string // in errors
	path string
	args []string
	env  []string // the whole environment; nil inherits ours
	dir  string

	stdin  *os.File  // nil: none
	stdout io.Writer // hears what the child writes, beside the log; nil: nobody does
}

// Process is a running child in a process group of its own.
type Process struct {
	name string
	cmd  *exec.Cmd
	// Stdout and Stderr are what the child wrote.
	Stdout, Stderr *Log
	done           chan struct{} // closed once the child was reaped
}

// start runs a child that the kernel kills when this process dies. The kernel
// ties that to the thread that forked, so one locked goroutine starts the child
// and waits for its end (prctl(2), PR_SET_PDEATHSIG).
func start(c command) (*Process, error) {
	cmd := exec.Command(c.path, c.args...) //nolint:noctx // its life is the part's, ended by Close
	cmd.Env, cmd.Dir = c.env, c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{name: c.name, cmd: cmd, Stdout: new(Log), Stderr: new(Log), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	if c.stdin != nil {
		cmd.Stdin = c.stdin
	}
	if c.stdout != nil {
		cmd.Stdout = io.MultiWriter(p.Stdout, c.stdout)
	}
	// A grandchild that holds the pipes must not keep Wait from returning.
	cmd.WaitDelay = 2 * time.Second
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		_ = cmd.Wait() // the state is read from cmd.ProcessState
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	return p, nil
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends sig to the child alone.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits for the child's end and returns its exit code, which is -1 for a
// child that a signal ended.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s: %w", p.name, context.Cause(ctx))
	}
}

// Kill ends the child and its group at once and waits until it is reaped.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// Close asks the child to end, kills it if it does not, and returns once it is
// gone. Closing twice is harmless.
func (p *Process) Close() error {
	if p == nil {
		return nil
	}
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	p.Kill()
	return nil
}

// failed explains why the child is not what it should be.
func (p *Process) failed(err error) error {
	return fmt.Errorf("%s: %w\n%s\n%s", p.name, err, p.Stdout.Tail(20), p.Stderr.Tail(20))
}

var errEnded = errors.New("ended before it was ready")

// ready polls until try succeeds, the child ends or ctx does.
func (p *Process) ready(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.failed(errEnded)
		case <-ctx.Done():
			return p.failed(fmt.Errorf("not ready: %w", err))
		case <-tick.C:
		}
	}
}

// readyTimeout bounds a part's start: an overloaded machine takes tens of
// seconds for what takes three on an idle one.
const readyTimeout = 2 * time.Minute
