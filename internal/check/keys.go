package check

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

// backup tells whether keys are saved outside of the store, and can be restored.
func (r *reading) backup(ctx context.Context) Line {
	b, err := r.probe.Backup(ctx)
	if err != nil {
		return failed(Backup, "the account's key backup: "+matrix.Brief(err), "try again, or ask who runs the homeserver of MATRIX_SERVER")
	}
	l := fine(Backup, "keys are saved in, and restored from, the account's key backup "+b.Version)
	switch {
	case b.Problem != "":
		l = warning(Backup, "keys are not saved outside of the store, because "+string(b.Problem)+": with a lost store they are lost",
			b.Problem.Hint(r.probe.UserID()))
	case b.Later:
		l = fine(Backup, "there is no key backup yet; the next start makes one")
	}
	return l.with("version", b.Version)
}

// recently is how far back it matters that somebody withheld keys.
const recently = 7 * 24 * time.Hour

// shownRefusals is how many people are named who withhold keys.
const shownRefusals = 5

// keys tells who withholds room keys from the bot.
func (r *reading) keys(ctx context.Context) Line {
	list, hints, err := r.probe.Refusals(ctx, time.Now().Add(-recently), r.trust)
	if err != nil {
		return failed(Keys, "the store: "+err.Error(), "try again")
	}
	if len(list) == 0 {
		return fine(Keys, "nobody has withheld room keys from the bot in the last 7 days").with("withheld", 0)
	}
	var who, what []string
	seen := map[string]bool{}
	for i, one := range list {
		if i < shownRefusals {
			who = append(who, one.Sender.String()+" ("+one.Code+", "+strconv.Itoa(one.Count)+" times)")
		}
		if !seen[hints[i]] && len(what) < 3 {
			seen[hints[i]] = true
			what = append(what, hints[i])
		}
	}
	if more := len(list) - shownRefusals; more > 0 {
		who = append(who, strconv.Itoa(more)+" more")
	}
	return warning(Keys, "room keys are withheld from the bot by "+strings.Join(who, ", "), strings.Join(what, "; ")).with("withheld", len(list))
}
