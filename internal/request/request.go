package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Kind says what is asked for (closed set).
type Kind string

// The kinds.
const (
	KindBackfill Kind = "backfill"    // read the history of rooms
	KindRequeue  Kind = "requeue"     // make dead, lost or refused rows due again
	KindKeys     Kind = "keys_import" // take Megolm sessions into the store
	KindVerify   Kind = "verify"      // verify the bot's identity by emoji; interactive
)

// State is what became of a request (closed set).
type State string

// The states.
const (
	Open      State = "open"
	Done      State = "done"
	Failed    State = "failed"
	Withdrawn State = "withdrawn" // by who asked, or because who asked has gone
)

// Ended reports whether nothing more will happen.
func (s State) Ended() bool { return s != Open }

// Forsaken is how long an interactive request lasts that nobody touches.
const Forsaken = 30 * time.Second

// kept is how long an ended request can be looked at.
const kept = 7 * 24 * time.Hour

// ErrUnknown is what is answered about a request that does not exist, or does no more.
var ErrUnknown = errors.New("no such request")

// ErrEnded is what is answered to who would change a request that has ended.
var ErrEnded = errors.New("the request has ended")

// Request is one thing that a command asks for.
type Request struct {
	ID    int64
	Kind  Kind
	State State
	// Asks is what is asked for, Says what the one who asks has answered meanwhile,
	// Shows how far it is or, when it has ended, what came of it: JSON whose shape is the
	// kind's. Empty for none.
	Asks, Says, Shows json.RawMessage
	Interactive       bool
	Made, Ended       time.Time
}

// Failure is the outcome of a request that failed.
type Failure struct {
	// Error is what a person is told; it holds no secret.
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// Failure is why the request failed; zero where it did not.
func (r Request) Failure() Failure {
	var f Failure
	if r.State == Failed && json.Unmarshal(r.Shows, &f) != nil {
		f.Error = "for a reason that cannot be read"
	}
	return f
}

// Into reads one of a request's texts; an absent one leaves to as it is.
func Into(text json.RawMessage, to any) error {
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return nil
}

// The places of the sealed texts.
func place(id int64, column string) string {
	return "request " + strconv.FormatInt(id, 10) + " " + column
}
