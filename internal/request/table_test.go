package request_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

type scene struct {
	*request.Table
	ctx  context.Context
	path string
	now  time.Time
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{ctx: t.Context(), path: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	file, err := store.Open(s.ctx, store.Config{Path: s.path, Key: []byte("a long key for tests")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := request.Ready(s.ctx, file); !errors.Is(err, request.ErrTables) {
		t.Fatalf("before it was opened: %v", err)
	}
	s.Table = request.New(file, func() time.Time { return s.now })
	if err := errors.Join(s.Open(s.ctx), request.Ready(s.ctx, file)); err != nil {
		t.Fatal(err)
	}
	return s
}

type asks struct {
	Room string `json:"room"`
}

func (s *scene) get(t *testing.T, id int64) request.Request {
	t.Helper()
	r, err := s.Get(s.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARequestIsCarriedOutAndToldOf(t *testing.T) {
	s := newScene(t)
	id, err := s.Submit(s.ctx, request.KindBackfill, asks{"!den:example.org"})
	if err != nil {
		t.Fatal(err)
	}
	pending, err := s.Pending(s.ctx, request.KindRequeue, request.KindBackfill)
	if err != nil || len(pending) != 1 {
		t.Fatalf("pending: %v, %v", pending, err)
	}
	var got asks
	if err := request.Into(pending[0].Asks, &got); err != nil || got.Room != "!den:example.org" {
		t.Fatalf("asks %v: %v", got, err)
	}
	if err := errors.Join(s.Show(s.ctx, id, 1), s.Answer(s.ctx, id, "go on")); err != nil {
		t.Fatal(err)
	}
	if r := s.get(t, id); string(r.Shows) != "1" || string(r.Says) != `"go on"` {
		t.Errorf("on the way: %s, %s", r.Shows, r.Says)
	}
	if err := s.Finish(s.ctx, id, map[string]int{"events": 7}); err != nil {
		t.Fatal(err)
	}
	want := request.Request{
		ID: id, Kind: request.KindBackfill, State: request.Done, Shows: json.RawMessage(`{"events":7}`), Made: s.now, Ended: s.now,
	}
	if diff := cmp.Diff(want, s.get(t, id)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyTheKindsThatAreAskedForAreGivenInOrder(t *testing.T) {
	s := newScene(t)
	for _, k := range []request.Kind{request.KindVerify, request.KindRequeue, request.KindKeys, request.KindRequeue} {
		if _, err := s.Submit(s.ctx, k, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []struct {
		kinds []request.Kind
		want  []int64
	}{{nil, []int64{1, 2, 3, 4}}, {[]request.Kind{request.KindRequeue}, []int64{2, 4}}, {[]request.Kind{request.KindBackfill}, nil}} {
		list, err := s.Pending(s.ctx, one.kinds...)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range list {
			got = append(got, r.ID)
		}
		if diff := cmp.Diff(one.want, got); diff != "" {
			t.Errorf("%v: %s", one.kinds, diff)
		}
	}
}

func TestAnEndedRequestStaysAsItIs(t *testing.T) {
	s := newScene(t)
	id, err := s.Submit(s.ctx, request.KindKeys, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Fail(s.ctx, id, request.Failure{Error: "no such room", Hint: "name another"}); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"finish": s.Finish(s.ctx, id, 1), "fail": s.Fail(s.ctx, id, request.Failure{}), "withdraw": s.Withdraw(s.ctx, id),
		"show": s.Show(s.ctx, id, 1), "answer": s.Answer(s.ctx, id, 1), "touch": s.Touch(s.ctx, id),
	} {
		if !errors.Is(err, request.ErrEnded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := s.get(t, id)
	if r.State != request.Failed || r.Asks != nil || r.Failure() != (request.Failure{Error: "no such room", Hint: "name another"}) {
		t.Errorf("it has changed: %+v", r)
	}
	if err := s.Withdraw(s.ctx, id+1); !errors.Is(err, request.ErrUnknown) {
		t.Errorf("of none: %v", err)
	}
}

func TestAnInteractiveRequestLastsWhileSomebodyTouchesIt(t *testing.T) {
	s := newScene(t)
	left, err := s.SubmitInteractive(s.ctx, request.KindVerify, nil)
	if err != nil {
		t.Fatal(err)
	}
	stays, err := s.Submit(s.ctx, request.KindRequeue, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.now = s.now.Add(request.Forsaken)
		if err := s.Touch(s.ctx, left); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Pending(s.ctx); err != nil || len(list) != 2 {
			t.Fatalf("pending %v: %v", list, err)
		}
	}
	s.now = s.now.Add(request.Forsaken + time.Millisecond)
	list, err := s.Pending(s.ctx)
	if err != nil || len(list) != 1 || list[0].ID != stays {
		t.Fatalf("pending %v: %v", list, err)
	}
	if r := s.get(t, left); r.State != request.Withdrawn {
		t.Errorf("the forsaken one is %s", r.State)
	}
}

func TestEndedRequestsGoAfterAWeek(t *testing.T) {
	s := newScene(t)
	for range 2 {
		if _, err := s.Submit(s.ctx, request.KindRequeue, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Finish(s.ctx, 1, nil); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(8 * 24 * time.Hour)
	if err := s.Open(s.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(s.ctx, 1); !errors.Is(err, request.ErrUnknown) {
		t.Errorf("the ended one: %v", err)
	}
	if r := s.get(t, 2); r.State != request.Open {
		t.Errorf("the open one is %s", r.State)
	}
	if id, err := s.Submit(s.ctx, request.KindRequeue, nil); err != nil || id != 3 {
		t.Errorf("the next is %d: %v", id, err)
	}
}

func TestWhatIsAskedIsSealedOnDisk(t *testing.T) {
	s := newScene(t)
	id, err := s.Submit(s.ctx, request.KindKeys, "canary-asks")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Show(s.ctx, id, "canary-shows"), s.Answer(s.ctx, id, "canary-says")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.path, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("canary")) {
			t.Errorf("%s holds what is asked in the clear", filepath.Base(name))
		}
	}
}
