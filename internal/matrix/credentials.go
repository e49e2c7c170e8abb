package matrix

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"
)

// credentials are what one device acts with.
type credentials struct {
	User      id.UserID
	Device    id.DeviceID
	Token     string // empty between choosing the device id and the login
	PickleKey []byte // ours, random: encrypts the pickles in the crypto tables
	Own       bool   // the token was given by the operator
	// Grant is what renews the token; nil where nothing does: a login with a password,
	// or the operator's token.
	Grant *grant
}

// The places of the sealed values.
const (
	placeToken   = "matrix_account access_token "
	placePickle  = "matrix_account pickle_key "
	placeRefresh = "matrix_account refresh_token "
)

// loadLogin reads what an earlier start has stored.
func (a *Account) loadLogin(ctx context.Context) (found bool, err error) {
	var c credentials
	var g grant
	var token, pickle, refresh []byte
	var from, until int64
	columns := "client_id, refresh_token, token_from, token_until"
	// Who only looks may look at what an earlier version has left.
	if there, err := a.store.DB().ColumnExists(ctx, "matrix_account", "refresh_token"); err != nil {
		return false, fmt.Errorf("read account: %w", err)
	} else if !there {
		columns = "'', NULL, 0, 0"
	}
	err = a.store.DB().QueryRow(ctx, "SELECT user_id, device_id, access_token, pickle_key, own_token, "+columns+" FROM matrix_account").
		Scan(&c.User, &c.Device, &token, &pickle, &c.Own, &g.Client, &refresh, &from, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read account: %w", err)
	}
	if c.User != a.config.UserID {
		return false, a.refused(ReasonStore, fmt.Errorf("it holds %s", c.User))
	}
	plain, err := a.store.Unseal(token, placeToken+c.User.String())
	if err != nil {
		return false, fmt.Errorf("read access token: %w", err)
	}
	c.Token = string(plain)
	if c.PickleKey, err = a.store.Unseal(pickle, placePickle+c.User.String()); err != nil {
		return false, fmt.Errorf("read pickle key: %w", err)
	}
	if refresh != nil {
		plain, err := a.store.Unseal(refresh, placeRefresh+c.User.String())
		if err != nil {
			return false, fmt.Errorf("read refresh token: %w", err)
		}
		g.Refresh, g.From = string(plain), time.UnixMilli(from)
		if until != 0 {
			g.Until = time.UnixMilli(until)
		}
		c.Grant = &g
	}
	a.acting.Store(&c)
	return true, nil
}

// saveLogin stores the credentials of a login, and acts with them from here on. A
// renewal that is under way is waited for: it belongs to the login before.
func (a *Account) saveLogin(ctx context.Context, c credentials) error {
	release, err := a.renewal.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := a.storeLogin(ctx, c); err != nil {
		return err
	}
	a.renewal.begin()
	a.use(c)
	return nil
}

// storeLogin stores the credentials. The caller has the renewal's turn.
func (a *Account) storeLogin(ctx context.Context, c credentials) error {
	token, err := a.store.Seal([]byte(c.Token), placeToken+c.User.String())
	if err != nil {
		return fmt.Errorf("seal access token: %w", err)
	}
	pickle, err := a.store.Seal(c.PickleKey, placePickle+c.User.String())
	if err != nil {
		return fmt.Errorf("seal pickle key: %w", err)
	}
	var client string
	var refresh any
	var from, until int64
	if g := c.Grant; g != nil {
		sealed, err := a.store.Seal([]byte(g.Refresh), placeRefresh+c.User.String())
		if err != nil {
			return fmt.Errorf("seal refresh token: %w", err)
		}
		client, refresh, from = g.Client, sealed, g.From.UnixMilli()
		if !g.Until.IsZero() {
			until = g.Until.UnixMilli()
		}
	}
	err = a.store.Do(ctx, func(ctx context.Context) error {
		_, err := a.store.DB().Exec(ctx, `
			INSERT INTO matrix_account (user_id, homeserver, device_id, access_token, pickle_key, own_token, created_at,
				client_id, refresh_token, token_from, token_until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (user_id) DO UPDATE SET homeserver=excluded.homeserver, device_id=excluded.device_id,
				access_token=excluded.access_token, pickle_key=excluded.pickle_key, own_token=excluded.own_token,
				client_id=excluded.client_id, refresh_token=excluded.refresh_token, token_from=excluded.token_from,
				token_until=excluded.token_until`,
			c.User, a.client.HomeserverURL.String(), c.Device, token, pickle, c.Own, a.now().UnixMilli(), client, refresh, from, until)
		return err
	})
	if err != nil {
		return fmt.Errorf("store account: %w", err)
	}
	return nil
}
