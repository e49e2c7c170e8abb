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

// TestTimeGrowsWithTheTextAlone: a text may be 64 KiB of anything, and a step that
// takes time for each pair of its characters would stall the connector. Eight times
// the text takes 8 times as long, or 64 times where such a step is.
func TestTimeGrowsWithTheTextAlone(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := func(text string) time.Duration {
		best := time.Hour
		for range 3 {
			start := spent(t)
			inert := mapping.Inert(text)
			best = min(best, spent(t)-start)
			if len(inert) > 8*len(text) {
				t.Errorf("%d bytes of %.10q became %d", len(text), text, len(inert))
			}
		}
		return best
	}
	for _, fragment := range []string{"*a", "`", "` ", "[", "[\n", "](", "http://", "www.", "=", "= ", "==", "_", "~a", "&", "&amp;", "<", "\\", "#\n", "|-\n", "]:", "[a]:\n", "\t", " ", "a\n\n", "http://a_b*c\n"} {
		text := strings.Repeat(fragment, timeline.MaxTextBytes/2/len(fragment))
		short := max(least(text[:len(text)/8]), 20*time.Microsecond)
		if long := least(text); long > 32*short {
			t.Errorf("%q: an eighth of the text took %s, all of it %s", fragment, short, long)
		}
	}
}
