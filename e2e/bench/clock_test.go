package bench_test

import (
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// pause lets time pass, as it does between messages.
func pause(b *testing.B, d time.Duration) {
	b.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

// talk says something at a steady pace, however long saying it takes.
type talk struct {
	every time.Duration
	say   func(i int) id.EventID

	began time.Time
	said  []id.EventID
}

// next waits until something is to be said and says it. It returns false when done
// was closed before.
func (t *talk) next(done <-chan struct{}) bool {
	if t.began.IsZero() {
		t.began = time.Now()
	}
	timer := time.NewTimer(time.Until(t.began.Add(time.Duration(len(t.said)) * t.every)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
		return false
	}
	t.said = append(t.said, t.say(len(t.said)))
	return true
}

// quantile is the time within which so many per cent stay, in milliseconds; 0 for
// none.
func quantile(took []time.Duration, percent int) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[min(len(took)-1, len(took)*percent/100)].Microseconds()) / 1000
}
