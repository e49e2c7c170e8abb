package crash_test

import (
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/crash"
)

func TestNothingDiesWithoutTheBuildTag(t *testing.T) {
	if crash.Build {
		t.Fatal("this is a build that dies")
	}
	if n := testing.AllocsPerRun(100, func() { crash.At("a place", "of nothing") }); n > 0 {
		t.Errorf("passing a place takes %.0f allocations, want none", n)
	}
}
