package openctitest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// The platform leaves no goroutine behind; the idle connections of the tests'
// own client are not its.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
	)
}
