package main

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// stage plays a story outside of a test.
type stage struct {
	ctx  context.Context // handed out, as testing.TB does
	undo []func()
}

// stopped is what ends a story; main's goroutine alone plays one.
type stopped struct{ error }

func newStage(ctx context.Context) *stage { return &stage{ctx: ctx} }

// Helper implements people.Stage.
func (s *stage) Helper() {}

// Context implements people.Stage.
func (s *stage) Context() context.Context { return s.ctx }

// Cleanup implements people.Stage.
func (s *stage) Cleanup(f func()) { s.undo = append(s.undo, f) }

// Fatalf implements people.Stage: it unwinds to recover.
func (s *stage) Fatalf(format string, args ...any) { panic(stopped{fmt.Errorf(format, args...)}) }

// TempDir implements people.Stage.
func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "matrix-connector-demo")
	if err != nil {
		s.Fatalf("make a folder: %v", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// recover turns the end of a story into an error; deferred.
func (s *stage) recover(err *error) {
	switch r := recover().(type) {
	case nil:
	case stopped:
		*err = r.error
	default:
		s.clear()
		panic(r)
	}
}

// clear undoes everything, the last first.
func (s *stage) clear() {
	for _, undo := range slices.Backward(s.undo) {
		undo()
	}
	s.undo = nil
}
