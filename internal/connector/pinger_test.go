package connector_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// resets answers a ping as a platform does whose reset was asked for: once.
type resets struct {
	asked bool
	then  func() // after the answer
}

func (r *resets) Ping(context.Context, []byte, opencti.PingInfo) (bool, error) {
	asked := r.asked
	r.asked = false
	if r.then != nil {
		r.then()
	}
	return asked, nil
}

func (r *resets) State(context.Context) ([]byte, bool, error) { return nil, r.asked, nil }

func (s *scene) exec(query string) {
	s.t.Helper()
	if _, err := s.store.DB().Exec(s.ctx, query); err != nil {
		s.t.Fatal(err)
	}
}

func TestAResetThatFailsInTheStoreIsCarriedOutByTheNextPing(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.delivers()
	ping := connector.NewPinger(s.ledger, &resets{asked: true})
	s.exec("ALTER TABLE ledger_attachment RENAME TO away")
	if err := ping.Ping(s.ctx); err == nil {
		t.Fatal("a store without its tables was reset")
	}
	s.exec("ALTER TABLE away RENAME TO ledger_attachment")
	for range 2 { // the second one has nothing to do any more
		if err := ping.Ping(s.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int{"due": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
	s.delivers()
	if err := ping.Ping(s.ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
		t.Errorf("reset more than once: %s", diff)
	}
}

func TestAResetThatMeetsTheStopIsCarriedOutBeforeIt(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.delivers()
	ctx, stop := context.WithCancel(s.ctx)
	ping := connector.NewPinger(s.ledger, &resets{asked: true, then: stop})
	if err := ping.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"due": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

// keeps is a platform that keeps the state.
type keeps struct{ state []byte }

func (k *keeps) Ping(_ context.Context, state []byte, _ opencti.PingInfo) (bool, error) {
	k.state = state
	return false, nil
}

func (k *keeps) State(context.Context) ([]byte, bool, error) { return k.state, false, nil }

func TestACopyOfTheStoreIsKnownByTheStateOfItsNewerSelf(t *testing.T) {
	s := newScene(t)
	s.says("one")
	platform := &keeps{}
	ping := connector.NewPinger(s.ledger, platform)
	told := func() (there []byte, here ledger.Mark) {
		t.Helper()
		if err := ping.Ping(s.ctx); err != nil {
			t.Fatal(err)
		}
		here, err := s.ledger.Mark(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return platform.state, here
	}
	first, here := told()
	if here.Told != here.Commits || here.Told == 0 {
		t.Errorf("%+v was told", here)
	}
	s.says("two")
	second, _ := told()
	for name, state := range map[string][]byte{"its own": second, "an older one": first, "none": nil, "another's": []byte(`{"version":2,"store":"x","commits":99}`)} {
		if err := connector.OldStore(s.ctx, s.ledger, "store", state); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.exec("UPDATE ledger_state SET batches = 1") // the copy that was made before
	err := connector.OldStore(s.ctx, s.ledger, "store", second)
	if old, ok := errors.AsType[*connector.OldStoreError](err); !ok || old.Commits != 1 || old.There != 2 || connector.Hint(err) == "" {
		t.Errorf("the copy: %v", err)
	}
}
