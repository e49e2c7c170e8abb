package connector_test

import (
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/connector"
)

// ask plays the questions about a batch that a sink needs so long for, and says how
// many came too early and how late the last one was.
func ask(r *connector.Rhythm, objects int, takes time.Duration) (early int, late time.Duration) {
	var since time.Duration
	for asked := 0; ; asked++ {
		wait := r.Wait(objects, since, asked)
		if since += wait; since >= takes {
			r.Done(objects, since, wait, asked)
			return asked, since - takes
		}
	}
}

func TestQuestionsComeWhenABatchShouldBeDone(t *testing.T) {
	for name, takes := range map[string]time.Duration{
		"a platform of 100 ms an object": 10 * time.Second,
		"a fast one":                     120 * time.Millisecond,
		"one that answers at once":       3 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			var r connector.Rhythm
			early, late := ask(&r, 100, takes)
			if early > 40 || late > takes/4+2*time.Millisecond {
				t.Errorf("the first batch: %d questions too early, the last one %s late", early, late)
			}
			for n := range 20 {
				early, late := ask(&r, 100, takes)
				// A long batch is asked for every two seconds at least, for a reset in between.
				if early > 8 || late > takes/5+2*time.Millisecond {
					t.Errorf("batch %d: %d questions too early, the last one %s late", n, early, late)
				}
			}
		})
	}
}

func TestASinkThatHasBecomeFastIsAskedSoonAgain(t *testing.T) {
	var r connector.Rhythm
	ask(&r, 100, time.Minute) // it was away
	for range 10 {
		ask(&r, 100, 100*time.Millisecond)
	}
	if _, late := ask(&r, 100, 100*time.Millisecond); late > 50*time.Millisecond {
		t.Errorf("asked %s late", late)
	}
}

func TestAQuestionIsNeverMoreThanTwoSecondsAway(t *testing.T) {
	var r connector.Rhythm
	ask(&r, 1, time.Hour)
	for _, since := range []time.Duration{0, time.Second, time.Minute, 24 * time.Hour} {
		if wait := r.Wait(100, since, 3); wait <= 0 || wait > 2*time.Second {
			t.Errorf("after %s: %s", since, wait)
		}
	}
}
