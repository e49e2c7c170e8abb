package mapping

import (
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Bounds of what a description says about reactions and votes.
const (
	maxReactions = 20 // different signs
	maxNamed     = 10 // people under one sign or answer
	maxSign      = 40
)

// reactionFacts is one line for each sign, with who put it there. The sign stands last:
// it is any text, and must not pass for people who have said nothing.
func reactionFacts(reactions []timeline.Reaction) []string {
	var lines []string
	for i, r := range reactions {
		if i == maxReactions {
			lines = append(lines, "Reactions with other signs: "+strconv.Itoa(len(reactions)-i))
			break
		}
		lines = append(lines, "Reaction by "+people(r.Senders)+": "+OneLine(r.Key, maxSign))
	}
	return lines
}

// pollFacts say how a poll works, whether it is over, and what the votes are. They were
// counted here: what the end of the poll says about them is a claim.
func pollFacts(poll *timeline.Poll) []string {
	if poll == nil {
		return nil
	}
	how := "Poll: one answer a person"
	if poll.Max > 1 {
		how = "Poll: up to " + strconv.Itoa(poll.Max) + " answers a person"
	}
	if !poll.Disclosed {
		how += ", votes are not shown before its end"
	}
	lines := []string{how}
	if !poll.Ended.IsZero() {
		lines = append(lines, "Poll closed: "+poll.Ended.UTC().Format("2006-01-02 15:04:05 UTC")+" by "+OneLine(poll.EndedBy.String(), timeline.MaxIDBytes))
	}
	if poll.Voters > 0 {
		lines = append(lines, "Voters: "+strconv.Itoa(poll.Voters))
		for i, a := range poll.Answers {
			votes := "none"
			if len(a.By) > 0 {
				votes = people(a.By)
			}
			lines = append(lines, "Votes for ("+strconv.Itoa(i+1)+"): "+votes)
		}
	} else {
		lines = append(lines, "Voters: none")
	}
	if poll.Spoiled > 0 {
		lines = append(lines, "Spoilt votes: "+strconv.Itoa(poll.Spoiled))
	}
	if poll.Outdated > 0 {
		lines = append(lines, "Votes not counted, for answers that were changed since: "+strconv.Itoa(poll.Outdated))
	}
	if poll.Doubtful > 0 {
		lines = append(lines, "Votes not counted, whose sender is in doubt: "+strconv.Itoa(poll.Doubtful))
	}
	return lines
}

// people is a number and the first names of that many.
func people(users []id.UserID) string {
	names := make([]string, 0, maxNamed+1)
	for i, user := range users {
		if i == maxNamed {
			names = append(names, strconv.Itoa(len(users)-i)+" more")
			break
		}
		names = append(names, OneLine(user.String(), timeline.MaxIDBytes))
	}
	return strconv.Itoa(len(users)) + " (" + strings.Join(names, ", ") + ")"
}
