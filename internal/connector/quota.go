package connector

import (
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Why files are not fetched for now (closed set). Text is not held up by either.
const (
	waitSpool = "spool_full" // what was fetched and is not delivered yet takes its quota
	waitDisk  = "disk_low"   // the space that is left is for what was said
)

// diskReserve is what is left free on the file system of the store for text, keys and the
// write-ahead log; on a small one a tenth of it.
const diskReserve = 512 << 20

func reserveOf(u store.Usage) int64 {
	if u.Size <= 0 {
		return diskReserve
	}
	return min(diskReserve, u.Size/10)
}

// quota bounds what files on their way take on the disk.
type quota struct {
	most  int64 // bytes in the spool
	usage func() (store.Usage, error)
}

// admit gives those of the wanted files, from the first on, that may be fetched now, and why
// the next one waits; empty: none does. What a message claims of a size is a claim: the quota
// may be exceeded by the files that are being fetched, and by a single one that is larger.
func (q quota) admit(wanted []timeline.Attachment) (now []timeline.Attachment, waits string, err error) {
	u, err := q.usage()
	if err != nil {
		return nil, "", fmt.Errorf("look for room for attachments: %w", err)
	}
	spool, free := q.most-u.Spool, u.Free-reserveOf(u)
	for i, a := range wanted {
		size := max(a.File.Size, 0)
		switch {
		case free <= 0 || size > free:
			return wanted[:i], waitDisk, nil
		case (u.Spool > 0 || i > 0) && (spool <= 0 || size > spool):
			return wanted[:i], waitSpool, nil
		}
		spool -= size
		free -= size
	}
	return wanted, "", nil
}
