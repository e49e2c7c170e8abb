package bench

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Machine names the machine that this runs on, and the day.
func Machine() string {
	return fmt.Sprintf("on %s: %d cores (%s), %d GiB, %s, %s", time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(),
		value("/proc/cpuinfo", ":", "model name"), memory()>>30, value("/etc/os-release", "=", "PRETTY_NAME"), runtime.Version())
}

// value is what stands behind a name in a file of names and values; "unknown" where
// there is none.
func value(path, separator, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer func() { _ = f.Close() }() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		if n, v, ok := strings.Cut(s.Text(), separator); ok && strings.TrimSpace(n) == name {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "unknown"
}

func memory() uint64 {
	var i syscall.Sysinfo_t
	if syscall.Sysinfo(&i) != nil {
		return 0
	}
	return i.Totalram * uint64(i.Unit)
}
