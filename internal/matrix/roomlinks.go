package matrix

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// surroundings adds what lies around a room: its picture, its spaces or rooms, why the
// account is in it, and who took it out.
func (v *roomView) surroundings(ctx context.Context, r *timeline.Room) (err error) {
	if r.Astray, err = v.astray(ctx); err != nil {
		return err
	}
	avatar, err := v.fieldsOf(ctx, event.StateRoomAvatar.Type)
	if err != nil {
		return err
	}
	if uri, err := id.ParseContentURI(clipID(avatar["url"])); err == nil && uri.IsValid() {
		r.Avatar = uri.String()
	}
	if r.Parents, err = v.linked(ctx, event.StateSpaceParent.Type); err != nil {
		return err
	}
	if r.Type == string(event.RoomTypeSpace) {
		if r.Children, err = v.linked(ctx, event.StateSpaceChild.Type); err != nil {
			return err
		}
	}
	if v.membership != timeline.MembershipLeave && v.membership != timeline.MembershipBan {
		return nil
	}
	var sender id.UserID
	err = v.db.QueryRow(ctx, "SELECT sender FROM matrix_state WHERE room_id=$1 AND type=$2 AND state_key=$3", v.id, event.StateMember.Type, v.own).Scan(&sender)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read who removed the account: %w", err)
	}
	if sender != v.own && validSender(sender) {
		r.Removed = sender
	}
	return nil
}

// linked are the rooms that the room names in state events of a kind.
func (v *roomView) linked(ctx context.Context, kind string) (timeline.RoomIDs, error) {
	rows, err := v.db.Query(ctx, `SELECT state_key FROM matrix_state WHERE room_id=$1 AND type=$2 AND content='{"via":true}'`, v.id, kind)
	ids, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.RoomID], err).AsList()
	if err != nil {
		return "", fmt.Errorf("read state %s of room: %w", kind, err)
	}
	return timeline.JoinRoomIDs(ids), nil
}

// validRoom reports whether a text may be a room id. Nothing is said of a server: since
// room version 12 there is none in it.
func validRoom(text string) bool {
	return len(text) > 1 && len(text) <= maxID && strings.HasPrefix(text, "!") && !strings.ContainsAny(text, "\n\r\x00")
}
