package ledger

import (
	"context"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Wanted lists attachments to fetch whose time has come, live ones first.
func (l *Ledger) Wanted(ctx context.Context, max int) ([]timeline.Attachment, error) {
	panic("not written")
}

// Fetched notes what fetching brought: a.Spool, a.SpoolKey, a.SHA256, a.Bytes,
// a.MediaType. It answers [ErrTransition] when the attachment is no longer wanted
// (its message was edited or redacted meanwhile): then the spool file is to be
// removed.
func (l *Ledger) Fetched(ctx context.Context, a timeline.Attachment) error { panic("not written") }

// Refuse notes that an attachment is not fetched by policy ("too_large",
// "media_type"). Its post gets a new revision, so that it can say so.
func (l *Ledger) Refuse(ctx context.Context, a timeline.Attachment, reason string) error {
	panic("not written")
}

// Lose notes that an attachment cannot be had any more ("not_found", "hash_mismatch").
// Its post gets a new revision, so that it can say so.
func (l *Ledger) Lose(ctx context.Context, a timeline.Attachment, reason string) error {
	panic("not written")
}

// DeferAttachment makes a wanted or fetched attachment wait by the retry curve and
// gives the number of failures in a row.
func (l *Ledger) DeferAttachment(ctx context.Context, a timeline.Attachment, class Class, reason string) (failures int, err error) {
	panic("not written")
}

// Spoilt makes a fetched attachment wanted again, because its spool file is gone or
// damaged, and counts as a failure.
func (l *Ledger) Spoilt(ctx context.Context, a timeline.Attachment, reason string) error {
	panic("not written")
}

// ReadyToAttach lists fetched attachments whose post has landed and whose time has
// come. [Ledger.Draft] gives the post.
func (l *Ledger) ReadyToAttach(ctx context.Context, max int) ([]timeline.Attachment, error) {
	panic("not written")
}

// Attached notes that the sink holds an attachment, and gives the name of the spool
// file, which may be removed now.
func (l *Ledger) Attached(ctx context.Context, a timeline.Attachment) (spool string, err error) {
	panic("not written")
}

// Spooled gives the names of all spool files that rows name, for [store.Spool.Sweep].
func (l *Ledger) Spooled(ctx context.Context) (map[string]bool, error) { panic("not written") }
