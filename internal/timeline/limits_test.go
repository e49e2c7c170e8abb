package timeline_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestClampTime(t *testing.T) {
	for _, test := range []struct {
		name string
		ms   int64
		want string
	}{
		{"an ordinary time keeps its milliseconds", 1704164645123, "2024-01-02T03:04:05.123Z"},
		{"zero is the epoch", 0, "1970-01-01T00:00:00.000Z"},
		{"a time before the epoch becomes the epoch", -1, "1970-01-01T00:00:00.000Z"},
		{"the smallest int64 becomes the epoch", math.MinInt64, "1970-01-01T00:00:00.000Z"},
		{"the last millisecond of year 9999 stays", 253402300799999, "9999-12-31T23:59:59.999Z"},
		{"year 10000 becomes the end of year 9999", 253402300800000, "9999-12-31T23:59:59.999Z"},
		{"the largest int64 becomes the end of year 9999", math.MaxInt64, "9999-12-31T23:59:59.999Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := timeline.ClampTime(test.ms)
			if text := got.Format("2006-01-02T15:04:05.000Z07:00"); text != test.want {
				t.Errorf("ClampTime(%d) = %s, want %s", test.ms, text, test.want)
			}
			if got.Location() != time.UTC {
				t.Errorf("ClampTime(%d) is in %s, want UTC", test.ms, got.Location())
			}
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("ClampTime(%d) is no JSON time: %v", test.ms, err)
			}
		})
	}
}
