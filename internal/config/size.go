package config

import (
	"math"
	"strconv"
	"strings"
)

// Bytes is a size.
type Bytes int64

// units of a size, by what may stand behind the number, in lower case.
var units = map[string]int64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}

// UnmarshalText takes a whole number of bytes or of a unit: 52428800, 50MiB, 50 MB.
func (b *Bytes) UnmarshalText(text []byte) error {
	bad := malformed("is no size", "write it like 100MiB, 50MB or 1GiB")
	s := strings.ToLower(string(text))
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	unit, ok := units[strings.TrimSpace(s[digits:])]
	if err != nil || !ok || n > math.MaxInt64/unit {
		return bad
	}
	*b = Bytes(n * unit)
	return nil
}
