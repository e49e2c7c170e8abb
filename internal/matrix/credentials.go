package matrix

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// credentials are what one device acts with.
type credentials struct {
	User      id.UserID
	Device    id.DeviceID
	Token     string // empty between choosing the device id and the login
	PickleKey []byte // ours, random: encrypts the pickles in the crypto tables
	Own       bool   // the token was given by the operator
}

// The places of the sealed values.
const (
	placeToken  = "matrix_account access_token "
	placePickle = "matrix_account pickle_key "
)

// loadLogin reads what an earlier start has stored.
func (a *Account) loadLogin(ctx context.Context) (found bool, err error) {
	var c credentials
	var token, pickle []byte
	err = a.store.DB().QueryRow(ctx, "SELECT user_id, device_id, access_token, pickle_key, own_token FROM matrix_account").
		Scan(&c.User, &c.Device, &token, &pickle, &c.Own)
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
	a.acting.Store(&c)
	return true, nil
}

// saveLogin stores the credentials and acts with them from here on.
func (a *Account) saveLogin(ctx context.Context, c credentials) error {
	token, err := a.store.Seal([]byte(c.Token), placeToken+c.User.String())
	if err != nil {
		return fmt.Errorf("seal access token: %w", err)
	}
	pickle, err := a.store.Seal(c.PickleKey, placePickle+c.User.String())
	if err != nil {
		return fmt.Errorf("seal pickle key: %w", err)
	}
	err = a.store.Do(ctx, func(ctx context.Context) error {
		_, err := a.store.DB().Exec(ctx, `
			INSERT INTO matrix_account (user_id, homeserver, device_id, access_token, pickle_key, own_token, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (user_id) DO UPDATE SET homeserver=excluded.homeserver, device_id=excluded.device_id,
				access_token=excluded.access_token, pickle_key=excluded.pickle_key, own_token=excluded.own_token`,
			c.User, a.client.HomeserverURL.String(), c.Device, token, pickle, c.Own, a.now().UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("store account: %w", err)
	}
	a.use(c)
	return nil
}
