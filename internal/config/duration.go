package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// span is an ISO 8601 duration. Months and years are those of the calendar.
type span struct {
	years, months, days int
	clock               time.Duration
}

var isoDuration = regexp.MustCompile(`^P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?$`)

// parseSpan reads a duration in capitals.
func parseSpan(text string) (*span, bool) {
	m := isoDuration.FindStringSubmatch(text)
	if m == nil || text == "P" || strings.HasSuffix(text, "T") {
		return nil, false
	}
	n := make([]int, len(m))
	for i := range m[1:] {
		n[i+1], _ = strconv.Atoi(m[i+1]) // digits only, few enough for an int
	}
	return &span{
		years: n[1], months: n[2], days: 7*n[3] + n[4],
		clock: time.Duration(n[5])*time.Hour + time.Duration(n[6])*time.Minute + time.Duration(n[7])*time.Second,
	}, true
}

// Retention is how long something is kept. The zero value keeps nothing.
type Retention struct {
	// Duration is of no meaning where Forever is set.
	Duration time.Duration
	Forever  bool
}

// longest is the longest retention that is not for ever: a hundred years fit into a
// time.Duration.
const longest = 100 * 365 * 24 * time.Hour

// UnmarshalText takes an ISO 8601 duration, in which a year has 365 days and a month
// 30, or "none" for ever.
func (r *Retention) UnmarshalText(text []byte) error {
	t := strings.ToUpper(string(text))
	if t == "NONE" {
		*r = Retention{Forever: true}
		return nil
	}
	d, ok := parseSpan(t)
	const day = 24 * time.Hour
	if !ok || 365*d.years+30*d.months+d.days > int(longest/day) {
		return malformed("is no duration", "write a duration like P7D or PT12H, or none to keep for ever")
	}
	*r = Retention{Duration: time.Duration(365*d.years+30*d.months+d.days)*day + d.clock}
	return nil
}
