package parts

import (
	"context"
	"maps"
	"os"
	"slices"
)

// Connector is a run of the real binary.
type Connector struct {
	*Process
}

// ConnectorConfig says how the binary is run.
type ConnectorConfig struct {
	// Dir is its working directory.
	Dir string
	// Args are its arguments; none means its default command.
	Args []string
	// Env is its whole environment but PATH and HOME: nothing of the machine's
	// own settings reaches it.
	Env map[string]string
	// Stdin is what it reads, closed by the caller; nil: nothing.
	Stdin *os.File
	// Profiles is an existing folder for the run's CPU, heap and allocation
	// profiles; with it the binary is the one that measures itself. Empty: the
	// released one.
	Profiles string
	// Program is what to run, with first arguments, in place of a binary that is
	// built here; it becomes the connector without a fork.
	Program []string
}

// StartConnector builds the binary if need be and runs it.
func StartConnector(ctx context.Context, c ConnectorConfig) (*Connector, error) {
	build := BuildConnector
	if c.Profiles != "" {
		build = BuildProfiled
	}
	program := c.Program
	if len(program) == 0 {
		binary, err := build(ctx)
		if err != nil {
			return nil, err
		}
		program = []string{binary}
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}
	if c.Profiles != "" {
		env = append(env, "PROFILE_DIR="+c.Profiles)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, k+"="+c.Env[k])
	}
	p, err := start(command{name: "matrix-connector", path: program[0], args: append(slices.Clone(program[1:]), c.Args...), dir: c.Dir, env: env, stdin: c.Stdin})
	if err != nil {
		return nil, err
	}
	return &Connector{Process: p}, nil
}

// PeakMemory is the largest resident set that the running binary has had, in
// bytes.
func (c *Connector) PeakMemory() (int64, error) {
	m, err := c.Memory()
	return m.Peak, err
}
