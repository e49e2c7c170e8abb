package config

import (
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
	d, ok := parseSpan(t)
	if !ok {
		return malformed("is no start", "write a date like 2026-01-31, a duration like P30D, or none")
	}
	*s = Start{span: d}
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
