package mapping_test

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// spent is the processor time of this thread: unlike the clock it does not run while
// others have the processor.
func spent(t *testing.T) time.Duration {
	t.Helper()
	const thread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	if err := syscall.Getrusage(thread, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestNoTextTakesLong: a text may be 64 KiB of anything, and a step that takes time
// for each pair of its characters would stall the connector. Four times that text
// takes 40 ms, or far more than the limit where such a step is.
func TestNoTextTakesLong(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, fragment := range []string{
		"*a", "`", "` ", "[", "[\n", "](", "http://", "www.", "=", "= ", "==", "_", "~a", "&", "&amp;", "<", "\\", "#\n", "|-\n", "]:", "[a]:\n", "\t", " ", "a\n\n", "http://a_b*c\n",
	} {
		text := strings.Repeat(fragment, 4*timeline.MaxTextBytes/len(fragment))
		start := spent(t)
		inert := mapping.Inert(text)
		if took := spent(t) - start; took > 4*time.Second {
			t.Errorf("%d bytes of %q took %s", len(text), fragment, took)
		}
		if len(inert) > 8*len(text) {
			t.Errorf("%d bytes of %q became %d", len(text), fragment, len(inert))
		}
	}
}
