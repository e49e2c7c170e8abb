package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"go.mau.fi/util/dbutil"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// roomRow is a row of ledger_room.
type roomRow struct {
	id       int64
	state    timeline.RoomState
	row      State
	skip     string
	newest   id.EventID
	saidName string
	sent     int64
}

const roomColumns = `r.id, r.room, r.key, r.name, r.topic_sealed, r.alias, r.server, r.creator, r.type, r.version, r.encrypted,
	r.membership, r.predecessor, r.successor, r.created, r.skip, r.newest, r.said_name, r.landed_name, r.state, r.revision, r.landed, r.sent,
	r.said_text_sealed, r.landed_text_sealed, r.avatar, r.removed, r.parents, r.children, r.astray`

func (l *Ledger) scanRoom(row dbutil.Scannable) (*roomRow, error) {
	var r roomRow
	var topic, saidText, landedText []byte
	var created int64
	s, room := &r.state, &r.state.Room
	if err := row.Scan(&r.id, &room.ID, &s.Key, &room.Name, &topic, &room.Alias, &room.Server, &room.Creator, &room.Type,
		&room.Version, &room.Encrypted, &room.Membership, &room.Predecessor, &room.Successor, &created, &r.skip, &r.newest,
		&r.saidName, &s.SentName, &r.row, &s.Revision, &s.Landed, &r.sent,
		&saidText, &landedText, &room.Avatar, &room.Removed, &room.Parents, &room.Children, &room.Astray); err != nil {
		return nil, err
	}
	room.Created = moment(created)
	var err error
	if s.Text, err = l.unsealText(saidText, room.ID); err != nil {
		return nil, err
	}
	if s.SentText, err = l.unsealText(landedText, room.ID); err != nil {
		return nil, err
	}
	if topic != nil {
		plain, err := l.store.Unseal(topic, topicPlace(room.ID))
		if err != nil {
			return nil, fmt.Errorf("read topic: %w", err)
		}
		room.Topic = string(plain)
	}
	return &r, nil
}

// unsealText reads a digest of a room's description.
func (l *Ledger) unsealText(sealed []byte, room id.RoomID) (string, error) {
	if sealed == nil {
		return "", nil
	}
	plain, err := l.store.Unseal(sealed, textPlace(room))
	return string(plain), wrap("read digest of description", err)
}

// sealText is the other way; nil for none.
func (l *Ledger) sealText(digest string, room id.RoomID) ([]byte, error) {
	if digest == "" {
		return nil, nil
	}
	return l.store.Seal([]byte(digest), textPlace(room))
}

func textPlace(room id.RoomID) string { return "text " + string(room) }

func topicPlace(room id.RoomID) string { return "topic " + string(room) }

// room gives the row of a room, and makes it when the room is seen for the first time.
func (r *recorder) room(ctx context.Context, name id.RoomID) (*roomRow, error) {
	if row, ok := r.rooms[name]; ok {
		return row, nil
	}
	row, err := r.findRoom(ctx, name)
	if err != nil {
		return nil, err
	}
	if row == nil {
		room := timeline.Room{ID: name, Name: string(name)}
		key, err := r.key(ctx, "ledger_room", string(name))
		if err != nil {
			return nil, err
		}
		if _, err := r.run(ctx, "INSERT INTO ledger_room (room, folded, key, name, skip) VALUES (?,?,?,?,?)",
			name, fold(string(name)), key, room.Name, r.rule(room)); err != nil {
			return nil, fmt.Errorf("insert room: %w", err)
		}
		if row, err = r.findRoom(ctx, name); err != nil {
			return nil, err
		}
	}
	r.rooms[name] = row
	return row, nil
}

// findRoom gives nil for a room that was never seen.
func (l *Ledger) findRoom(ctx context.Context, name id.RoomID) (found *roomRow, err error) {
	err = l.each(ctx, func(row dbutil.Scannable) error {
		found, err = l.scanRoom(row)
		return err
	}, "SELECT "+roomColumns+" FROM ledger_room r WHERE r.room = ?", name)
	if err != nil {
		return nil, fmt.Errorf("look up room: %w", err)
	}
	return found, nil
}

// recordRoom updates what is known of a room. When that changes what its Channel says,
// the room has a new revision.
func (r *recorder) recordRoom(ctx context.Context, room timeline.Room) error {
	row, err := r.room(ctx, room.ID)
	if err != nil {
		return err
	}
	old := row.state.Room
	// m.room.create cannot change, and encryption cannot be switched off; a batch that
	// does not show them says nothing about them.
	room.Encrypted = room.Encrypted || old.Encrypted
	keep(&room.Name, old.Name)
	keep(&room.Server, old.Server)
	keep(&room.Creator, old.Creator)
	keep(&room.Type, old.Type)
	keep(&room.Version, old.Version)
	keep(&room.Predecessor, old.Predecessor)
	keep(&room.Membership, old.Membership)
	if room.Created.IsZero() {
		room.Created = old.Created
	}
	room.Created = moment(millis(room.Created)) // as it is stored, to compare
	if room == old {
		return nil
	}
	said := func(r timeline.Room) timeline.Room {
		r.Creator, r.Version, r.Children, r.Astray = "", "", "", false
		if r.Membership != timeline.MembershipLeave && r.Membership != timeline.MembershipBan {
			r.Membership = "" // joined, invited, or not known: it is read
		}
		return r
	}
	var topic []byte
	if room.Topic != "" {
		if topic, err = r.store.Seal([]byte(room.Topic), topicPlace(room.ID)); err != nil {
			return err
		}
	}
	row.state.Room = room
	_, err = r.run(ctx, `UPDATE ledger_room SET name = ?, topic_sealed = ?, alias = ?, server = ?, creator = ?, type = ?,
		version = ?, encrypted = ?, membership = ?, predecessor = ?, successor = ?, created = ?, avatar = ?, removed = ?,
		parents = ?, children = ?, astray = ? WHERE id = ?`,
		room.Name, topic, room.Alias, room.Server, room.Creator, room.Type,
		room.Version, room.Encrypted, room.Membership, room.Predecessor, room.Successor, millis(room.Created), room.Avatar, room.Removed,
		room.Parents, room.Children, room.Astray, row.id)
	if err != nil {
		return fmt.Errorf("update room: %w", err)
	}
	if err := r.raiseLinked(ctx, old, room); err != nil {
		return err
	}
	// A rule may go by alias or type, which is known only by now.
	if err := r.reconsiderRoom(ctx, row); err != nil {
		return err
	}
	if said(room) == said(old) {
		return nil
	}
	row.state.Revision++
	return r.raise(ctx, tableRoom, row.id)
}

// keep fills in what is not said.
func keep[T ~string](value *T, old T) {
	if *value == "" {
		*value = old
	}
}

// key is what an object's id is made of: the Matrix id itself, unless another one that
// differs only in case has it already. Object ids fold case (opencti.md §12.3), so the
// second of two such twins gets a short hash of its exact id. So does an id in which not
// everything can be seen: the platform shows keys as names.
func (l *Ledger) key(ctx context.Context, table, exact string) (string, error) {
	var twins int
	if err := l.queryRow(ctx, "SELECT count(*) FROM "+table+" WHERE folded = ?", fold(exact)).Scan(&twins); err != nil {
		return "", fmt.Errorf("look up case twins: %w", err)
	}
	if twins == 0 && shown(exact) == exact {
		return exact, nil
	}
	return TwinKey(exact), nil
}

// TwinKey is the key of a room or author whose own id is taken: the id, "#", and the
// first eight hex digits of the SHA-256 of the exact id.
func TwinKey(exact string) string {
	sum := sha256.Sum256([]byte(exact))
	return shown(exact) + "#" + hex.EncodeToString(sum[:4])
}

// shown is an id without what could not be seen, or could reverse what stands beside it.
func shown(exact string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, exact)
}

// fold is how object ids fold a name: lower case, trimmed.
func fold(text string) string {
	return strings.TrimSpace(cases.Lower(language.Und).String(text))
}

// Room gives what is known of a room; [ErrUnknown] when it was never seen.
func (l *Ledger) Room(ctx context.Context, room id.RoomID) (timeline.RoomState, error) {
	row, err := l.findRoom(ctx, room)
	if err != nil {
		return timeline.RoomState{}, err
	}
	if row == nil {
		return timeline.RoomState{}, fmt.Errorf("look up room: %w", ErrUnknown)
	}
	return row.state, l.linkRoom(ctx, &row.state)
}

// Rooms lists all rooms, in the order in which they were first seen.
func (l *Ledger) Rooms(ctx context.Context) ([]timeline.RoomState, error) {
	var rooms []timeline.RoomState
	err := l.each(ctx, func(row dbutil.Scannable) error {
		r, err := l.scanRoom(row)
		if err == nil {
			rooms = append(rooms, r.state)
		}
		return err
	}, "SELECT "+roomColumns+" FROM ledger_room r ORDER BY r.id")
	if err != nil {
		return nil, fmt.Errorf("list rooms: %w", err)
	}
	return rooms, nil
}

// SetRoomKey says what the Channel's id is to be made of, where it is not the room
// id: the sink holds a Channel that carries another room's id. Call it before the
// room is first sent; a room that had landed is due again as if it had not.
func (l *Ledger) SetRoomKey(ctx context.Context, room id.RoomID, key string) error {
	return l.do(ctx, "set room key", func(ctx context.Context) error {
		row, err := l.find(ctx, Ref{Kind: KindRoom, Room: room})
		if err != nil {
			return err
		}
		changed, err := l.exec(ctx, "UPDATE ledger_room SET key = ?, landed = 0, landed_name = '', landed_text_sealed = NULL WHERE id = ? AND key <> ?", key, row.id, key)
		if err != nil || changed == 0 {
			return err
		}
		return l.raise(ctx, tableRoom, row.id)
	})
}

// SetAuthorKey says what the Individual's id is to be made of, where it is not the
// MXID: the sink holds another person under it. Call it before the author is first
// sent.
func (l *Ledger) SetAuthorKey(ctx context.Context, user id.UserID, key string) error {
	return l.do(ctx, "set author key", func(ctx context.Context) error {
		row, err := l.find(ctx, Ref{Kind: KindAuthor, User: user})
		if err != nil {
			return err
		}
		changed, err := l.exec(ctx, "UPDATE ledger_author SET key = ?, landed = 0 WHERE id = ? AND key <> ?", key, row.id, key)
		if err != nil || changed == 0 {
			return err
		}
		return l.raise(ctx, tableAuthor, row.id)
	})
}
