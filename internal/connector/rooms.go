package connector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// RoomTrial is a room of the bot and what the settings give for it. It is written as
// JSON for programs.
type RoomTrial struct {
	ID         id.RoomID           `json:"room_id"`
	Name       string              `json:"name"`
	Alias      id.RoomAlias        `json:"alias,omitempty"`
	Encrypted  bool                `json:"encrypted"`
	Membership timeline.Membership `json:"membership"`

	Imported bool `json:"imported"`
	// Why the room is not imported: a reason as the ledger has it.
	Why string `json:"why,omitempty"`
	// Rule is the number of the rule in matrix.rooms that holds, from 1; 0 for none.
	Rule   int        `json:"rule"`
	TLP    config.TLP `json:"tlp"`
	Labels []string   `json:"labels"`
	// Since is from when on history is read; nil when none is.
	Since             *time.Time `json:"import_start_date"`
	AttachmentMaxSize int64      `json:"attachment_max_size"`
	AttachmentTypes   []string   `json:"attachment_types"` // none: all

	// Messages are those that the store knows, by what became of them.
	Messages    map[string]int `json:"messages"`
	Undecrypted int            `json:"undecrypted"`
}

// Trial tries settings on what a store holds, without sending or changing anything. It
// works beside a running connector.
type Trial struct {
	store  *store.Store
	ledger *ledger.Ledger
	rules  *rules
	mapper *mapping.Mapper
	user   id.UserID
	now    time.Time
}

// probe looks at the account in the store.
func (t *Trial) probe() *matrix.Probe {
	return matrix.NewProbe(matrix.Config{Store: t.store, UserID: t.user, Now: func() time.Time { return t.now }})
}

// OpenTrial opens the store of the settings for reading. Its error is an
// [*UnseenError] when no connector has worked on it yet.
func OpenTrial(ctx context.Context, s *config.Config, now time.Time) (*Trial, error) {
	seen, err := store.Look(s.Matrix.StorePath)
	if err != nil {
		return nil, fmt.Errorf("look at store: %w", err)
	}
	if !seen.Database {
		return nil, &UnseenError{Path: s.Matrix.StorePath}
	}
	t := &Trial{rules: newRules(s, now), user: s.Matrix.UserID.ID(), now: now}
	t.store, err = store.OpenReadOnly(ctx, store.Config{Path: s.Matrix.StorePath, Key: []byte(s.Matrix.StoreKey.Reveal())})
	if errors.Is(err, store.ErrEmpty) {
		return nil, &UnseenError{Path: s.Matrix.StorePath}
	}
	if err != nil {
		return nil, err
	}
	if err := ledger.Readable(ctx, t.store); err != nil {
		if errors.Is(err, ledger.ErrUnknown) || errors.Is(err, ledger.ErrTables) {
			err = &UnseenError{Path: s.Matrix.StorePath, Older: errors.Is(err, ledger.ErrTables)}
		}
		return nil, errors.Join(err, t.store.Close())
	}
	if t.mapper, err = newMapper(s, t.rules); err != nil {
		return nil, errors.Join(err, t.store.Close())
	}
	t.ledger = t.rules.ledger(ledger.Config{Store: t.store, Clock: func() time.Time { return now }})
	return t, nil
}

// Close closes the store.
func (t *Trial) Close() error { return t.store.Close() }

// UnseenError is a store that this version has not worked on.
type UnseenError struct {
	Path  string
	Older bool // another version has
}

// Error says what the store lacks.
func (e *UnseenError) Error() string {
	if e.Older {
		return fmt.Sprintf("store %s was last used by an older version", e.Path)
	}
	return fmt.Sprintf("store %s knows no rooms yet", e.Path)
}

// Hint says what a person can do.
func (e *UnseenError) Hint() string {
	if e.Older {
		return "start the connector once: it brings the store to this version"
	}
	return "start the connector once, so that the bot logs in and reads its rooms; MATRIX_STORE_PATH says which store is meant"
}

// Rooms lists the rooms of the bot in the order in which it first saw them.
func (t *Trial) Rooms(ctx context.Context) ([]RoomTrial, error) {
	states, err := t.ledger.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	views, _, err := t.ledger.Overview(ctx, math.MaxInt)
	if err != nil {
		return nil, err
	}
	counted := map[id.RoomID]ledger.RoomView{}
	for _, v := range views {
		counted[v.ID] = v
	}
	rooms := make([]RoomTrial, 0, len(states))
	for _, s := range states {
		room := t.rules.trial(s.Room)
		room.Messages, room.Undecrypted = map[string]int{}, counted[s.Room.ID].Undecrypted
		for state, n := range counted[s.Room.ID].Posts {
			room.Messages[string(state)] = n
		}
		rooms = append(rooms, room)
	}
	return rooms, nil
}

// trial is what the settings give for a room.
func (r *rules) trial(room timeline.Room) RoomTrial {
	rule, number := r.rule(room.ID, room.Alias)
	why := r.skipRoom(room)
	trial := RoomTrial{
		ID: room.ID, Name: room.Name, Alias: room.Alias, Encrypted: room.Encrypted, Membership: room.Membership,
		Imported: why == "", Why: why, Rule: number, TLP: r.tlp(room), Labels: append([]string{}, rule.Labels...),
	}
	if start, history := r.startOf(room); history {
		trial.Since = &start
	}
	limit, types := r.files(room)
	trial.AttachmentMaxSize, trial.AttachmentTypes = limit, append([]string{}, types...)
	return trial
}

// Unused are the numbers of the rules that hold for none of the rooms: the bot has not
// seen theirs, earlier rules take them, or they are misspelt.
func (t *Trial) Unused(rooms []RoomTrial) []int {
	var unused []int
	for i := range t.rules.rooms {
		if !slices.ContainsFunc(rooms, func(r RoomTrial) bool { return r.Rule == i+1 }) {
			unused = append(unused, i+1)
		}
	}
	return unused
}

// Find finds the room that a person means: by its id or alias, or by its name where no
// other room has it.
func (t *Trial) Find(ctx context.Context, text string) (RoomTrial, error) {
	rooms, err := t.Rooms(ctx)
	if err != nil {
		return RoomTrial{}, err
	}
	var named []RoomTrial
	for _, room := range rooms {
		if string(room.ID) == text || string(room.Alias) == text {
			return room, nil
		}
		if strings.EqualFold(strings.TrimSpace(room.Name), strings.TrimSpace(text)) {
			named = append(named, room)
		}
	}
	if len(named) == 1 {
		return named[0], nil
	}
	return RoomTrial{}, &RoomNameError{Text: text, Rooms: named}
}

// RoomNameError is a text that names no room, or several.
type RoomNameError struct {
	Text  string
	Rooms []RoomTrial // that it names
}

// Error says how many rooms are meant.
func (e *RoomNameError) Error() string {
	if len(e.Rooms) == 0 {
		return fmt.Sprintf("the bot has seen no room %q", e.Text)
	}
	return fmt.Sprintf("%q is the name of %d rooms", e.Text, len(e.Rooms))
}

// Hint lists the rooms by what tells them apart.
func (e *RoomNameError) Hint() string {
	if len(e.Rooms) == 0 {
		return "matrix-connector rooms lists them; a room id stands in single quotes for the shell's sake"
	}
	var ids []string
	for _, room := range e.Rooms {
		ids = append(ids, "'"+string(room.ID)+"'")
	}
	return "give the id of the one that is meant: " + strings.Join(ids, ", ")
}

// Explain gives the STIX of the newest messages of a room, at most count, as they would
// be sent with its Channel and their authors; and how many messages that is. A room
// that is not imported gives none.
func (t *Trial) Explain(ctx context.Context, room RoomTrial, count int) (stix.Bundle, int, error) {
	if !room.Imported {
		return stix.Bundle{}, 0, nil
	}
	drafts, err := t.ledger.Sample(ctx, room.ID, count)
	if err != nil {
		return stix.Bundle{}, 0, err
	}
	var objects []stix.Object
	for _, d := range drafts {
		objects = append(objects, t.mapper.Room(d.Room)...)
		objects = append(objects, t.mapper.Author(d.Author))
		objects = append(objects, t.mapper.Post(d)...)
	}
	return stix.NewBundle(objects...), len(drafts), nil
}
