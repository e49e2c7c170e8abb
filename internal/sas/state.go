package sas

// State is how far a verification is. The package comment draws them.
type State string

// The states of a verification.
const (
	StateAsking    State = "asking"    // we sent a request, none of their devices has answered
	StateAsked     State = "asked"     // they sent a request, a person here has to accept it
	StateReady     State = "ready"     // both want to; either may start
	StateStarted   State = "started"   // we sent start, they are to accept
	StateAccepted  State = "accepted"  // we accepted their start, and wait for their key
	StateKeyed     State = "keyed"     // they accepted our start, we sent our key and wait for theirs
	StateComparing State = "comparing" // the strings are there for both persons to compare
	StateConfirmed State = "confirmed" // our person said that they are the same; theirs has yet to, or their keys are to be supplied
	StateFinishing State = "finishing" // both have, and their keys are verified; they have yet to say that ours are
	StateDone      State = "done"      // both sides are
	StateCancelled State = "cancelled" // see Cancellation
)

// Ended tells whether nothing comes after it.
func (s State) Ended() bool { return s == StateDone || s == StateCancelled }
