package check

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// How far clocks may be apart: beyond the first, times in OpenCTI look odd; beyond
// the second, certificates and logins begin to fail.
const (
	clockOdd   = 30 * time.Second
	clockWrong = 5 * time.Minute
)

// dates compares this machine's clock with the Date of HTTP answers (RFC 9110
// §6.6.1). It may be used by several goroutines.
type dates struct {
	now func() time.Time

	mu   sync.Mutex
	seen []offset
}

// offset is how far a peer's clock is ahead of ours.
type offset struct {
	peer  string
	ahead time.Duration
}

// watch lets the answers of a peer through.
func (d *dates) watch(peer string, base http.RoundTripper) http.RoundTripper {
	return &dated{RoundTripper: base, peer: peer, dates: d}
}

type dated struct {
	http.RoundTripper

	peer  string
	dates *dates
}

// RoundTrip notes what time it is at the peer.
func (t *dated) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := t.dates.now()
	res, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return res, err
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		answered := t.dates.now()
		// The header has whole seconds, cut off; the answer was made between the two.
		middle := asked.Add(answered.Sub(asked) / 2).Add(-500 * time.Millisecond)
		t.dates.note(offset{peer: t.peer, ahead: date.Sub(middle)})
	}
	return res, nil
}

// CloseIdleConnections closes what the base keeps open.
func (t *dated) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// note keeps the smallest offset of each peer: caches and slow answers only add.
func (d *dates) note(o offset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.IndexFunc(d.seen, func(s offset) bool { return s.peer == o.peer })
	switch {
	case at < 0:
		d.seen = append(d.seen, o)
	case o.ahead.Abs() < d.seen[at].ahead.Abs():
		d.seen[at] = o
	}
}

// line judges the clocks.
func (d *dates) line() Line {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seen) == 0 {
		return skipped(Clock, "because neither homeserver nor platform answered")
	}
	slices.SortFunc(d.seen, func(a, b offset) int { return cmp.Compare(a.peer, b.peer) })
	worst := time.Duration(0)
	var says []string
	l := Line{Name: Clock, State: OK}
	off := 0
	for _, o := range d.seen {
		l = l.with(o.peer+"_ahead_seconds", int(o.ahead.Round(time.Second)/time.Second))
		worst = max(worst, o.ahead.Abs())
		if o.ahead.Abs() > clockOdd {
			off++
			says = append(says, fmt.Sprintf("%s %s the %s", rounded(o.ahead), direction(o.ahead), o.peer))
		}
	}
	if off == 0 {
		l.Says = "within " + rounded(max(worst, time.Second)) + " of " + peers(d.seen)
		return l
	}
	l.State = Warning
	if worst > clockWrong {
		l.State = Failed
	}
	l.Says = "this machine's clock is " + strings.Join(says, ", and ")
	l.Hint = "set this machine's clock, and keep it with NTP (timedatectl set-ntp true)"
	if off < len(d.seen) {
		l.Hint = "the other one agrees with this machine: have the clock of the " + lone(d.seen) + " set"
	}
	return l
}

func direction(ahead time.Duration) string {
	if ahead > 0 {
		return "behind"
	}
	return "ahead of"
}

func lone(seen []offset) string {
	for _, o := range seen {
		if o.ahead.Abs() > clockOdd {
			return o.peer
		}
	}
	return ""
}

func peers(seen []offset) string {
	names := make([]string, len(seen))
	for i, o := range seen {
		names[i] = "the " + o.peer
	}
	return strings.Join(names, " and ")
}
