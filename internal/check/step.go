package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// step is one question.
type step struct {
	name string
	// needs are the steps without which this one makes no sense: it is skipped when
	// one of them failed or was skipped.
	needs []string
	ask   func(context.Context) Line
	// grace is how long its answer is waited for beyond its time: something is to be
	// undone.
	grace time.Duration
	// hang is what to do when there is none.
	hang string
}

// asker asks questions and does not wait for ever.
type asker struct{ each time.Duration }

// ask gives the answer, or says that there is none: a question that hangs where no
// context reaches, on a file system that is away, is left behind.
func (a asker) ask(ctx context.Context, s step) (l Line, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, a.each)
	defer cancel()
	answer := make(chan Line, 1)
	go func() { answer <- s.ask(ctx) }()
	select {
	case l := <-answer:
		return l, true
	case <-ctx.Done():
	}
	late := time.NewTimer(time.Second + s.grace)
	defer late.Stop()
	select {
	case l := <-answer:
		return l, true
	case <-late.C:
		return failed(s.name, fmt.Sprintf("no answer within %s", a.each), cmp.Or(s.hang, "try again")), false
	}
}

// start asks one question after the other. before is what was asked already.
func (a asker) start(ctx context.Context, before Line, steps []step) <-chan Line {
	lines := make(chan Line, len(steps))
	go func() {
		defer close(lines)
		states := map[string]State{before.Name: before.State}
		for _, s := range steps {
			var l Line
			missing := slices.IndexFunc(s.needs, func(name string) bool { return states[name] == Failed || states[name] == Skipped })
			switch {
			case missing >= 0 && states[s.needs[missing]] == Failed:
				l = skipped(s.name, "because "+s.needs[missing]+" failed")
			case missing >= 0:
				l = skipped(s.name, "because "+s.needs[missing]+" could not be looked at")
			default:
				l, _ = a.ask(ctx, s)
			}
			states[s.name] = l.State
			lines <- l
		}
	}()
	return lines
}
