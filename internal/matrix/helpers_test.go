package matrix_test

import (
	"encoding/json"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

type matrixConfig = matrix.Config

func unmarshal(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
