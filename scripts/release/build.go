package main

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
)

// platform is an operating system and an architecture, in Go's words.
type platform struct {
	os, arch string
	machine  elf.Machine
}

var platforms = []platform{
	{os: "linux", arch: "amd64", machine: elf.EM_X86_64},
	{os: "linux", arch: "arm64", machine: elf.EM_AARCH64},
}

// most is what a binary has to stay under, in bytes.
const most = 25 << 20

// build builds the binary of a platform. Nothing of the machine goes into it: no
// path, no build id, no name of a file. Commit and time come from git.
func (r *Release) build(ctx context.Context, p platform, binary string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	env := append([]string{"GOFLAGS="}, r.Env...)
	env = append(env, "CGO_ENABLED=0", "GOWORK=off", "GOOS="+p.os, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	_, err = output(ctx, r.Source.Dir, env, "go", "build", "-trimpath", "-buildvcs=true", "-tags=goolm",
		"-ldflags=-s -w -buildid=", "-o", binary, "./cmd/"+program)
	return err
}

// check looks at the binary itself: it is static, for the right machine, stripped
// and small.
func check(binary string, p platform) error {
	f, err := elf.Open(binary)
	if err != nil {
		return fmt.Errorf("read binary: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if f.Machine != p.machine {
		return fmt.Errorf("the binary is for %s, not for %s", f.Machine, p.machine)
	}
	for _, prog := range f.Progs {
		if prog.Type == elf.PT_INTERP || prog.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("the binary is not static: it has a segment %s", prog.Type)
		}
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_SYMTAB || s.Name == ".debug_info" {
			return fmt.Errorf("the binary is not stripped: it has a section %s", s.Name)
		}
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	if info.Size() >= most {
		return fmt.Errorf("the binary has %d bytes, and %d are too many", info.Size(), most)
	}
	return nil
}
