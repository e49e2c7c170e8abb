package matrix

// VerifyError is a verification that cannot be.
type VerifyError struct {
	Reason VerifyReason
	About  string // whom or what it is about: a user, or what was typed for one
}

// VerifyReason says why (closed set).
type VerifyReason string

// The reasons.
const (
	VerifyNoUser      VerifyReason = "is no user id"
	VerifyNoRoom      VerifyReason = "is no room to verify somebody in"
	VerifyNoDevices   VerifyReason = "has no device that could be asked"
	VerifyNotOne      VerifyReason = "is nobody whose invites are accepted"
	VerifyNotTogether VerifyReason = "and the bot are not both in that room"
)

// verifyHints say what a person can do.
var verifyHints = map[VerifyReason]string{
	VerifyNoUser:      "write it as @alice:example.org",
	VerifyNoRoom:      "write its id, as matrix-connector rooms shows it, and the user who is asked there",
	VerifyNoDevices:   "let them log in with a client that encrypts, and try again",
	VerifyNotOne:      "name them in MATRIX_INVITE_FROM: who may not invite the bot may not verify it either",
	VerifyNotTogether: "leave the room away to ask by their devices, or name another one: matrix-connector rooms shows them",
}

// Error names who it is about.
func (e *VerifyError) Error() string { return e.About + " " + string(e.Reason) }

// Hint says what a person can do.
func (e *VerifyError) Hint() string { return verifyHints[e.Reason] }
