package ledger

import (
	"context"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Stored is the version of the ledger's tables in a store; 0 where it has none.
// store.ErrNewer when this program does not know it.
func Stored(ctx context.Context, s *store.Store) (int, error) {
	return s.TablesVersion(ctx, "ledger_version", upgrades())
}
