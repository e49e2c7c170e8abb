package connector

import (
	"context"
	"iter"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// Missing is one thing that is not in OpenCTI. It is written as JSON for programs.
type Missing struct {
	What   string `json:"what"`  // "event", "post", "room", "author", "attachment", "gap", "target"
	State  string `json:"state"` // of its row; "blocked" for a post that waits for a dead room or author
	Reason string `json:"reason"`
	Cause  string `json:"cause,omitempty"` // the probable cause
	Room   string `json:"room_id,omitempty"`
	// Event is the message of an attachment, and where a gap ends.
	Event string    `json:"event_id,omitempty"`
	File  int       `json:"file,omitempty"` // which one of the message, from 1
	User  string    `json:"user_id,omitempty"`
	Sent  time.Time `json:"sent,omitzero"` // as its sender claims; when a gap began
	Says  string    `json:"says"`
	Cure  string    `json:"cure"`
}

// Choice chooses among what is missing: by room, event and reason; see [ledger.Choice].
type Choice = ledger.Choice

// Missing walks over what is chosen of all that is not in OpenCTI, in pages. It ends with the
// first error.
func (t *Trial) Missing(ctx context.Context, c Choice) iter.Seq2[Missing, error] {
	return func(yield func(Missing, error) bool) {
		known, err := t.probe().Known(ctx)
		if err != nil {
			yield(Missing{}, err)
			return
		}
		for m, err := range t.ledger.Missing(ctx, c) {
			if err != nil {
				yield(Missing{}, err)
				return
			}
			if !yield(missingOf(m, known.Standing), nil) {
				return
			}
		}
	}
}

func missingOf(m ledger.Missing, standing matrix.Standing) Missing {
	out := Missing{
		What: m.What, State: m.State, Reason: m.Reason, Cause: m.Cause, Room: m.Room.String(), Event: m.Event.String(), User: m.User.String(), Sent: m.Sent,
	}
	if m.What == "attachment" {
		out.File = m.Index + 1
	}
	switch m.State {
	case string(ledger.StateDue), string(ledger.StateSent), "wanted", "fetched", "open":
		out.Says, out.Cure = "on the way", "none needed"
	default:
		out.Says, out.Cure = status.Explain(m.What, m.State, m.Reason)
	}
	if m.State == string(ledger.EventUndecrypted) {
		if says, cure := becauseOf(m.Cause, standing); says != "" {
			out.Says, out.Cure = says, cure
		}
	}
	return out
}
