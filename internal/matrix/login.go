package matrix

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// credentials are what one device acts with.
type credentials struct {
	User      id.UserID
	Device    id.DeviceID
	Token     string
	PickleKey []byte // ours, random; encrypts the crypto tables' pickles
	Own       bool   // the token was given by the operator
}

// Reason says why an account cannot be used (closed set).
type Reason string

// The reasons.
const (
	ReasonUserID Reason = "user_id" // the user id is not one
)

// LoginError says why the account cannot be used, and what cures it.
type LoginError struct {
	Reason Reason
	Server string
	User   id.UserID
	Err    error
}

func (e *LoginError) Error() string { return fmt.Sprintf("log in as %s: %s", e.User, e.Reason) }
func (e *LoginError) Unwrap() error { return e.Err }

// Open logs in, or uses again what an earlier start has stored.
func (a *Account) Open(context.Context) error { return errors.New("open account: not ready") }
