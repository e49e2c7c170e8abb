package matrix

import "context"

// storeInvites notes the invites of a response, inside its transaction.
func (a *Account) storeInvites(context.Context, *response) error { return nil }

// acceptInvites answers invites that are due, after the commit.
func (a *Account) acceptInvites(context.Context) error { return nil }
