package connector_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
)

func TestWhatThePlatformKeepsTellsWhatBecameOfIt(t *testing.T) {
	const since = time.Hour
	for name, tc := range map[string]struct {
		// state that the platform keeps; %s and %d are the store and its commits, of then.
		state string
		lost  bool // the platform holds nothing of what landed
		fresh bool // it was never told anything
		posts map[string]int
		err   error
	}{
		"all is as it was":                                     {state: `{"version":2,"store":"%s","commits":%d,"at":%q}`, posts: map[string]int{"landed": 2}},
		"it was restored from a backup":                        {state: "before", posts: map[string]int{"landed": 1, "due": 1}},
		"it has forgotten the connector":                       {posts: map[string]int{"landed": 2}},
		"another connector has used the id":                    {state: `{"last_run":1}`, posts: map[string]int{"landed": 2}},
		"it has forgotten the connector and all that it said":  {lost: true, posts: map[string]int{"landed": 2}, err: &connector.OtherPlatformError{URL: "http://octi", Sought: 4}},
		"another store has used the id, and all else is gone":  {state: `{"version":2,"store":"x","commits":99}`, lost: true, posts: map[string]int{"landed": 2}, err: &connector.OtherPlatformError{URL: "http://octi", Sought: 4}},
		"it was never told anything, and does not know a word": {lost: true, fresh: true, posts: map[string]int{"landed": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.says("one")
			s.delivers()
			s.waits(since) // longer than what is sent again beyond need
			platform := &keeps{}
			ping := connector.NewPinger(s.ledger, platform)
			if err := ping.Ping(s.ctx); err != nil {
				t.Fatal(err)
			}
			before, err := s.ledger.Mark(s.ctx)
			if err != nil {
				t.Fatal(err)
			}
			at := s.now()
			s.waits(since)
			second := s.says("two")
			s.delivers()
			if !tc.fresh {
				err = ping.Ping(s.ctx)
			} else {
				err = s.ledger.Tell(s.ctx, 0)
			}
			here, failed := s.ledger.Mark(s.ctx)
			if err := errors.Join(err, failed); err != nil {
				t.Fatal(err)
			}
			state := []byte(tc.state)
			switch {
			case tc.state == "before":
				state = fmt.Appendf(nil, `{"version":2,"store":%q,"commits":%d,"at":%q}`, before.Store, before.Commits, at.Format(time.RFC3339))
				delete(s.sink.objects, mapping.MessageID(second))
			case name == "all is as it was":
				state = fmt.Appendf(nil, tc.state, here.Store, here.Commits, s.now().Format(time.RFC3339))
			}
			if tc.lost {
				clear(s.sink.objects)
			}
			judge := connector.NewJudge(s.ledger, s.store, s.sink, s.mapper)
			for range 2 { // looked at again, it is the same
				err := judge.Look(s.ctx, state)
				var want any
				if tc.err != nil {
					want = tc.err
					if connector.Hint(err) == "" {
						t.Error("nobody is told what to do")
					}
				}
				var got any
				if err != nil {
					got = err
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(diff)
				}
			}
			if diff := cmp.Diff(tc.posts, s.posts()); diff != "" {
				t.Error(diff)
			}
			if tc.state != "before" {
				return
			}
			s.delivers()
			if diff := cmp.Diff(map[string]int{"landed": 2}, s.posts()); diff != "" || s.sink.objects[mapping.MessageID(second)] == nil {
				t.Errorf("what the backup did not have is not there: %s", diff)
			}
		})
	}
}
