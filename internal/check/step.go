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
		// why says of each step that did not go well why others are skipped.
		why := map[string]string{}
		note := func(l Line) {
			switch l.State {
			case Failed:
				why[l.Name] = "because " + l.Name + " failed"
			case Skipped:
				why[l.Name] = l.Says
			case OK, Warning:
			}
		}
		note(before)
		for _, s := range steps {
			var l Line
			if missing := slices.IndexFunc(s.needs, func(name string) bool { return why[name] != "" }); missing >= 0 {
				l = skipped(s.name, why[s.needs[missing]])
			} else {
				l, _ = a.ask(ctx, s)
			}
			note(l)
			lines <- l
		}
	}()
	return lines
}
