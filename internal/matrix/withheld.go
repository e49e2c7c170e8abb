package matrix

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Refusal is what a sender says who withholds room keys from the device (Matrix C-S API,
// "m.room_key.withheld").
type Refusal struct {
	Sender id.UserID
	Code   string
	Room   id.RoomID // of the last one; empty for m.no_olm
	Count  int
	First  time.Time
	Last   time.Time
}

// refusalsKept is how many senders' refusals are kept: a notice is not authenticated, and
// anybody can send one.
const refusalsKept = 1000

// toldAgain is how often the log repeats that somebody withholds keys.
const toldAgain = 24 * time.Hour

// knownCodes are those of the specification; anything else is noted as "other".
var knownCodes = map[event.RoomKeyWithheldCode]string{
	event.RoomKeyWithheldBlacklisted:  "m.blacklisted",
	event.RoomKeyWithheldUnverified:   "m.unverified",
	event.RoomKeyWithheldUnauthorized: "m.unauthorised",
	event.RoomKeyWithheldUnavailable:  "m.unavailable",
	event.RoomKeyWithheldNoOlmSession: "m.no_olm",
}

// withheldCode is a code of the closed set.
func withheldCode(claim event.RoomKeyWithheldCode) string {
	if code := knownCodes[claim]; code != "" {
		return code
	}
	return "other"
}

// withholding is a notice of m.room_key.withheld on its way to its row.
type withholding struct {
	sender id.UserID
	code   string
	room   id.RoomID
	key    id.SenderKey
}

// withheld takes a refusal: for the events that it explains, and for the person who can do
// something about it.
func (m *machine) withheld(sender id.UserID, notice *event.RoomKeyWithheldEventContent) {
	code := withheldCode(notice.Code)
	if len(notice.SessionID) > maxID || len(notice.RoomID) > maxID || len(notice.SenderKey) > 64 {
		return
	}
	if notice.SessionID != "" && notice.RoomID != "" {
		m.keys = append(m.keys, timeline.KeyRef{Room: notice.RoomID, Session: notice.SessionID, Withheld: code, WithheldBy: sender})
	}
	m.refusals = append(m.refusals, withholding{sender, code, notice.RoomID, notice.SenderKey})
}

// mayWithhold reports whether a refusal in the name of a device can be its owner's: the notice
// is not authenticated, and anybody can name somebody's session in one.
func (g *guard) mayWithhold(ctx context.Context, sender id.UserID, key id.SenderKey) (bool, error) {
	d, err := g.FindDeviceByKey(ctx, sender, key)
	if d != nil || err != nil && !errors.Is(err, sql.ErrNoRows) {
		return d != nil, err
	}
	known, err := g.GetDevices(ctx, sender)
	return len(known) == 0, err
}

// noteRefusals writes the refusals of a /sync down. It runs in its transaction, behind the
// rooms: who speaks there for the first time may have been refusing in the same answer.
func (a *Account) noteRefusals(ctx context.Context, m *machine) error {
	for _, r := range m.refusals {
		shares, err := a.has(ctx, "SELECT 1 FROM matrix_state WHERE type='m.room.member' AND state_key=$1", r.sender)
		if err != nil {
			return err
		}
		if !shares {
			continue // a stranger has no keys to withhold
		}
		_, err = a.store.DB().Exec(ctx, `INSERT INTO matrix_refusal (sender, code, room_id, count, first, last)
			SELECT $1, $2, $3, 1, $4, $4 WHERE (SELECT count(*) FROM matrix_refusal) < $5 OR EXISTS (SELECT 1 FROM matrix_refusal WHERE sender=$1 AND code=$2)
			ON CONFLICT (sender, code) DO UPDATE SET room_id=excluded.room_id, count=count+1, last=excluded.last`,
			r.sender, r.code, r.room, a.now().UnixMilli(), refusalsKept)
		if err != nil {
			return fmt.Errorf("note refusal: %w", err)
		}
		if r.code == "m.no_olm" && r.key != "" {
			// The sender could set up no Olm session: one of ours lets the next room key through.
			if err := a.wantSession(ctx, r.sender, r.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// Refusals lists who withholds room keys, the latest first. The store may be open for
// reading.
func (a *Account) Refusals(ctx context.Context) ([]Refusal, error) {
	rows, err := a.store.DB().Query(ctx, "SELECT sender, code, room_id, count, first, last FROM matrix_refusal ORDER BY last DESC")
	list, err := dbutil.NewRowIterWithError(rows, scanRefusal, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("list refusals: %w", err)
	}
	return list, nil
}

func scanRefusal(row dbutil.Scannable) (r Refusal, err error) {
	var first, last int64
	err = row.Scan(&r.Sender, &r.Code, &r.Room, &r.Count, &first, &last)
	r.First, r.Last = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	return r, err
}

// tellRefusals logs who has begun to withhold keys, with what would help, and once a day
// who goes on.
func (a *Account) tellRefusals(ctx context.Context) error {
	now := a.now()
	rows, err := a.store.DB().Query(ctx, "SELECT sender, code, room_id, count, first, last FROM matrix_refusal WHERE last>told AND told<=$1 ORDER BY last LIMIT 20",
		now.Add(-toldAgain).UnixMilli())
	list, err := dbutil.NewRowIterWithError(rows, scanRefusal, err).AsList()
	if err != nil || len(list) == 0 {
		return wrapRefusals(err)
	}
	standing, err := a.standing(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		a.log.WarnContext(ctx, "somebody withholds room keys from the bot: what they say in encrypted rooms is not read",
			slog.String("sender", r.Sender.String()), slog.String("reason", r.Code), slog.String("room_id", r.Room.String()),
			slog.Int("count", r.Count), slog.String("hint", r.Hint(standing)))
		if _, err := a.store.DB().Exec(ctx, "UPDATE matrix_refusal SET told=$3 WHERE sender=$1 AND code=$2", r.Sender, r.Code, now.UnixMilli()); err != nil {
			return wrapRefusals(err)
		}
	}
	return nil
}

func wrapRefusals(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("tell of refusals: %w", err)
}

// Hint says what would help, given how the device stands.
func (r Refusal) Hint(s Standing) string { return WithheldHint(r.Code, r.Sender, s) }

// WithheldHint says what helps against a refusal by its code, the cause of an event that
// was withheld. sender may be empty.
func WithheldHint(code string, sender id.UserID, s Standing) string {
	who := "the sender"
	if sender != "" {
		who = sender.String()
	}
	switch code {
	case "m.unverified":
		if s.Problem != "" {
			return "get the device signed: " + s.Problem.Hint("the bot's account")
		}
		return who + " gives keys only to devices of people whose identity they have verified: verify each other by emoji (matrix-connector verify)"
	case "m.blacklisted":
		return who + " has blocked the bot's device: ask them to allow it in their client"
	case "m.unauthorised":
		return who + " does not share this key with the bot, as a rule because it was made before the bot joined: " +
			"import a key file of a member (matrix-connector keys import), or be invited anew with the history shared"
	case "m.unavailable":
		return who + " does not have this key any more: import a key file of somebody who has it (matrix-connector keys import)"
	case "m.no_olm":
		return "the bot makes a new connection to the sender's device by itself; what is said from then on can be read, " +
			"and a key file of a member helps with what was said before (matrix-connector keys import)"
	}
	return "import a key file of a member of the room (matrix-connector keys import)"
}
