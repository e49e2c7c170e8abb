package bench_test

import (
	"os"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// BenchmarkBinary is the size of the binary as it is released.
func BenchmarkBinary(b *testing.B) {
	for b.Loop() {
		path, err := parts.BuildConnector(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		bench.BinarySize.Is(b, "", float64(info.Size())/(1<<20))
	}
}
