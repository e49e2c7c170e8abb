package connector

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
)

// trimmer drops content from the store that landed longer ago than it is to be kept
// (MATRIX_CONTENT_RETENTION). It works in small transactions while others are quiet.
type trimmer struct {
	ledger *ledger.Ledger
	log    *slog.Logger
	now    func() time.Time
	keep   time.Duration

	place  ledger.TrimPlace // where the pass goes on
	posts  int              // of the pass, so far
	events int
	next   time.Time // when the next pass begins
}

const (
	trimPosts = 500              // in one transaction: about 30 ms
	trimEvery = 10 * time.Minute // from the end of a pass to the next
	// trimQuiet is how long nothing must have happened before a turn, trimWait how long
	// is waited for that at most: a store that is never quiet is trimmed all the same.
	trimQuiet = 100 * time.Millisecond
	trimWait  = time.Second
)

func (t *trimmer) turn(ctx context.Context) (more bool, err error) {
	now := t.now()
	if now.Before(t.next) {
		return false, nil
	}
	t.awaitQuiet(ctx)
	done, err := t.ledger.Trim(ctx, now.Add(-t.keep), t.place, trimPosts)
	if err != nil {
		return false, fmt.Errorf("trim content: %w", err)
	}
	t.posts, t.events, t.place = t.posts+done.Posts, t.events+done.Events, done.Next
	if !done.Done() {
		return true, nil
	}
	if t.events > 0 {
		t.log.InfoContext(ctx, "content of landed posts dropped", slog.Int("posts", t.posts), slog.Int("events", t.events))
	}
	t.posts, t.events, t.next = 0, 0, now.Add(trimEvery)
	return false, nil
}

// awaitQuiet waits until the ledger has not changed for a moment.
func (t *trimmer) awaitQuiet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, trimWait)
	defer cancel()
	for ctx.Err() == nil {
		quiet := time.NewTimer(trimQuiet)
		select {
		case <-quiet.C:
			return
		case <-t.ledger.Changed():
			quiet.Stop()
			pause(ctx, trimQuiet, nil)
		case <-ctx.Done():
			quiet.Stop()
		}
	}
}
