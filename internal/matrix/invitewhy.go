package matrix

// Why an invite is pending (closed set).
const (
	InviteAccepted  = "will be accepted"
	InviteSender    = "the sender may not invite"
	InviteNoSender  = "the invite names no sender"
	InviteRoom      = "MATRIX_ROOMS, MATRIX_ROOMS_EXCLUDE or a rule leaves the room out"
	InviteNotJoined = "joining failed and is tried again"
)

// Why says why an invite is pending, and gives the setting that would accept it:
// empty where none is needed or none can be given.
func (v *Invites) Why(p Invitation) (why, setting string) {
	switch {
	case !v.allows(p):
		return InviteRoom, ""
	case len(p.Senders) == 0:
		return InviteNoSender, ""
	case !v.welcome(p):
		return InviteSender, v.setting(p)
	case p.Attempts > 0:
		return InviteNotJoined, ""
	}
	return InviteAccepted, ""
}
