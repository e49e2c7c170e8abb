package ledger

import (
	"context"
	"fmt"
)

// Sink gives the name of the sink that landed rows have landed in; empty before
// [Ledger.SetSink].
func (l *Ledger) Sink(ctx context.Context) (string, error) {
	var name string
	if err := l.queryRow(ctx, "SELECT sink FROM ledger_state").Scan(&name); err != nil {
		return "", fmt.Errorf("read sink: %w", err)
	}
	return name, nil
}

// SetSink notes the sink that rows land in from now on. Where another one was noted
// before, everything is due again, as after a [Ledger.Reset]: "landed" is a word
// about one sink.
func (l *Ledger) SetSink(ctx context.Context, name string) error {
	return l.do(ctx, "set sink", func(ctx context.Context) error {
		before, err := l.Sink(ctx)
		if err != nil || before == name {
			return err
		}
		if _, err := l.exec(ctx, "UPDATE ledger_state SET sink = ?", name); err != nil || before == "" {
			return err
		}
		return l.Reset(ctx)
	})
}
