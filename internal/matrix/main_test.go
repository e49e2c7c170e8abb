package matrix_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No test of the package may leave work behind: neither ours nor the library's.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Connections to the test server that are being closed.
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
	)
}
