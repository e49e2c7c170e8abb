package parts

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
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
	// Profiles is an existing folder for the run's CPU, heap and allocation
	// profiles; with it the binary is the one that measures itself. Empty: the
	// released one.
	Profiles string
}

// StartConnector builds the binary if need be and runs it.
func StartConnector(ctx context.Context, c ConnectorConfig) (*Connector, error) {
	build := BuildConnector
	if c.Profiles != "" {
		build = BuildProfiled
	}
	binary, err := build(ctx)
	if err != nil {
		return nil, err
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}
	if c.Profiles != "" {
		env = append(env, "PROFILE_DIR="+c.Profiles)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, k+"="+c.Env[k])
	}
	p, err := start(command{name: "matrix-connector", path: binary, args: c.Args, dir: c.Dir, env: env})
	if err != nil {
		return nil, err
	}
	return &Connector{Process: p}, nil
}

// PeakMemory is the largest resident set that the running binary has had, in
// bytes (VmHWM of proc(5)).
func (c *Connector) PeakMemory() (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", c.PID()))
	if err != nil {
		return 0, fmt.Errorf("read peak memory: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read peak memory: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read peak memory: process %d shows none", c.PID())
}
