package connector

import (
	"cmp"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Reasons why a room is not imported (closed set, seen in the ledger).
const (
	notListed = "not_in_matrix_rooms"
	excluded  = "in_matrix_rooms_exclude"
	byRule    = "skipped_by_rule"
	astray    = "named_by_a_false_tombstone"
)

// rules are what the settings say about rooms. They are pure, and safe for concurrent
// use.
type rules struct {
	s      *config.Config
	now    time.Time // from which durations count back
	except matrix.RoomPatterns
	only   matrix.RoomPatterns
	rooms  []matrix.RoomPatterns // of the rule with the same index
}

// newRules reads the rules of the settings; now is when the connector started.
func newRules(s *config.Config, now time.Time) *rules {
	r := &rules{s: s, now: now}
	r.except, r.only = matrix.RoomPatterns{Except: patterns(s.Matrix.RoomsExclude)}, matrix.RoomPatterns{Only: patterns(s.Matrix.Rooms)}
	for _, rule := range s.Matrix.RoomRules {
		r.rooms = append(r.rooms, matrix.RoomPatterns{Only: patterns(rule.Rooms)})
	}
	return r
}

func patterns(texts []string) []matrix.Pattern {
	list := make([]matrix.Pattern, 0, len(texts))
	for _, text := range texts {
		list = append(list, matrix.Pattern(text))
	}
	return list
}

// rule is the rule of a room and its number, which counts from 1; 0 where none fits.
func (r *rules) rule(room id.RoomID, alias id.RoomAlias) (config.RoomRule, int) {
	for i, fits := range r.rooms {
		if fits.Allows(room, alias) {
			return r.s.Matrix.RoomRules[i], i + 1
		}
	}
	return config.RoomRule{}, 0
}

// skip gives the reason why a room is not imported, "" where it is. It decides which
// rooms are joined, too. Everything that the bot sees of the others is kept: only
// nothing is said of it.
func (r *rules) skip(room id.RoomID, alias id.RoomAlias) string {
	switch {
	case !r.except.Allows(room, alias):
		return excluded
	case !r.only.Allows(room, alias):
		return notListed
	}
	if rule, _ := r.rule(room, alias); rule.Skip {
		return byRule
	}
	return ""
}

// skipRoom is skip for a room.
func (r *rules) skipRoom(room timeline.Room) string {
	if room.Astray {
		return astray
	}
	return r.skip(room.ID, room.Alias)
}

// follow reports whether the settings that hold for a room hold for the one that replaces
// it, as far as can be told before its alias is known. Where they do not, what is said
// there might be marked less strictly than before.
func (r *rules) follow(former id.RoomID, alias id.RoomAlias, replacement id.RoomID) bool {
	_, before := r.rule(former, alias)
	_, after := r.rule(replacement, "")
	return before == after
}

// startOf is the start date of a room. Where no history is wanted it is when the
// connector started: nothing that was said before.
func (r *rules) startOf(room timeline.Room) (start time.Time, history bool) {
	rule, _ := r.rule(room.ID, room.Alias)
	return r.since(*cmp.Or(rule.ImportStartDate, &r.s.Matrix.ImportStartDate))
}

func (r *rules) since(s config.Start) (start time.Time, history bool) {
	if start, history = s.Since(r.now); !history {
		start = r.now
	}
	return start, history
}

// earliest is the start date that reaches back furthest, of all that hold for some
// room.
func (r *rules) earliest() (start time.Time, history bool) {
	start, history = r.since(r.s.Matrix.ImportStartDate)
	for _, rule := range r.s.Matrix.RoomRules {
		if rule.ImportStartDate == nil || rule.Skip {
			continue
		}
		if other, wanted := r.since(*rule.ImportStartDate); wanted && (!history || other.Before(start)) {
			start, history = other, true
		}
	}
	return start, history
}

// files says which files of a room are fetched: their largest size in bytes, and
// patterns of their media types, none for all.
func (r *rules) files(room timeline.Room) (limit int64, types []string) {
	rule, _ := r.rule(room.ID, room.Alias)
	types = r.s.Matrix.AttachmentTypes
	if rule.AttachmentTypes != nil {
		types = rule.AttachmentTypes
	}
	return int64(*cmp.Or(rule.AttachmentMaxSize, &r.s.Matrix.AttachmentMaxSize)), types
}

// redactions is what becomes of a room's redacted messages.
func (r *rules) redactions(room timeline.Room) ledger.Redactions {
	rule, _ := r.rule(room.ID, room.Alias)
	switch cmp.Or(rule.Redactions, r.s.Matrix.Redactions) {
	case config.RedactionsDelete:
		return ledger.RedactionsDelete
	case config.RedactionsKeep:
		return ledger.RedactionsKeep
	case config.RedactionsMask:
	}
	return ledger.RedactionsMask
}

// tlp is the marking of a room's messages.
func (r *rules) tlp(room timeline.Room) config.TLP {
	rule, _ := r.rule(room.ID, room.Alias)
	return cmp.Or(rule.TLP, r.s.Matrix.TLP)
}

// ledger makes a ledger that goes by the rules. What else works on a store than the
// connector must go by the same: an event that is read is judged once.
func (r *rules) ledger(c ledger.Config) *ledger.Ledger {
	c.Self = id.UserID(r.s.Matrix.UserID)
	c.Start, _ = r.since(r.s.Matrix.ImportStartDate)
	c.StartOf, c.SkipRoom, c.Redactions = r.startOf, r.skipRoom, r.redactions
	return ledger.New(c)
}

// markings are those of everything that may be imported, each once, that of
// MATRIX_TLP first.
func (r *rules) markings() ([]stix.ID, error) {
	levels := []config.TLP{r.s.Matrix.TLP}
	for _, rule := range r.s.Matrix.RoomRules {
		if rule.TLP != "" && !rule.Skip && !slices.Contains(levels, rule.TLP) {
			levels = append(levels, rule.TLP)
		}
	}
	var list []stix.ID
	for _, level := range levels {
		marking, err := markingOf(level)
		if err != nil {
			return nil, err
		}
		list = append(list, marking)
	}
	return list, nil
}

// mapping is what the mapper has to know of a room's rule.
func (r *rules) mapping(room timeline.Room) mapping.Rule {
	rule, _ := r.rule(room.ID, room.Alias)
	m := mapping.Rule{Labels: rule.Labels}
	if rule.TLP != "" {
		m.Marking, _ = markingOf(rule.TLP) // markings has seen that it is one
	}
	return m
}

// invites says which invites are accepted.
func (r *rules) invites() matrix.InviteConfig {
	return matrix.InviteConfig{From: r.s.Matrix.InviteFrom, Rooms: roomPatterns(r.s), LeaveOut: func(room id.RoomID, alias id.RoomAlias) bool {
		return r.skip(room, alias) != ""
	}, Follow: r.follow}
}

// roomPatterns are the rooms of MATRIX_ROOMS and MATRIX_ROOMS_EXCLUDE.
func roomPatterns(s *config.Config) matrix.RoomPatterns {
	return matrix.RoomPatterns{Only: patterns(s.Matrix.Rooms), Except: patterns(s.Matrix.RoomsExclude)}
}
