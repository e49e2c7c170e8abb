package ledger

import "time"

// MaxLapses is how often in a row a sent row may lapse before it is
// dead("unconfirmed").
const MaxLapses = 5

// curve is the retry curve: how long a row waits after its first, second, … failure
// in a row. The last value repeats for ever: what may succeed is never given up.
// Rows that failed together come back together, as one batch; so there is no jitter.
var curve = [...]time.Duration{
	2 * time.Second,
	10 * time.Second,
	time.Minute,
	5 * time.Minute,
	15 * time.Minute,
	time.Hour,
}

// Delay is how long a row waits after so many failures in a row:
//
//	1: 2 s   2: 10 s   3: 1 min   4: 5 min   5: 15 min   more: 1 h
func Delay(failures int) time.Duration {
	return curve[max(0, min(failures, len(curve))-1)]
}
