package connector

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/status"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// How much a snapshot lists of what stays dark, and how far back refusals matter.
const (
	shownWithheld  = 10
	shownDarkRooms = 10
	withheldWithin = 7 * 24 * time.Hour
)

// deviceOf says how the bot's device stands.
func deviceOf(user id.UserID, s matrix.Standing, refusals []matrix.Refusal, now time.Time) status.Device {
	d := status.Device{
		Signed: s.Signed, Problem: string(s.Problem), Backup: s.Backup, BackupProblem: string(s.BackupProblem), Withheld: []status.Withheld{},
	}
	if s.Checked > 0 {
		d.Looked = time.UnixMilli(s.Checked).UTC()
	}
	if s.Problem != "" {
		d.Cure = s.Problem.Hint(user)
	}
	if s.BackupProblem != "" {
		d.BackupCure = s.BackupProblem.Hint(user)
	}
	for _, r := range refusals {
		if now.Sub(r.Last) > withheldWithin {
			break // the latest come first
		}
		if len(d.Withheld) == shownWithheld {
			d.MoreWithheld++
			continue
		}
		d.Withheld = append(d.Withheld, status.Withheld{
			User: r.Sender.String(), Code: r.Code, Room: r.Room.String(), Count: r.Count, Last: r.Last, Cure: r.Hint(s),
		})
	}
	return d
}

// countUndecryptable tells what cannot be read, and what would cure it as the device stands.
func countUndecryptable(ctx context.Context, l *ledger.Ledger, standing matrix.Standing, s *status.Snapshot) error {
	groups, err := l.UndecryptedGroups(ctx, shownDarkRooms)
	if err != nil {
		return err
	}
	for _, g := range groups {
		u := status.Undecryptable{Reason: g.Reason, Cause: g.Cause, Count: g.Count, Oldest: g.Oldest, Newest: g.Newest, More: g.More, Rooms: []status.RoomCount{}}
		u.Says, u.Cure = status.Explain("event", string(ledger.EventUndecrypted), g.Reason)
		if says, cure := becauseOf(g.Cause, standing); says != "" {
			u.Says, u.Cure = says, cure
		}
		for _, r := range g.Rooms {
			u.Rooms = append(u.Rooms, status.RoomCount{ID: r.Room.String(), Name: r.Name, Count: r.Count})
		}
		s.Undecryptable = append(s.Undecryptable, u)
	}
	return nil
}

// backedUp says what the key backup does for messages that an earlier device of the account
// could read.
func backedUp(s matrix.Standing) string {
	if s.Backup != "" && s.BackupProblem == "" {
		return "; what the account's earlier devices could read comes by itself from the key backup"
	}
	return "; what the account's earlier devices could read comes from the key backup: set MATRIX_RECOVERY_KEY to open it"
}

// becauseOf says a probable cause in words, and what helps; empty where the reason says all.
func becauseOf(cause string, s matrix.Standing) (says, cure string) {
	switch cause {
	case "m.unverified":
		return "the sender's client gives keys to verified devices only", matrix.WithheldHint(cause, "", s)
	case "m.blacklisted":
		return "the sender has blocked the bot's device", matrix.WithheldHint(cause, "", s)
	case "m.unauthorised":
		return "the sender does not share these keys with the bot", matrix.WithheldHint(cause, "", s)
	case "m.unavailable":
		return "the sender does not have these keys any more", matrix.WithheldHint(cause, "", s)
	case timeline.CauseBeforeDevice:
		return "sent before the bot's device existed", "import a key file of a member (matrix-connector keys import)" + backedUp(s)
	case timeline.CauseBeforeInvite:
		return "sent before the bot was in the room",
			"import a key file of a member (matrix-connector keys import), or be invited anew with the history shared"
	case "m.no_olm", "failed_olm":
		return "the connection between the sender's device and the bot's broke", matrix.WithheldHint("m.no_olm", "", s)
	}
	return "", ""
}

// trustLevels is what metrics say of the device.
func (c *Connector) trustLevels(ctx context.Context, l *telemetry.Levels) error {
	standing, err := c.account.Standing(ctx)
	if err != nil {
		return err
	}
	refusals, err := c.account.Refusals(ctx)
	if err != nil {
		return err
	}
	if standing.Checked > 0 {
		l.Signed, l.BackupOpen = &standing.Signed, new(standing.Backup != "" && standing.BackupProblem == "")
	}
	l.Withholders = map[string]int{}
	for _, r := range refusals {
		if c.now().Sub(r.Last) <= withheldWithin {
			l.Withholders[r.Code]++
		}
	}
	return nil
}
