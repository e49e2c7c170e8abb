package connector_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/matrix-connector/matrix-connector/internal/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func asStoreError(err error, to **connector.StoreError) bool { return errors.As(err, to) }
