package stix

import "time"

// timeLayout has exactly three digits of a second: the form that OpenCTI hashes
// and that its schema takes.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Timestamp writes a time as STIX does (STIX 2.1 §2.16), in UTC, cut to
// milliseconds. The year must be between 1 and 9999.
func Timestamp(t time.Time) string { return t.UTC().Format(timeLayout) }
