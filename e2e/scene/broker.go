package scene

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// shared is the broker of all stories of one test binary: it takes seconds to
// start, and each story has queues of its own.
var shared struct {
	sync.Mutex
	dir    string
	broker *parts.RabbitMQ
}

// Main runs the tests of a package and stops what they shared; TestMain calls it.
func Main(m *testing.M) {
	code := m.Run()
	shared.Lock()
	if shared.broker != nil {
		_ = shared.broker.Close()
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

func ownBroker(t *testing.T, security parts.BrokerTLS) *parts.RabbitMQ {
	t.Helper()
	broker, err := parts.StartSecureRabbitMQ(t.Context(), t.TempDir(), security)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	return broker
}

func sharedBroker(t *testing.T) *parts.RabbitMQ {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.broker == nil {
		dir, err := os.MkdirTemp("", "rabbitmq") //nolint:usetesting // it outlives the test that came first
		if err != nil {
			t.Fatal(err)
		}
		broker, err := parts.StartRabbitMQ(context.Background(), dir)
		if err != nil {
			t.Fatal(fmt.Errorf("start the broker of all stories: %w", err))
		}
		shared.dir, shared.broker = dir, broker
	}
	return shared.broker
}
