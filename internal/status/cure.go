package status

import "strings"

// Explain says a reason of the ledger in words, and what a person can do about it.
// Both are never empty. what, state and reason are those of a [Trouble].
func Explain(what, state, reason string) (says, cure string) {
	head, detail, _ := strings.Cut(reason, ": ")
	for _, key := range []string{what + " " + reason, what + " " + head, what + " " + state} {
		if e, ok := explanations[key]; ok {
			if detail != "" && !strings.Contains(key, ": ") {
				return e.says + " (" + Plain(detail, 200) + ")", e.cure
			}
			return e.says, e.cure
		}
	}
	return Plain(reason, 200), cureReport
}

type explanation struct{ says, cure string }

// Cures that several reasons share.
const (
	cureReset  = "cure the cause, then reset the connector's state on the platform's page: everything is sent again, to the same ids"
	cureReport = "please report it with the log lines of that time; what was received is kept"
	cureNone   = "none needed: it is as was asked for"
	cureSender = "ask the sender to send it again"
	cureKey    = "read by itself once the key comes: let the sender open a Matrix client in that room, with the bot's device not blocked there"
	cureJoin   = "the homeserver decides: let the bot into the room again, and check the room's history visibility"
)

// explanations by kind and reason, or else by kind and state, for reasons that carry a
// detail or are many.
var explanations = map[string]explanation{
	"event no_session":    {"its key has not come", cureKey},
	"event withheld":      {"the sender's client refuses to share the key", "let the sender's client trust the bot's device: clients may keep keys from devices that are not verified"},
	"event unknown_index": {"its key starts later than the message", "sent before the bot was in the room or its device was known; " + cureSender},
	"event bad_mac":       {"its key does not fit: damage, or a wrong key", cureSender},
	"event replay":        {"it repeats a message that was read before under another id", "none: it is ignored on purpose, as a copy proves nothing"},
	"event wrong_room":    {"it was encrypted for another room", "none: it is ignored on purpose; tell whoever looks after the homeserver"},
	"event algorithm":     {"its encryption is not known", "let the sender use another client, or upgrade this connector"},
	"event malformed":     {"its encryption is malformed", cureSender},
	"event damaged":       {"its row in the store is damaged", "check the disk; restore the store from a backup where there is one"},
	"event unreadable":    {"it is malformed", "none: the sender's client or homeserver made it so; what was received is kept"},

	"post unconfirmed":         {"the platform took it several times and never showed it", "look at the workers and at the connector's works on the platform; " + cureReset},
	"post room_rule":           {"its room is not imported any more", cureNone + "; take the room out of MATRIX_ROOMS_EXCLUDE or into MATRIX_ROOMS to import it"},
	"post nothing_to_say":      {"nothing can be made of what is stored", "none where its sender took it back; otherwise check the disk"},
	"post refused_by_broker":   {"the broker does not take it", "look at the broker's limit of a message's size; " + cureReset},
	"post mapping_failed":      {"this connector failed to map it", cureReport},
	"post refused":             {"the platform refused it", cureReset},
	"post differs":             {"the platform holds something else than was sent", "look at the object on the platform: the user of OPENCTI_TOKEN may lack confidence or markings; " + cureReset},
	"post deleted_on_platform": {"somebody deleted it on the platform", "none: it is left alone; reset the connector's state there to bring all back"},
	"post dead":                {"it was given up", cureReset},
	"room refused":             {"the platform refused its Channel", cureReset},
	"room differs":             {"the platform holds another Channel than was sent", "look at the Channel on the platform: the user of OPENCTI_TOKEN may lack confidence or markings; " + cureReset},
	"room dead":                {"its Channel was given up, and with it its messages", cureReset},
	"author refused":           {"the platform refused the Individual", cureReset},
	"author differs":           {"the platform holds another Individual than was sent", "look at the Individual on the platform: the user of OPENCTI_TOKEN may lack confidence or markings; " + cureReset},
	"author dead":              {"the Individual was given up, and with it the messages", cureReset},

	"attachment too_large":                 {"larger than is fetched", cureNone + "; raise MATRIX_ATTACHMENT_MAX_SIZE to fetch such files"},
	"attachment media_type":                {"of a type that is not fetched", cureNone + "; add its type to MATRIX_ATTACHMENT_TYPES to fetch such files"},
	"attachment refused_by_platform":       {"the platform refused the file", "look at the platform's limits for uploads, and at the rights of the user of OPENCTI_TOKEN (KNOWLEDGE_KNUPLOAD)"},
	"attachment no mxc uri":                {"announced without an address", cureSender},
	"attachment invalid mxc uri":           {"announced with an address that is none", cureSender},
	"attachment incomplete encryption key": {"announced without its whole key", cureSender},
	"attachment oversized encryption key":  {"announced with a key that is none", cureSender},
	"attachment no_longer_in_post":         {"an edit took it out of its message", cureNone},
	"attachment nothing_to_say":            {"its message cannot be made any more", "none where its sender took it back; otherwise check the disk"},
	"attachment deleted_on_platform":       {"its message was deleted on the platform", "none: it is left alone"},
	"attachment not_found":                 {"the homeserver does not have it any more", "ask the homeserver's administrator: it may be purged, quarantined, or on a server that is away; or " + cureSender},
	"attachment forbidden":                 {"the homeserver refuses it", "ask the homeserver's administrator whether the bot may read media"},
	"attachment refused":                   {"refused", "ask the homeserver's administrator whether the bot may read media"},
	"attachment remote_limit":              {"larger than the homeserver fetches from other servers", "ask the homeserver's administrator to raise its limit for remote media"},
	"attachment hash_mismatch":             {"not the bytes that its sender encrypted", cureSender},
	"attachment bad_key":                   {"its key is none", cureSender},
	"attachment bad_uri":                   {"its address is none", cureSender},
	"attachment lost":                      {"lost", cureSender},

	"gap forbidden":   {"the homeserver does not show this stretch of a room", cureJoin},
	"gap not_found":   {"the homeserver does not know this stretch of a room", cureJoin},
	"gap refused":     {"the homeserver refuses this stretch of a room", cureJoin},
	"gap page_budget": {"longer than is read back", "set MATRIX_IMPORT_START_DATE to a later date; messages before what was read are left out"},
	"gap lost":        {"this stretch of a room is not shown", cureJoin},

	"target not_found": {"a message that others answer does not exist any more, or not on this homeserver", "none: the answers are imported without the link"},
	"target forbidden": {"a message that others answer is not shown to the bot", "none: the answers are imported without the link"},
	"target missing":   {"a message that others answer is not shown", "none: the answers are imported without the link"},
}
