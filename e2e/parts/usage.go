package parts

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Memory is what a running child holds of the machine's memory, in bytes, as the
// kernel counts it (proc(5), status).
type Memory struct {
	// Peak is the largest Resident so far (VmHWM).
	Peak int64
	// Resident is all of it (VmRSS): Anonymous, File and little else.
	Resident int64
	// Anonymous is heap, stacks and the like (RssAnon): what nobody else can use.
	Anonymous int64
	// File is what is mapped from files, above all the binary itself (RssFile). The
	// kernel takes it back when it needs it.
	File int64
}

// Memory is what the running child holds.
func (p *Process) Memory() (Memory, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of %s: %w", p.name, err)
	}
	defer func() { _ = f.Close() }() // only read
	var m Memory
	fields := map[string]*int64{"VmHWM": &m.Peak, "VmRSS": &m.Resident, "RssAnon": &m.Anonymous, "RssFile": &m.File}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		field := fields[name]
		if field == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("read memory of %s: %s: %w", p.name, name, err)
		}
		*field = kib << 10
	}
	if m.Peak == 0 {
		return Memory{}, fmt.Errorf("read memory of %s: process %d shows none", p.name, p.PID())
	}
	return m, nil
}

// ForgetPeak makes Memory.Peak count from here (proc(5), clear_refs).
func (p *Process) ForgetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0); err != nil {
		return fmt.Errorf("forget the peak of %s: %w", p.name, err)
	}
	return nil
}

// CPU is the processor time that the child has used: while it runs in hundredths of
// a second (proc(5), stat), after its end exactly.
func (p *Process) CPU() (time.Duration, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), nil
	default:
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("read processor time of %s: %w", p.name, err)
	}
	// The name in parentheses may hold anything; after it come state and numbers.
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read processor time of %s: %d fields", p.name, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time of %s: %w", p.name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
