package matrix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// room reports whether the day's cap leaves room for a join.
func (v *Invites) room(ctx context.Context) (bool, error) {
	n, err := v.account.joinsSince(ctx, v.account.now().Add(-24*time.Hour))
	if err != nil {
		return false, err
	}
	if n >= v.config.Max && !v.capped {
		v.account.log.WarnContext(ctx, "joins have reached the day's limit", slog.Int("count", n))
	}
	v.capped = n >= v.config.Max
	return !v.capped, nil
}

// join tries one join. again is false when the homeserver wants no more of them
// for now.
func (v *Invites) join(ctx context.Context, p Invitation) (again bool, err error) {
	a := v.account
	err = a.joinRoom(ctx, p.Room)
	if err == nil {
		a.log.InfoContext(ctx, "room joined by invite", slog.String("room_id", string(p.Room)), slog.String("sender", string(p.Senders[0])))
		return true, a.accepted(ctx, p.Room)
	}
	f := Classify(err)
	if ctx.Err() != nil || f.Class == ClassCancelled {
		return false, fmt.Errorf("accept invites: %w", err)
	}
	due := a.now().Add(f.wait(p.Attempts + 1))
	if uErr := a.updateInvite(ctx, p.Room, "attempts=attempts+1, due=$2, class=$3", due.UnixMilli(), f.Class); uErr != nil {
		return false, errors.Join(uErr, err)
	}
	if f.Class == ClassUnauthorized {
		return false, fmt.Errorf("accept invites: %w", err)
	}
	if f.Class != p.Class {
		a.log.WarnContext(ctx, "invited room cannot be joined", slog.String("room_id", string(p.Room)),
			slog.String("class", string(f.Class)), slog.Time("due", due))
	}
	return f.Class != ClassRateLimited, nil
}

// wait is how long a join waits before its next try: refused ones ever longer.
func (f Failure) wait(attempt int) time.Duration {
	if f.Class != ClassPermanent {
		return f.Backoff(attempt)
	}
	d := time.Minute
	for i := 1; i < attempt && d < maxRefusedWait; i++ {
		d *= 2
	}
	return min(d, maxRefusedWait)
}
