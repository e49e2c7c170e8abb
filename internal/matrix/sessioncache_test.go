package matrix_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

func TestTheSessionThatWasUsedLongestAgoGoesFirst(t *testing.T) {
	var cache matrix.SessionCache
	name := func(i int) id.SessionID { return id.SessionID(strconv.Itoa(i)) }
	for i := range matrix.MaxSessions {
		cache.Keep("!den", name(i), &crypto.InboundGroupSession{MaxMessages: i})
	}
	if s := cache.Get("!den", name(0)); s == nil || s.MaxMessages != 0 {
		t.Fatalf("session 0 = %+v", s)
	}
	cache.Keep("!den", "one more", &crypto.InboundGroupSession{})
	if cache.Get("!den", name(1)) != nil {
		t.Error("session 1 is kept beyond the bound")
	}
	if cache.Get("!den", name(0)) == nil || cache.Get("!den", "one more") == nil {
		t.Error("a session that was just used is gone")
	}
	if cache.Get("!elsewhere", name(0)) != nil {
		t.Error("a session is given to another room")
	}
}

// The kept session has moved on when the transaction fails; the next attempt must read
// the same messages all the same.
func TestMessagesOfATransactionThatFailedAreReadAgain(t *testing.T) {
	d := newDen(t)
	d.say(d.alice, d.room, "one")
	d.catchUp(d.account)
	d.say(d.alice, d.room, "two")
	d.diary.failNext()
	if _, err := d.account.Poll(t.Context()); err == nil {
		t.Fatal("a sync whose journal fails succeeds")
	}
	d.say(d.alice, d.room, "three")
	d.catchUp(d.account)
	if diff := cmp.Diff([]string{"one", "two", "three"}, d.said()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
