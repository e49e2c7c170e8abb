package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestASampleIsTheNewestPostsOldestFirst(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "one"), message(2, bob, "two"))
	d.deliver()
	d.record(timeline.Batch{Events: history(message(9, alice, "read late and said last"))})
	d.news(message(3, alice, "three"))
	rows := func() string {
		return d.column("SELECT group_concat(state || revision || due_at) FROM ledger_post")
	}
	before := rows()
	for limit, want := range map[int][]string{
		1: {"read late and said last"}, 3: {"two", "three", "read late and said last"}, 10: {"one", "two", "three", "read late and said last"},
	} {
		drafts, err := d.Sample(t.Context(), room, limit)
		d.ok(err)
		if diff := cmp.Diff(want, texts(drafts)); diff != "" {
			t.Errorf("the newest %d (-want +got):\n%s", limit, diff)
		}
	}
	if after := rows(); after != before {
		t.Errorf("sampling changed posts from %s to %s", before, after)
	}
	if _, err := d.Sample(t.Context(), "!nowhere:x", 1); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("a room that was never seen gives %v", err)
	}
}

func TestASampleOfASkippedRoomIsWhatWouldBeSaid(t *testing.T) {
	d := open(t, quiet)
	batch := quietBatch()
	batch.Events = append(batch.Events, edit(4, bob, "put into her mouth", eventID(1)), message(5, "@bot:example.org", "its own"))
	d.record(batch)
	drafts, err := d.Sample(t.Context(), room, 10)
	d.ok(err)
	if diff := cmp.Diff([]string{"one", "two"}, texts(drafts)); diff != "" {
		t.Fatalf("sample (-want +got):\n%s", diff)
	}
	if got := drafts[0]; got.Author.User != alice || got.Author.Key != string(alice) || got.Room.Room.ID != room || got.Room.Key != string(room) {
		t.Errorf("the first is by %+v in %+v", got.Author, got.Room)
	}
	if got := d.column("SELECT count(*) FROM ledger_post"); got != "0" {
		t.Errorf("sampling made %s posts", got)
	}

	// What was said before the rule came stands beside what was said since.
	d.restart(loud)
	d.deliver()
	d.restart(quiet)
	d.news(message(7, bob, "since then"))
	drafts, err = d.Sample(t.Context(), room, 2)
	d.ok(err)
	if diff := cmp.Diff([]string{"two", "since then"}, texts(drafts)); diff != "" {
		t.Errorf("sample (-want +got):\n%s", diff)
	}
}
