package soak_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is what became of each death. It may be used by several goroutines.
type report struct {
	mu   sync.Mutex
	took map[moment]time.Duration // of the recovery; negative: it did not die
}

func newReport() *report { return &report{took: map[moment]time.Duration{}} }

func (r *report) add(m moment, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took[m] = took
}

func (r *report) died() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.took {
		if d >= 0 {
			n++
		}
	}
	return n
}

// String is a table, part by part, and the places one by one.
func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	type row struct {
		deaths, missed int
		longest        time.Duration
	}
	parts := map[string]row{}
	var b strings.Builder
	for _, m := range slices.SortedFunc(maps.Keys(r.took), compareMoments) {
		took := r.took[m]
		part, _, _ := strings.Cut(m.place, ":")
		p := parts[part]
		if took < 0 {
			p.missed++
			fmt.Fprintf(&b, "%-90s not passed\n", m)
		} else {
			p.deaths++
			p.longest = max(p.longest, took)
			fmt.Fprintf(&b, "%-90s %5.1f s\n", m, took.Seconds())
		}
		parts[part] = p
	}
	fmt.Fprintf(&b, "%-12s %7s %11s %17s\n", "part", "deaths", "not passed", "longest recovery")
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		p := parts[part]
		fmt.Fprintf(&b, "%-12s %7d %11d %15.1f s\n", part, p.deaths, p.missed, p.longest.Seconds())
	}
	return b.String()
}
