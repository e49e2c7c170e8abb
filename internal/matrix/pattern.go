package matrix

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"maunium.net/go/mautrix/id"
)

// ErrPattern is a pattern that is none.
var ErrPattern = errors.New("malformed pattern")

// Pattern is a text in which * stands for any text, also for none. Letters count
// as they are: Matrix identifiers are compared case-sensitively.
type Pattern string

// Match reports whether the whole of text fits. It takes time proportional to the
// product of both lengths at worst.
func (p Pattern) Match(text string) bool {
	pat := string(p)
	star, mark := -1, 0 // the last * and what it has taken so far
	i, j := 0, 0
	for j < len(text) {
		switch {
		case i < len(pat) && pat[i] == '*':
			star, mark = i, j
			i++
		case i < len(pat) && pat[i] == text[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pat[i:], "*") == ""
}

// RoomPatterns choose rooms by id or alias.
type RoomPatterns struct {
	// Only lists what is chosen; empty: everything.
	Only []Pattern
	// Except lists what is not, even where Only does.
	Except []Pattern
}

// Allows reports whether a room is chosen. Its alias may be empty.
func (p RoomPatterns) Allows(room id.RoomID, alias id.RoomAlias) bool {
	fits := func(list []Pattern) bool {
		for _, p := range list {
			if p.Match(string(room)) || (alias != "" && p.Match(string(alias))) {
				return true
			}
		}
		return false
	}
	return (len(p.Only) == 0 || fits(p.Only)) && !fits(p.Except)
}

// senderPattern chooses senders: an MXID in which * stands for any text, or
// *:server. Localpart and server are matched each by itself, so that no star
// reaches over the colon between them.
type senderPattern struct{ local, server Pattern }

func parseSenderPattern(text string) (senderPattern, error) {
	local, server, ok := strings.Cut(text, ":")
	if !ok || server == "" || (local != "*" && !strings.HasPrefix(local, "@")) || local == "@" {
		return senderPattern{}, fmt.Errorf("%w: %q is not a Matrix id such as @alice:example.org or *:example.org", ErrPattern, text)
	}
	return senderPattern{local: Pattern(local), server: Pattern(server)}, nil
}

func (p senderPattern) match(sender id.UserID) bool {
	if !validSender(sender) {
		return false
	}
	local, server, _ := strings.Cut(string(sender), ":")
	return p.local.Match(local) && p.server.Match(server)
}

// senderForm is a Matrix id by its grammar for historical user ids, with a server
// name of host and optional port (Matrix specification, "Appendices"). Without it
// @eve:evil.org:1.example.org would end like an account of example.org.
var senderForm = regexp.MustCompile(`^@[!-9;-~]+:(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]{1,5})?$`)

func validSender(sender id.UserID) bool {
	return len(sender) <= 255 && senderForm.MatchString(string(sender))
}
