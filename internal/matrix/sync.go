package matrix

import "context"

// Sync makes one request for news, and records what it brings.
func (a *Account) Sync(context.Context) error { return nil }
