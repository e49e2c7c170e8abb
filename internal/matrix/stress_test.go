package matrix_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// The crypto state has one owner: pages and retries run beside the sync loop, and
// every third transaction is rolled back, also in the middle of a new session.
func TestPagesAndRetriesBesideASyncThatIsRolledBack(t *testing.T) {
	d := newDen(t)
	const messages = 40
	var recorded atomic.Int64
	d.diary.watch(func(timeline.Batch) error {
		if recorded.Add(1)%3 == 0 {
			return errDiary
		}
		return nil
	})
	var want []string
	for i := range messages {
		text := fmt.Sprintf("message %02d", i)
		want = append(want, text)
		d.say(d.alice, d.room, text)
		if i%5 == 4 {
			if err := d.alice.Rotate(t.Context(), d.room); err != nil {
				t.Fatal(err)
			}
		}
		var beside sync.WaitGroup
		for _, step := range []func() error{
			func() error { _, err := d.account.Poll(t.Context()); return err },
			func() error { _, err := d.account.RetryPage(t.Context(), 5); return err },
			func() error {
				_, err := d.account.Fill(t.Context(), timeline.Gap{Room: d.room, Kind: timeline.GapHistory})
				return err
			},
		} {
			beside.Go(func() {
				if err := step(); err != nil && !errors.Is(err, errDiary) {
					t.Error(err)
				}
			})
		}
		beside.Wait()
	}
	d.diary.watch(nil)
	d.catchUp(d.account)
	for range 20 {
		n, err := d.account.RetryPage(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	got := d.said()
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if n := d.count("SELECT count(*) FROM matrix_failed_olm"); n != 0 {
		t.Errorf("%d Olm messages did not decrypt", n)
	}
}

func TestTheDebugLogTellsOfRequestsAndHoldsNoSecrets(t *testing.T) {
	d := newDen(t)
	account := d.reopen(t, func(c *matrix.Config) { c.Debug = true })
	d.say(d.alice, d.room, "canary in the message")
	d.catchUp(account)
	if err := d.account.Close(); err != nil {
		t.Fatal(err)
	}
	log := d.log.String()
	for _, want := range []string{"msg=request", "method=GET", "path=/_matrix/client/v3/sync", "status=200", "duration="} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not hold %q", want)
		}
	}
	for _, secret := range []string{"canary", botPassword, "syt_", "since=", "filter=", "Bearer"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
