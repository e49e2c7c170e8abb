package connector

import (
	"context"
	"io"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Sink is where bundles go: an OpenCTI platform, or a directory.
//
// The order for one batch is Begin, store the receipt, Publish, then Settle
// until it gives verdicts. A crash at any point is answered by Settle with the
// stored receipt.
type Sink interface {
	// Begin opens a receipt for a batch of so many objects. It is stored before
	// anything is published.
	Begin(ctx context.Context, objects int) (receipt string, err error)
	// Publish sends the objects in dependency order and returns once the sink has
	// taken responsibility for all of them. It is called at most once for a
	// receipt.
	Publish(ctx context.Context, receipt string, b stix.Bundle) error
	// Settle reports what became of the objects. It returns [stix.ErrPending] while the
	// sink is still at work, and [stix.ErrLapsed] when the receipt can no longer lead to
	// anything, so that the batch is to be sent again.
	Settle(ctx context.Context, receipt string, b stix.Bundle) (stix.Verdicts, error)
	// Amend changes objects that have landed and now say something else.
	Amend(ctx context.Context, b stix.Bundle) (stix.Verdicts, error)
	// Revise gives a landed Channel its new name and description, each only where the
	// sink still holds what was written, so that an analyst's words are respected. It
	// gives what is to be remembered as written. [stix.ErrGone] when the object is not
	// there.
	Revise(ctx context.Context, channel *stix.Channel, written stix.Written) (stix.Written, error)
	// Find reports which of the ids the sink knows, and what stands there.
	Find(ctx context.Context, ids []stix.ID) (map[stix.ID]stix.Found, error)
	// Attach adds a file to a landed object. Attaching the same bytes under the same
	// name again changes nothing.
	Attach(ctx context.Context, to stix.ID, f stix.File, r io.Reader) error
	// Detach removes a file from an object, by its name. What is not there is no error.
	Detach(ctx context.Context, from stix.ID, name string) error
	// Delete removes an object with its relations and files, for good where it can. What
	// is not there is no error.
	Delete(ctx context.Context, id stix.ID) error
}
