package connector_test

import (
	"slices"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestFilesAreFetchedAsFarAsThereIsRoomForThem(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for name, c := range map[string]struct {
		usage store.Usage
		sizes []int64
		now   int
		waits string
	}{
		"all fit":                      {store.Usage{Free: 50 * gib, Size: 100 * gib}, []int64{100 * mib, 100 * mib, 0}, 3, ""},
		"nothing is wanted":            {store.Usage{Spool: 5 * gib, Free: 0, Size: 100 * gib}, nil, 0, ""},
		"the spool fills up":           {store.Usage{Spool: 900 * mib, Free: 50 * gib, Size: 100 * gib}, []int64{100 * mib, 25 * mib, 10}, 1, "spool_full"},
		"the spool is full":            {store.Usage{Spool: gib, Free: 50 * gib, Size: 100 * gib}, []int64{1}, 0, "spool_full"},
		"of no size that is claimed":   {store.Usage{Spool: gib, Free: 50 * gib, Size: 100 * gib}, []int64{0}, 0, "spool_full"},
		"of a size below nothing":      {store.Usage{Free: 50 * gib, Size: 100 * gib}, []int64{-gib, 2 * gib}, 1, "spool_full"},
		"a single one that is larger":  {store.Usage{Free: 50 * gib, Size: 100 * gib}, []int64{2 * gib, 1}, 1, "spool_full"},
		"the disk is nearly full":      {store.Usage{Free: 512 * mib, Size: 100 * gib}, []int64{1}, 0, "disk_low"},
		"it would be":                  {store.Usage{Free: 600 * mib, Size: 100 * gib}, []int64{50 * mib, 50 * mib}, 1, "disk_low"},
		"a small disk":                 {store.Usage{Free: 100 * mib, Size: 500 * mib}, []int64{40 * mib, 20 * mib}, 1, "disk_low"},
		"the disk before the spool":    {store.Usage{Spool: gib, Free: 1, Size: 100 * gib}, []int64{1}, 0, "disk_low"},
		"a file system without a size": {store.Usage{Free: 50 * gib}, []int64{1}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var wanted []timeline.Attachment
			for i, size := range c.sizes {
				wanted = append(wanted, timeline.Attachment{File: timeline.File{Index: i, Size: size}})
			}
			now, waits, err := connector.Admit(gib, func() (store.Usage, error) { return c.usage, nil }, wanted)
			if err != nil || len(now) != c.now || waits != c.waits {
				t.Errorf("%d now, waits %q, %v", len(now), waits, err)
			}
			for i, a := range now {
				if a.File.Index != i {
					t.Errorf("not from the first on: %v", slices.Collect(slices.Values(now)))
				}
			}
		})
	}
}
