package connector

import (
	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Reasons why a room is not imported (closed set, seen in the ledger).
const (
	notListed = "not_in_matrix_rooms"
	excluded  = "in_matrix_rooms_exclude"
)

// roomPatterns are the rooms of MATRIX_ROOMS and MATRIX_ROOMS_EXCLUDE. They decide
// which rooms are joined and which are imported. Everything that the bot sees of
// the others is kept, too: only nothing is said of it.
func roomPatterns(s *config.Config) matrix.RoomPatterns {
	return matrix.RoomPatterns{Only: patterns(s.Matrix.Rooms), Except: patterns(s.Matrix.RoomsExclude)}
}

func patterns(texts []string) []matrix.Pattern {
	list := make([]matrix.Pattern, 0, len(texts))
	for _, text := range texts {
		list = append(list, matrix.Pattern(text))
	}
	return list
}

// skipRoom gives the reason why a room is not imported, "" where it is.
func skipRoom(s *config.Config) func(timeline.Room) string {
	rules := roomPatterns(s)
	except := matrix.RoomPatterns{Except: rules.Except}
	return func(room timeline.Room) string {
		switch {
		case !except.Allows(room.ID, room.Alias):
			return excluded
		case !rules.Allows(room.ID, room.Alias):
			return notListed
		}
		return ""
	}
}
