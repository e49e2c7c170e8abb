package parts

import (
	"fmt"
	"os"
	"path/filepath"
)

// VendorWorkerConfig says what OpenCTI's own importer works for.
type VendorWorkerConfig struct {
	// Version of pycti, one of those that scripts/setup installs.
	Version string
	// PlatformURL and Token are where it writes, and as whom.
	PlatformURL, Token string
	// BrokerURL and Queue are where it reads. The queue need not exist yet.
	BrokerURL, Queue string
}

// StartVendorWorker drains a queue into a platform with pycti, as the platform's
// own worker does.
func StartVendorWorker(c VendorWorkerConfig) (*Process, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	python := filepath.Join(root, "build", "venv-pycti-"+c.Version, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return nil, fmt.Errorf("pycti %s is not installed: run scripts/setup: %w", c.Version, err)
	}
	return start(command{
		name: "pycti " + c.Version, path: python,
		args: []string{"-u", filepath.Join(root, "e2e", "pycti", "worker.py")},
		env: append(os.Environ(),
			"OPENCTI_URL="+c.PlatformURL, "OPENCTI_TOKEN="+c.Token,
			"WORKER_BROKER="+c.BrokerURL, "WORKER_QUEUE="+c.Queue),
	})
}
