package status

import "strings"

// Explain says a reason of the ledger in words, and what a person can do about it.
// Both are never empty. what, state and reason are those of a [Trouble].
func Explain(what, state, reason string) (says, cure string) {
	head, detail, _ := strings.Cut(reason, ": ")
	for _, key := range []string{what + " " + reason, what + " " + head, what + " " + state} {
		if e, ok := explanations[key]; ok {
			cure = strings.ReplaceAll(e.cure, "REASON", Plain(head, 80))
			if detail != "" && !strings.Contains(key, ": ") {
				return e.says + " (" + Plain(detail, 200) + ")", cure
			}
			return e.says, cure
		}
	}
	return Plain(reason, 200), cureReport
}

type explanation struct{ says, cure string }

// again is the command that tries once more what has a reason, whose place REASON holds.
const again = "matrix-connector requeue --reason REASON"

// Cures that several reasons share.
const (
	cureRetry  = "cure the cause, then run " + again
	cureReport = "please report it with the log lines of that time; what was received is kept"
	cureNone   = "none needed: it is as was asked for"
	cureSender = "ask the sender to send it again"
	cureKey    = "read by itself once the key comes: let the sender open a Matrix client in that room, with the bot's device not blocked there"
	cureJoin   = "the homeserver decides: let the bot into the room again, check the room's history visibility, then run " + again
)

// explanations by kind and reason, or else by kind and state, for reasons that carry a
// detail or are many.
var explanations = map[string]explanation{
	"event no_session":    {"the key has not come", cureKey},
	"event withheld":      {"the sender's client refuses to share the key", "let the sender's client trust the bot's device: clients may keep keys from devices that are not verified"},
	"event unknown_index": {"the key starts later than the message", "sent before the bot was in the room or its device was known; " + cureSender},
	"event bad_mac":       {"the key proved to be wrong; a genuine one is looked for", cureSender},
	"event replay":        {"repeats of what was read before under another id", "none: it is ignored on purpose, as a copy proves nothing"},
	"event wrong_room":    {"encrypted for another room", "none: it is ignored on purpose; tell whoever looks after the homeserver"},
	"event algorithm":     {"of an encryption that is not known", "let the sender use another client, or upgrade this connector"},
	"event malformed":     {"of a malformed encryption", cureSender},
	"event damaged":       {"damaged in the store", "check the disk; restore the store from a backup where there is one"},
	"event unreadable":    {"malformed", "none: the sender's client or homeserver made it so; what was received is kept"},

	"event own":                        {"the bot's own", cureNone},
	"event before_start_date":          {"sent before the start date", cureNone + "; matrix-connector backfill --since DATE or an earlier MATRIX_IMPORT_START_DATE reads them"},
	"event not_in_matrix_rooms":        {"of a room that MATRIX_ROOMS does not name", cureNone + "; name the room there to import it"},
	"event in_matrix_rooms_exclude":    {"of a room that MATRIX_ROOMS_EXCLUDE names", cureNone + "; take the room out of it to import it"},
	"event skipped_by_rule":            {"of a room that a rule of matrix.rooms skips", cureNone + "; change the rule to import the room"},
	"event named_by_a_false_tombstone": {"of a room that another one's tombstone named falsely", cureNone + "; invite the bot there to import the room"},

	"post room_dead":           {"held back, because the Channel of their room was given up", "cure what is said of the room"},
	"post author_dead":         {"held back, because their author's Individual was given up", "cure what is said of the author"},
	"post unconfirmed":         {"taken by the platform several times and never shown", "look at the workers and at the connector's works on the platform; " + cureRetry},
	"post room_rule":           {"of a room that is not imported any more", cureNone + "; take the room out of MATRIX_ROOMS_EXCLUDE or into MATRIX_ROOMS to import it"},
	"post content_gone":        {"it is to be said again, and the homeserver no longer shows it", "what the platform holds of it stays; to say it again, let the bot back into the room, then run " + again},
	"post nothing_to_say":      {"nothing can be made of what is stored", "none where its sender took it back; otherwise check the disk"},
	"post refused_by_broker":   {"refused by the broker", "look at the broker's limit of a message's size; " + cureRetry},
	"post mapping_failed":      {"this connector failed to map them", cureReport},
	"post refused":             {"refused by the platform", cureRetry},
	"post differs":             {"the platform holds something else than was sent", "look at the object on the platform: the user of OPENCTI_TOKEN may lack confidence or markings; " + cureRetry},
	"post deleted_on_platform": {"deleted on the platform by somebody, or hidden from the connector's user", "none: it is left alone; to bring it back run " + again},
	"post dead":                {"given up", cureRetry},
	"room refused":             {"Channel refused by the platform", cureRetry},
	"room differs":             {"the platform holds another Channel than was sent", "look at the Channel on the platform: the user of OPENCTI_TOKEN may lack confidence or markings; " + cureRetry},
	"room mapping_failed":      {"this connector failed to map them", cureReport},
	"author mapping_failed":    {"this connector failed to map them", cureReport},
	"room dead":                {"Channel given up, and with it the messages", cureRetry},
	"author refused":           {"Individual refused by the platform", cureRetry},
	"author differs":           {"the platform holds another Individual than was sent", "look at the Individual on the platform: the user of OPENCTI_TOKEN may lack confidence or markings; " + cureRetry},
	"author dead":              {"Individual given up, and with it the messages", cureRetry},

	"attachment too_large":                 {"larger than is fetched", cureNone + "; raise MATRIX_ATTACHMENT_MAX_SIZE to fetch such files, then run " + again},
	"attachment media_type":                {"of a type that is not fetched", cureNone + "; add its type to MATRIX_ATTACHMENT_TYPES to fetch such files, then run " + again},
	"attachment refused_by_platform":       {"refused by the platform", "look at the platform's limits for uploads, and at the rights of the user of OPENCTI_TOKEN (KNOWLEDGE_KNUPLOAD), then run " + again},
	"attachment no mxc uri":                {"announced without an address", cureSender},
	"attachment invalid mxc uri":           {"announced with an address that is none", cureSender},
	"attachment incomplete encryption key": {"announced without its whole key", cureSender},
	"attachment oversized encryption key":  {"announced with a key that is none", cureSender},
	"attachment redacted":                  {"its message was deleted, or the edit that brought it", cureNone},
	"post redacted":                        {"deleted in its room, and so on the platform", cureNone},
	"attachment nothing_to_say":            {"of a message that cannot be made any more", "none where its sender took it back; otherwise check the disk"},
	"attachment deleted_on_platform":       {"of a message that was deleted on the platform", "none: it is left alone"},
	"attachment not_found":                 {"gone from the homeserver", "ask the homeserver's administrator: it may be purged, quarantined, or on a server that is away; then run " + again + ", or " + cureSender},
	"attachment forbidden":                 {"refused by the homeserver", "ask the homeserver's administrator whether the bot may read media, then run " + again},
	"attachment refused":                   {"refused", "ask the homeserver's administrator whether the bot may read media, then run " + again},
	"attachment remote_limit":              {"larger than the homeserver fetches from other servers", "ask the homeserver's administrator to raise its limit for remote media, then run " + again},
	"attachment hash_mismatch":             {"not the bytes that the sender encrypted", cureSender},
	"attachment bad_key":                   {"with a key that is none", cureSender},
	"attachment bad_uri":                   {"with an address that is none", cureSender},
	"attachment lost":                      {"lost", cureSender},

	"gap forbidden":   {"not shown by the homeserver", cureJoin},
	"gap not_found":   {"not known to the homeserver", cureJoin},
	"gap refused":     {"refused by the homeserver", cureJoin},
	"gap page_budget": {"longer than is read back", "set MATRIX_IMPORT_START_DATE to a later date; messages before what was read are left out"},
	"gap lost":        {"not shown by the homeserver", cureJoin},

	"target not_found": {"answered by others, but gone, or not on this homeserver", "none: the answers are imported without the link"},
	"target forbidden": {"answered by others, but not shown to the bot", "none: the answers are imported without the link"},
	"target missing":   {"answered by others, but not shown", "none: the answers are imported without the link"},
}
