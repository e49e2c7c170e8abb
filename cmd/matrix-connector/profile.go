//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"
)

// profile measures the process from here to its end, for docs/performance.md. No
// released binary holds it. In the folder that PROFILE_DIR names it leaves, each
// with the process id in its name: cpu, heap and allocs profiles when the process
// ends in order, and one more heap profile for each SIGUSR1.
//
//	go build -tags=goolm,profile -o build/profiled ./cmd/matrix-connector
//	PROFILE_DIR=/tmp build/profiled run
func profile() (end func()) {
	dir := os.Getenv("PROFILE_DIR")
	if dir == "" {
		return func() {}
	}
	create := func(kind string) *os.File {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", kind, os.Getpid()))) //nolint:gosec // the developer's own folder
		if err != nil {
			panic(err)
		}
		return f
	}
	write := func(kind, name string) {
		f := create(kind)
		if err := pprof.Lookup(name).WriteTo(f, 0); err != nil {
			panic(err)
		}
		_ = f.Close()
	}
	cpu := create("cpu")
	if err := pprof.StartCPUProfile(cpu); err != nil {
		panic(err)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			write(time.Now().Format("heap-150405.000"), "heap")
		}
	}()
	return func() {
		pprof.StopCPUProfile()
		_ = cpu.Close()
		write("heap", "heap")
		write("allocs", "allocs")
	}
}
