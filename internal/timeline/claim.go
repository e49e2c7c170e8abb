package timeline

import (
	"strings"

	"maunium.net/go/mautrix/id"
)

// Claims are what a message says beside its text. Clients show it; the sender alone
// answers for it.
type Claims struct {
	// Profile is the name under which the message is shown (per-message profile).
	Profile string
	// Mentions are the users that the message mentions, Everybody that it mentions the
	// whole room (Matrix C-S API, "User and room mentions").
	Mentions  []id.UserID
	Everybody bool
	// Previews are addresses with a preview that the text does not hold.
	Previews []string
}

// Limits of claims.
const (
	maxMentions     = 50
	maxPreviews     = 10
	maxPreviewBytes = 2 << 10
)

// readClaims reads what stands beside the text of a message. nil: nothing does.
func readClaims(item *Item, content fields) *Claims {
	var c Claims
	name, _ := content.object("com.beeper.per_message_profile").text("displayname")
	c.Profile = clip(strings.TrimSpace(name), MaxNameBytes)
	mentions := content.object("m.mentions")
	c.Everybody = mentions.flag("room")
	seen := map[id.UserID]bool{}
	for _, raw := range mentions.list("user_ids", maxMentions) {
		name, _ := fields{"user": raw}.text("user")
		if user := id.UserID(name); plausibleUserID(name) && !seen[user] {
			seen[user] = true
			c.Mentions = append(c.Mentions, user)
		}
	}
	for _, raw := range content.list("com.beeper.linkpreviews", maxPreviews) {
		preview, err := readFields(raw)
		if err != nil {
			continue
		}
		address, _ := preview.text("matched_url")
		if address != "" && len(address) <= maxPreviewBytes && !strings.Contains(item.Text, address) {
			c.Previews = append(c.Previews, strings.ToValidUTF8(address, "\uFFFD"))
		}
	}
	if c.Profile == "" && !c.Everybody && len(c.Mentions)+len(c.Previews) == 0 {
		return nil
	}
	return &c
}

// plausibleUserID keeps out what could not be a user id: "@", a name, ":", a server, in
// visible characters, at most 255 bytes.
func plausibleUserID(text string) bool {
	if len(text) < 4 || len(text) > MaxIDBytes || text[0] != '@' || strings.IndexByte(text, ':') < 1 {
		return false
	}
	for _, r := range text {
		if r <= ' ' || r >= 0x7F {
			return false
		}
	}
	return true
}
