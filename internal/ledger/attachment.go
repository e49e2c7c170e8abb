package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// AttachmentState is the state of an attachment (closed set; see the package comment).
type AttachmentState string

// The states of an attachment.
const (
	AttachmentWanted   AttachmentState = "wanted"
	AttachmentFetched  AttachmentState = "fetched"
	AttachmentAttached AttachmentState = "attached"
	AttachmentRefused  AttachmentState = "refused"
	AttachmentLost     AttachmentState = "lost"
)

// fetched is what fetching found out and what is sealed of it.
type fetched struct {
	Key       []byte `json:"key,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	MediaType string `json:"media_type,omitempty"`
}

// announced is a timeline.File as it is sealed. The address is kept in two parts: one
// that was refused as invalid must be readable, too.
type announced struct {
	Index      int    `json:"index"`
	Name       string `json:"name,omitempty"`
	Homeserver string `json:"homeserver,omitempty"`
	Media      string `json:"media,omitempty"`
	Key        []byte `json:"key,omitempty"`
	MimeType   string `json:"mime_type,omitempty"`
	Size       int64  `json:"size,omitempty"`
	Problem    string `json:"problem,omitempty"`
}

func announcedOf(f timeline.File) announced {
	return announced{f.Index, f.Name, f.URI.Homeserver, f.URI.FileID, f.Key, f.MimeType, f.Size, f.Problem}
}

func (a announced) file() timeline.File {
	return timeline.File{
		Index: a.Index, Name: a.Name, URI: id.ContentURI{Homeserver: a.Homeserver, FileID: a.Media},
		Key: a.Key, MimeType: a.MimeType, Size: a.Size, Problem: a.Problem,
	}
}

const attachmentColumns = `t.id, t.post, r.room, p.event, t.sent, t.state, t.file_sealed, t.fetched_sealed, t.spool, t.bytes, t.attempts, t.reason`

const attachmentJoin = ` FROM ledger_attachment t CROSS JOIN ledger_post p ON p.id = t.post CROSS JOIN ledger_room r ON r.id = p.room `

type attachmentRow struct {
	id, post int64
	state    AttachmentState
	attempts int
	reason   string
	value    timeline.Attachment
}

func (l *Ledger) scanAttachment(row dbutil.Scannable) (attachmentRow, error) {
	var (
		r               attachmentRow
		sent            int64
		file, fetchings []byte
	)
	a := &r.value
	if err := row.Scan(&r.id, &r.post, &a.Room, &a.Event, &sent, &r.state, &file, &fetchings, &a.Spool, &a.Bytes, &r.attempts, &r.reason); err != nil {
		return attachmentRow{}, err
	}
	a.Sent = time.UnixMilli(sent).UTC()
	var f announced
	if err := l.open(file, filePlace("file", a.Room, a.Event), &f); err != nil {
		return attachmentRow{}, fmt.Errorf("read attachment: %w", err)
	}
	a.File = f.file()
	if fetchings != nil {
		var f fetched
		if err := l.open(fetchings, filePlace("fetched", a.Room, a.Event), &f); err != nil {
			return attachmentRow{}, fmt.Errorf("read attachment: %w", err)
		}
		a.SpoolKey, a.SHA256, a.MediaType = f.Key, f.SHA256, f.MediaType
	}
	if r.state == AttachmentRefused || r.state == AttachmentLost {
		a.Refused = r.reason
	}
	return r, nil
}

func filePlace(what string, room id.RoomID, event id.EventID) string {
	return what + " " + string(room) + " " + string(event)
}

func (l *Ledger) open(sealed []byte, place string, into any) error {
	plain, err := l.store.Unseal(sealed, place)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}

func (l *Ledger) close(value any, place string) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return l.store.Seal(plain, place)
}

// recordFiles makes a row for each file of a post. One that came with an edit which was
// taken back is withdrawn. A fresh post has no rows yet.
func (r *recorder) recordFiles(ctx context.Context, room id.RoomID, post timeline.Post, postID int64, fresh bool) error {
	var stored []attachmentRow
	if !fresh {
		var err error
		if stored, err = r.readAttachments(ctx, "WHERE t.post = ?", postID); err != nil {
			return err
		}
	}
	for _, file := range post.Files {
		state, reason := AttachmentWanted, ""
		if file.Problem != "" {
			state, reason = AttachmentRefused, file.Problem
		}
		sealed, err := r.close(announcedOf(file), filePlace("file", room, post.ID))
		if err != nil {
			return err
		}
		at := slices.IndexFunc(stored, func(a attachmentRow) bool { return a.value.File.Index == file.Index })
		switch {
		case at < 0:
			_, err = r.run(ctx, `INSERT INTO ledger_attachment (post, idx, live, place, sent, state, reason, file_sealed)
				SELECT id, ?, live, place, ?, ?, ?, ? FROM ledger_post WHERE id = ?`,
				file.Index, post.Sent.UnixMilli(), state, reason, sealed, postID)
		case stored[at].value.File.URI != file.URI || !bytes.Equal(stored[at].value.File.Key, file.Key):
			_, err = r.run(ctx, `UPDATE ledger_attachment SET state = ?, reason = ?, file_sealed = ?, fetched_sealed = NULL,
				spool = '', bytes = 0, due_at = 0, attempts = 0, class = '' WHERE id = ?`, state, reason, sealed, stored[at].id)
		}
		if err != nil {
			return fmt.Errorf("record attachment: %w", err)
		}
	}
	if fresh {
		return nil
	}
	return r.withdraw(ctx, postID, post.Files)
}

func (l *Ledger) readAttachments(ctx context.Context, where string, args ...any) ([]attachmentRow, error) {
	var rows []attachmentRow
	err := l.each(ctx, func(row dbutil.Scannable) error {
		a, err := l.scanAttachment(row)
		if err == nil {
			rows = append(rows, a)
		}
		return err
	}, "SELECT "+attachmentColumns+attachmentJoin+where, args...)
	return rows, wrap("read attachments", err)
}

// attachmentsOf gives what a draft says of its files: all but those still wanted.
func (l *Ledger) attachmentsOf(ctx context.Context, posts []int64) (map[int64][]timeline.Attachment, error) {
	out := map[int64][]timeline.Attachment{}
	for posts := range slices.Chunk(posts, chunk) {
		in, args := list(nil, posts)
		rows, err := l.readAttachments(ctx, "WHERE t.post IN "+in+" AND t.state <> 'wanted' ORDER BY t.post, t.idx", args...)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			out[row.post] = append(out[row.post], row.value)
		}
	}
	return out, nil
}

func values(rows []attachmentRow, err error) ([]timeline.Attachment, error) {
	out := make([]timeline.Attachment, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.value)
	}
	return out, err
}

// Wanted lists attachments to fetch whose time has come, live ones first.
func (l *Ledger) Wanted(ctx context.Context, limit int) ([]timeline.Attachment, error) {
	return values(l.readAttachments(ctx, `WHERE t.state = 'wanted' AND t.due_at <= ? AND r.skip = ''
		ORDER BY t.live DESC, t.place, t.id LIMIT ?+0`, l.now(), limit))
}

// ReadyToAttach lists fetched attachments whose post has landed and whose time has
// come. [Ledger.Draft] gives the post.
func (l *Ledger) ReadyToAttach(ctx context.Context, limit int) ([]timeline.Attachment, error) {
	return values(l.readAttachments(ctx, `WHERE t.state = 'fetched' AND t.due_at <= ? AND p.landed > 0 AND p.dropped = 0
		ORDER BY t.live DESC, t.place, t.id LIMIT ?+0`, l.now(), limit))
}

// findAttachment looks up a row, and checks that it is in one of the states and still
// about the same file.
func (l *Ledger) findAttachment(ctx context.Context, a timeline.Attachment, from ...AttachmentState) (attachmentRow, error) {
	row, err := l.scanAttachment(l.queryRow(ctx, "SELECT "+attachmentColumns+` FROM ledger_room r CROSS JOIN ledger_post p ON p.room = r.id
		CROSS JOIN ledger_attachment t ON t.post = p.id WHERE r.room = ? AND p.event = ? AND t.idx = ?`, a.Room, a.Event, a.File.Index))
	if errors.Is(err, sql.ErrNoRows) {
		return attachmentRow{}, ErrUnknown
	}
	if err != nil {
		return attachmentRow{}, fmt.Errorf("look up attachment: %w", err)
	}
	if !slices.Contains(from, row.state) {
		return attachmentRow{}, fmt.Errorf("from %s: %w", row.state, ErrTransition)
	}
	if row.value.File.URI != a.File.URI {
		return attachmentRow{}, fmt.Errorf("another file by now: %w", ErrTransition)
	}
	return row, nil
}

// Fetched notes what fetching brought: a.Spool, a.SpoolKey, a.SHA256, a.Bytes,
// a.MediaType. It answers [ErrTransition] when the attachment is no longer wanted
// (its message was edited or redacted meanwhile): then the spool file is to be
// removed.
func (l *Ledger) Fetched(ctx context.Context, a timeline.Attachment) error {
	return l.do(ctx, "note fetched attachment", func(ctx context.Context) error {
		row, err := l.findAttachment(ctx, a, AttachmentWanted)
		if err != nil {
			return err
		}
		sealed, err := l.close(fetched{Key: a.SpoolKey, SHA256: a.SHA256, MediaType: a.MediaType}, filePlace("fetched", a.Room, a.Event))
		if err != nil {
			return err
		}
		_, err = l.run(ctx, `UPDATE ledger_attachment SET state = 'fetched', fetched_sealed = ?, spool = ?, bytes = ?,
			due_at = 0, attempts = 0, class = '', reason = '' WHERE id = ?`, sealed, a.Spool, a.Bytes, row.id)
		return err
	})
}

// Refuse notes that an attachment is not fetched by policy ("too_large",
// "media_type"). Its post gets a new revision, so that it can say so.
func (l *Ledger) Refuse(ctx context.Context, a timeline.Attachment, reason string) error {
	return l.giveUp(ctx, a, AttachmentRefused, reason)
}

// Lose notes that an attachment cannot be had any more ("not_found", "hash_mismatch").
// Its post gets a new revision, so that it can say so.
func (l *Ledger) Lose(ctx context.Context, a timeline.Attachment, reason string) error {
	return l.giveUp(ctx, a, AttachmentLost, reason)
}

func (l *Ledger) giveUp(ctx context.Context, a timeline.Attachment, state AttachmentState, reason string) error {
	return l.do(ctx, "give attachment up", func(ctx context.Context) error {
		row, err := l.findAttachment(ctx, a, AttachmentWanted, AttachmentFetched)
		if err != nil {
			return err
		}
		_, err = l.run(ctx, "UPDATE ledger_attachment SET state = ?, reason = ?, class = 'permanent', due_at = 0, spool = '' WHERE id = ?",
			state, reason, row.id)
		if err != nil {
			return err
		}
		if _, err := l.run(ctx, outdate); err != nil {
			return fmt.Errorf("count change: %w", err)
		}
		return l.raise(ctx, tablePost, row.post)
	})
}

// DeferAttachment makes a wanted or fetched attachment wait by the retry curve and
// gives the number of failures in a row.
func (l *Ledger) DeferAttachment(ctx context.Context, a timeline.Attachment, class Class, reason string) (failures int, err error) {
	err = l.do(ctx, "defer attachment", func(ctx context.Context) error {
		row, err := l.findAttachment(ctx, a, AttachmentWanted, AttachmentFetched)
		if err != nil {
			return err
		}
		failures = row.attempts + 1
		_, err = l.run(ctx, "UPDATE ledger_attachment SET attempts = ?, due_at = ?, class = ?, reason = ? WHERE id = ?",
			failures, l.now()+Delay(failures).Milliseconds(), class, reason, row.id)
		return err
	})
	return failures, err
}

// Spoilt makes a fetched attachment wanted again, because its spool file is gone or
// damaged, and counts as a failure.
func (l *Ledger) Spoilt(ctx context.Context, a timeline.Attachment, reason string) error {
	return l.do(ctx, "fetch attachment again", func(ctx context.Context) error {
		row, err := l.findAttachment(ctx, a, AttachmentFetched)
		if err != nil {
			return err
		}
		failures := row.attempts + 1
		_, err = l.run(ctx, `UPDATE ledger_attachment SET state = 'wanted', fetched_sealed = NULL, spool = '', bytes = 0,
			attempts = ?, due_at = ?, class = 'temporary', reason = ? WHERE id = ?`,
			failures, l.now()+Delay(failures).Milliseconds(), reason, row.id)
		return err
	})
}

// Attached notes that the sink holds an attachment, and gives the name of the spool
// file, which may be removed now.
func (l *Ledger) Attached(ctx context.Context, a timeline.Attachment) (spool string, err error) {
	err = l.do(ctx, "note attachment", func(ctx context.Context) error {
		row, err := l.findAttachment(ctx, a, AttachmentFetched)
		if err != nil {
			return err
		}
		spool = row.value.Spool
		_, err = l.run(ctx, "UPDATE ledger_attachment SET state = 'attached', attached_at = ?, spool = '', due_at = 0, attempts = 0, class = '', reason = '' WHERE id = ?", l.now(), row.id)
		return err
	})
	return spool, err
}

func (l *Ledger) requeueAttachment(ctx context.Context, r Ref) error {
	var rowID, post int64
	var state AttachmentState
	var dropped bool
	var reason string
	err := l.queryRow(ctx, `SELECT t.id, t.state, t.reason, p.id, p.dropped FROM ledger_room r CROSS JOIN ledger_post p ON p.room = r.id
		CROSS JOIN ledger_attachment t ON t.post = p.id WHERE r.room = ? AND p.event = ? AND t.idx = ?`, r.Room, r.Event, r.Index).Scan(&rowID, &state, &reason, &post, &dropped)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	if state != AttachmentLost && state != AttachmentRefused || reason == reasonRedacted {
		return fmt.Errorf("from %s: %w", state, ErrTransition)
	}
	_, err = l.run(ctx, `UPDATE ledger_attachment SET state = 'wanted', fetched_sealed = NULL, bytes = 0, due_at = 0, attempts = 0,
		class = '', reason = '' WHERE id = ?`, rowID)
	if err != nil || !dropped {
		return err
	}
	return l.raise(ctx, tablePost, post) // a file is added to a post that can be said
}

// Spooled gives the names of all spool files that rows name, for [store.Spool.Sweep].
func (l *Ledger) Spooled(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	err := l.each(ctx, func(row dbutil.Scannable) error {
		var name string
		err := row.Scan(&name)
		names[name] = true
		return err
	}, "SELECT spool FROM ledger_attachment WHERE state = 'fetched'")
	return names, wrap("list spool files", err)
}
