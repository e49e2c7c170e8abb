package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Start is the bound of the history that is imported: a moment, a span before
// now, or none. The zero value is the beginning of time.
type Start struct {
	at   time.Time
	span *span
	none bool
}

// span is an ISO 8601 duration. Months and years are those of the calendar.
type span struct {
	years, months, days int
	clock               time.Duration
}

var isoDuration = regexp.MustCompile(`^P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?$`)

// UnmarshalText takes an ISO date (midnight UTC), an RFC 3339 time, an ISO 8601
// duration, or "none".
func (s *Start) UnmarshalText(text []byte) error {
	t := strings.ToUpper(string(text))
	if t == "NONE" {
		*s = Start{none: true}
		return nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, t); err == nil {
			*s = Start{at: at.UTC()}
			return nil
		}
	}
	m := isoDuration.FindStringSubmatch(t)
	if m == nil || t == "P" || strings.HasSuffix(t, "T") {
		return malformed("is no start", "write a date like 2026-01-31, a duration like P30D, or none")
	}
	n := make([]int, len(m))
	for i := range m[1:] {
		n[i+1], _ = strconv.Atoi(m[i+1]) // digits only, few enough for an int
	}
	*s = Start{span: &span{
		years: n[1], months: n[2], days: 7*n[3] + n[4],
		clock: time.Duration(n[5])*time.Hour + time.Duration(n[6])*time.Minute + time.Duration(n[7])*time.Second,
	}}
	return nil
}

// Since is the moment from which on history is imported, seen from now. It reports
// false when no history is wanted.
func (s Start) Since(now time.Time) (time.Time, bool) {
	switch {
	case s.none:
		return time.Time{}, false
	case s.span != nil:
		return now.UTC().AddDate(-s.span.years, -s.span.months, -s.span.days).Add(-s.span.clock), true
	}
	return s.at, true
}
