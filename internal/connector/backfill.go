package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// BackfillAsked is what a request of history asks for.
type BackfillAsked struct {
	// Rooms are chosen by id, alias or pattern; none: all rooms that are imported and that
	// the bot is in.
	Rooms []string `json:"rooms,omitempty"`
	// Since is how far back, as in MATRIX_IMPORT_START_DATE, seen from when the request
	// was made; empty: each room's own start date.
	Since string `json:"since,omitempty"`
}

// AskToBackfill is what a person typed. Its error is a [*BackfillError].
func AskToBackfill(rooms []string, since string) (BackfillAsked, error) {
	asked := BackfillAsked{Rooms: slices.Compact(slices.Sorted(slices.Values(rooms))), Since: since}
	_, err := asked.start(time.Time{})
	return asked, err
}

// start is where the walk ends; nil: at each room's own start date.
func (a BackfillAsked) start(made time.Time) (*time.Time, error) {
	if a.Since == "" {
		return nil, nil
	}
	var s config.Start
	if err := s.UnmarshalText([]byte(a.Since)); err != nil {
		return nil, &BackfillError{What: "--since is no date and no duration", Cure: "write a date like 2026-01-31 or a duration like P90D"}
	}
	since, history := s.Since(made)
	if !history {
		return nil, &BackfillError{What: "--since is none", Cure: "write a date like 2026-01-31 or a duration like P90D"}
	}
	return &since, nil
}

// BackfillError is a request of history that cannot be carried out.
type BackfillError struct{ What, Cure string }

// Error says why not.
func (e *BackfillError) Error() string { return e.What }

// Hint says what a person can do.
func (e *BackfillError) Hint() string { return e.Cure }

// BackfillShown is how far a request of history is, and in the end what came of it.
type BackfillShown struct {
	Rooms int `json:"rooms"` // that are read
	Ended int `json:"ended"` // of them, those that are done with
	Read  int `json:"read"`  // events
	New   int `json:"new"`   // of them, those that were not known, or only as too old
	// Share is how much of the time between now and the start date has been read, from 0
	// to 1, over all rooms; nil where a room has no start date.
	Share *float64 `json:"share,omitempty"`
	// Waits is the class of the failure that holds up what is not read yet; empty: none.
	Waits   string        `json:"waits,omitempty"`
	Refused []RefusedRoom `json:"refused,omitempty"`
}

// RefusedRoom is a room whose history is not read, or not to its end.
type RefusedRoom struct {
	Room   id.RoomID `json:"room_id"`
	Reason string    `json:"reason"` // of a small closed set
}

// Reasons of refused rooms that no homeserver gave.
const (
	refusedNoHistory = "no_history_wanted" // its start date is none
	refusedNotJoined = "not_joined"
)

// backfiller carries requests of history out. The pages are read by the filler.
type backfiller struct {
	ledger *ledger.Ledger
	store  *store.Store
	table  *request.Table
	rules  *rules
}

func (c *Connector) backfiller() *backfiller {
	return &backfiller{ledger: c.ledger, store: c.store, table: c.requests, rules: c.rules}
}

// carry opens what is asked for, and tells how far it is.
func (b *backfiller) carry(ctx context.Context, r request.Request) (more bool, err error) {
	var asked BackfillAsked
	var before BackfillShown
	if err := errors.Join(request.Into(r.Asks, &asked), request.Into(r.Shows, &before)); err != nil {
		return false, err
	}
	if r.Shows == nil {
		return true, b.open(ctx, r, asked)
	}
	walks, err := b.ledger.Backfills(ctx, r.ID)
	if err != nil {
		return false, err
	}
	shown := sum(walks, before)
	if shown.Ended == shown.Rooms {
		return false, b.table.Finish(ctx, r.ID, shown)
	}
	if text, err := json.Marshal(shown); err != nil || bytes.Equal(text, r.Shows) {
		return false, err
	}
	return false, b.table.Show(ctx, r.ID, shown)
}

// open opens the walks of a request, in one transaction with the first word about it.
func (b *backfiller) open(ctx context.Context, r request.Request, asked BackfillAsked) error {
	since, err := asked.start(r.Made)
	if err != nil {
		return err
	}
	return b.store.Do(ctx, func(ctx context.Context) error {
		rooms, named, err := b.choose(ctx, asked.Rooms)
		if err != nil {
			return err
		}
		bounds := map[id.RoomID]time.Time{}
		var shown BackfillShown
		refuse := func(room timeline.Room, reason string) {
			if named || reason == refusedNoHistory {
				shown.Refused = append(shown.Refused, RefusedRoom{Room: room.ID, Reason: reason})
			}
		}
		for _, room := range rooms {
			start, history := b.rules.startOf(room)
			switch skip := b.rules.skipRoom(room); {
			case skip != "":
				refuse(room, skip)
			case room.Membership != timeline.MembershipJoin && !named:
				refuse(room, refusedNotJoined)
			case since != nil:
				bounds[room.ID] = *since
			case !history:
				refuse(room, refusedNoHistory)
			default:
				bounds[room.ID] = start
			}
		}
		if len(bounds) == 0 && len(shown.Refused) == 0 {
			return &BackfillError{What: "the bot is in no room that is imported", Cure: "matrix-connector rooms shows the rooms, and why one is not imported"}
		}
		shown.Rooms = len(bounds)
		if err := b.ledger.OpenBackfill(ctx, r.ID, bounds); err != nil {
			return err
		}
		return b.table.Show(ctx, r.ID, shown)
	})
}

// choose gives the rooms that texts name, all where there are none. named is set where
// somebody named them.
func (b *backfiller) choose(ctx context.Context, texts []string) (rooms []timeline.Room, named bool, err error) {
	states, err := b.ledger.Rooms(ctx)
	if err != nil {
		return nil, false, err
	}
	taken := map[id.RoomID]bool{}
	for _, text := range texts {
		only := matrix.RoomPatterns{Only: patterns([]string{text})}
		found := false
		for _, s := range states {
			if only.Allows(s.Room.ID, s.Room.Alias) {
				found = true
				taken[s.Room.ID] = true
			}
		}
		if !found {
			return nil, true, &BackfillError{What: fmt.Sprintf("the bot knows no room %q", text), Cure: "matrix-connector rooms shows the rooms that it knows"}
		}
	}
	for _, s := range states {
		if len(texts) == 0 || taken[s.Room.ID] {
			rooms = append(rooms, s.Room)
		}
	}
	return rooms, len(texts) > 0, nil
}

// sum adds the walks of a request up.
func sum(walks []ledger.Backfill, before BackfillShown) BackfillShown {
	shown := BackfillShown{Rooms: len(walks)}
	for _, r := range before.Refused { // those that were refused at the beginning
		if !slices.ContainsFunc(walks, func(w ledger.Backfill) bool { return w.Room == r.Room }) {
			shown.Refused = append(shown.Refused, r)
		}
	}
	share, waiting := 0.0, 0
	bounded := true
	for _, w := range walks {
		shown.Read += w.Seen
		shown.New += w.Fresh
		switch {
		case w.State == "lost":
			shown.Refused = append(shown.Refused, RefusedRoom{Room: w.Room, Reason: w.Reason})
		case w.State == "open" && w.Skip != "":
			shown.Refused = append(shown.Refused, RefusedRoom{Room: w.Room, Reason: w.Skip})
		case w.State == "open":
			if w.Reason != "" {
				waiting++
				shown.Waits = w.Reason
			}
			bounded = bounded && !w.Since.IsZero()
			share += reached(w)
			continue
		}
		shown.Ended++
		share++
	}
	if waiting < shown.Rooms-shown.Ended {
		shown.Waits = "" // the others go on
	}
	if bounded && shown.Rooms > 0 {
		share /= float64(shown.Rooms)
		shown.Share = &share
	}
	return shown
}

// reached is how much of its time a walk has been through.
func reached(w ledger.Backfill) float64 {
	whole, done := w.Opened.Sub(w.Since), w.Opened.Sub(w.Reached)
	if w.Reached.IsZero() || whole <= 0 {
		return 0
	}
	return min(max(float64(done)/float64(whole), 0), 1)
}

// sweep ends the walks of requests that are not open any more.
func (b *backfiller) sweep(ctx context.Context, open []request.Request) error {
	wanted := []int64{}
	for _, r := range open {
		if r.Kind == request.KindBackfill {
			wanted = append(wanted, r.ID)
		}
	}
	return b.ledger.WithdrawBackfills(ctx, wanted)
}

// begin ends them before anything is read.
func (b *backfiller) begin(ctx context.Context) error {
	pending, err := b.table.Pending(ctx, request.KindBackfill)
	if err != nil {
		return err
	}
	return b.sweep(ctx, pending)
}
