package matrix

// Why an invite is pending (closed set).
const (
	InviteAccepted  = "will be accepted"
	InviteSender    = "the sender may not invite"
	InviteNoSender  = "the invite names no sender"
	InviteRoom      = "MATRIX_ROOMS, MATRIX_ROOMS_EXCLUDE or a rule leaves the room out"
	InviteNotJoined = "joining failed and is tried again"

	UpgradeFollowed = "it replaces a room of the bot and will be joined"
	UpgradeRules    = "it replaces a room of the bot, and the settings for that one do not hold for it"
	UpgradeClosed   = "it replaces a room of the bot and lets in members alone: invite the bot there"
)

// Why says why an invite is pending, and gives the setting that would accept it:
// empty where none is needed or none can be given.
func (v *Invites) Why(p Invitation) (why, setting string) {
	switch {
	case p.Former != "" && !v.follows(p):
		return UpgradeRules, ""
	case p.Former != "" && p.Class == ClassPermanent:
		return UpgradeClosed, ""
	case p.Former != "" && p.Attempts > 0:
		return InviteNotJoined, ""
	case p.Former != "":
		return UpgradeFollowed, ""
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
