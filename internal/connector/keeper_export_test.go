package connector

import (
	"context"
	"log/slog"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

// RecoveryFile is recoveryFile.
var RecoveryFile = recoveryFile

// KeeperTurn is one turn of a keeper that has just started.
func KeeperTurn(ctx context.Context, a *matrix.Account) error {
	k := &keeper{account: a, welcome: func(id.UserID) bool { return true }, log: slog.New(slog.DiscardHandler), now: time.Now, vitals: new(vitals)}
	_, err := k.turn(ctx)
	return err
}
