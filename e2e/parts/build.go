package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// Root is the repository's folder: the nearest one above the working directory
// that holds both the connector's command and this module.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		_, errCmd := os.Stat(filepath.Join(dir, "go.mod"))
		_, errE2E := os.Stat(filepath.Join(dir, "e2e", "go.mod"))
		if errCmd == nil && errE2E == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the repository: no folder above holds go.mod and e2e/go.mod")
		}
		dir = up
	}
}

// Binaries of Dendrite that its module builds.
const (
	dendriteServer = "dendrite"
	dendriteKeys   = "generate-keys"
)

// BuildDendrite builds Dendrite from its pinned module into the build folder
// and returns the folder of the binaries. A build of the same pins is used again.
func BuildDendrite(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "e2e", "dendrite")
	pins, err := fingerprint(filepath.Join(module, "go.sum"), filepath.Join(module, "tools.go"))
	if err != nil {
		return "", fmt.Errorf("build dendrite: %w", err)
	}
	out := filepath.Join(root, "build", "dendrite")
	unlock, err := lock(out + ".lock")
	if err != nil {
		return "", fmt.Errorf("build dendrite: %w", err)
	}
	defer unlock()
	stamp := filepath.Join(out, "pins")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == pins {
		return out, nil
	}
	err = goBuild(ctx, module, out+string(filepath.Separator), "goolm",
		"github.com/element-hq/dendrite/cmd/dendrite",
		"github.com/element-hq/dendrite/cmd/create-account",
		"github.com/element-hq/dendrite/cmd/generate-keys")
	if err != nil {
		return "", fmt.Errorf("build dendrite: %w", err)
	}
	if err := os.WriteFile(stamp, []byte(pins), 0o600); err != nil {
		return "", fmt.Errorf("build dendrite: %w", err)
	}
	return out, nil
}

// BuildConnector builds the connector's binary as it is released and returns its
// path. All runs of one process are of one build.
func BuildConnector(ctx context.Context) (string, error) {
	return released.path(ctx)
}

// BuildProfiled builds the binary that measures itself (build tag profile).
func BuildProfiled(ctx context.Context) (string, error) {
	return profiled.path(ctx)
}

// BuildMortal builds the binary that dies where CRASH_AT says (build tag crash).
func BuildMortal(ctx context.Context) (string, error) {
	return mortal.path(ctx)
}

// build is a way to build the connector, and the binary that this process has
// built in it.
type build struct {
	file, tags string

	mu    sync.Mutex // guards what follows
	built string
}

var (
	released = build{file: "matrix-connector", tags: "goolm"}
	profiled = build{file: "matrix-connector-profiled", tags: "goolm,profile"}
	mortal   = build{file: "matrix-connector-mortal", tags: "goolm,crash"}
)

func (b *build) path(ctx context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.built != "" {
		return b.built, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	out := filepath.Join(root, "build", b.file)
	unlock, err := lock(out + ".lock")
	if err != nil {
		return "", fmt.Errorf("build connector: %w", err)
	}
	defer unlock()
	if err := goBuild(ctx, root, out, b.tags, "./cmd/matrix-connector"); err != nil {
		return "", fmt.Errorf("build connector: %w", err)
	}
	b.built = out
	return out, nil
}

// goBuild runs the go command as a release does: no cgo, no symbol table.
func goBuild(ctx context.Context, dir, out, tags string, packages ...string) error {
	args := append([]string{"build", "-tags=" + tags, "-trimpath", "-ldflags=-s -w", "-o", out}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, stderr.String())
	}
	return nil
}

// fingerprint is the hash of the files' bytes.
func fingerprint(files ...string) (string, error) {
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lock holds a file lock, so that two test binaries do not build into one
// folder at the same time.
func lock(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
