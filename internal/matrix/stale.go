package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// errNoAnswer is a user's homeserver that did not answer for its user's devices.
var errNoAnswer = errors.New("no answer for the user")

// keyAnswer is what /keys/query said of the users that were asked for. What could
// not be read of a user is left out; other users do not suffer from it.
type keyAnswer struct {
	asked   []id.UserID
	failed  []id.UserID // to be asked again
	devices map[id.UserID]json.RawMessage
	// master, selfSigning and userSigning are the users' cross-signing keys.
	master, selfSigning, userSigning map[id.UserID]json.RawMessage
}

// queryKeys asks for the devices and cross-signing keys of users. Only a failure
// of the whole is an error; users without an answer are listed.
func (a *Account) queryKeys(ctx context.Context, users []id.UserID) (keyAnswer, error) {
	answer := keyAnswer{
		devices: map[id.UserID]json.RawMessage{}, master: map[id.UserID]json.RawMessage{},
		selfSigning: map[id.UserID]json.RawMessage{}, userSigning: map[id.UserID]json.RawMessage{},
	}
	var last error
	for chunk := range slices.Chunk(users, a.config.Limits.QueryUsers) {
		answer.asked = append(answer.asked, chunk...)
		if last != nil && Classify(last).Class != ClassTemporary {
			answer.failed = append(answer.failed, chunk...)
			continue
		}
		if err := a.queryChunk(ctx, chunk, &answer); err != nil {
			last = err
			answer.failed = append(answer.failed, chunk...)
		}
	}
	if last != nil && len(answer.failed) == len(users) {
		return answer, fmt.Errorf("query keys: %w", last)
	}
	return answer, nil
}

func (a *Account) queryChunk(ctx context.Context, users []id.UserID, answer *keyAnswer) error {
	ctx, cancel := within(ctx)
	defer cancel()
	req := mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{}, Timeout: 10_000}
	for _, u := range users {
		req.DeviceKeys[u] = mautrix.DeviceIDList{}
	}
	body, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPost, URL: a.client.BuildClientURL("v3", "keys", "query"), RequestJSON: &req,
	})
	if err != nil {
		return err
	}
	silent := map[string]bool{}
	err = members(body, func(key string, value json.RawMessage) {
		var into map[id.UserID]json.RawMessage
		var fit func(json.RawMessage) json.RawMessage
		switch key {
		case "device_keys":
			into, fit = answer.devices, readableDevices
		case "master_keys":
			into, fit = answer.master, readableSigner
		case "self_signing_keys":
			into, fit = answer.selfSigning, readableSigner
		case "user_signing_keys":
			into, fit = answer.userSigning, readableSigner
		case "failures":
			_ = members(value, func(server string, _ json.RawMessage) { silent[server] = true })
			return
		default:
			return
		}
		_ = members(value, func(user string, value json.RawMessage) {
			// Nobody else's keys are taken on this occasion.
			if u := id.UserID(user); slices.Contains(users, u) {
				if fitting := fit(value); fitting != nil {
					into[u] = fitting
				}
			}
		})
	})
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	for _, u := range users {
		if answer.devices[u] == nil && silent[u.Homeserver()] {
			answer.failed = append(answer.failed, u)
		}
	}
	return nil
}

// readableDevices leaves out the devices that cannot be read.
func readableDevices(value json.RawMessage) json.RawMessage {
	kept := map[string]json.RawMessage{}
	err := members(value, func(device string, value json.RawMessage) {
		var keys mautrix.DeviceKeys
		if json.Unmarshal(value, &keys) == nil {
			kept[device] = value
		}
	})
	if err != nil {
		return nil
	}
	out, err := json.Marshal(kept)
	if err != nil {
		return nil
	}
	return out
}

func readableSigner(value json.RawMessage) json.RawMessage {
	var keys mautrix.CrossSigningKeys
	if json.Unmarshal(value, &keys) != nil {
		return nil
	}
	return value
}

// applyKeys stores what was learned of users' devices, and which users have to be
// asked for again. It runs in a transaction, after the requests.
func (a *Account) applyKeys(ctx context.Context, m *machine, answer keyAnswer) error {
	if len(answer.asked) == 0 {
		return nil
	}
	var good []id.UserID
	for _, u := range answer.asked {
		if slices.Contains(answer.failed, u) {
			if err := a.markStale(ctx, u); err != nil {
				return err
			}
			continue
		}
		good = append(good, u)
		if answer.devices[u] == nil {
			answer.devices[u] = json.RawMessage(`{}`) // no devices: known, and tracked
		}
	}
	if len(good) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"device_keys": answer.devices, "master_keys": answer.master,
		"self_signing_keys": answer.selfSigning, "user_signing_keys": answer.userSigning,
	})
	if err != nil {
		return fmt.Errorf("prepare device lists: %w", err)
	}
	prepared := &answers{bodies: map[string][]byte{"/keys/query": body}}
	if _, err := m.olm.FetchKeys(prepared.attach(ctx), good, true); err != nil {
		return fmt.Errorf("store device lists: %w", err)
	}
	for _, u := range good {
		if _, err := a.store.DB().Exec(ctx, "DELETE FROM matrix_stale_user WHERE user_id=$1", u); err != nil {
			return fmt.Errorf("forget stale user: %w", err)
		}
	}
	if slices.Contains(good, a.self().User) {
		m.outdated = true // it remembers whether the account had cross-signing keys
	}
	return nil
}

// The times between two attempts at a stale user: 1, 2, 4, 8, 16 min … 1 h.
const (
	firstStale = time.Minute
	lastStale  = time.Hour
)

// markStale notes that a user's devices have to be asked for again.
func (a *Account) markStale(ctx context.Context, user id.UserID) error {
	now := a.now().UnixMilli()
	_, err := a.store.DB().Exec(ctx, `
		INSERT INTO matrix_stale_user (user_id, since, attempts, due) VALUES ($1, $2, 1, $3)
		ON CONFLICT (user_id) DO UPDATE SET attempts=attempts+1, due=$2+min($4*(1<<min(attempts, 10)), $5)`,
		user, now, now+firstStale.Milliseconds(), firstStale.Milliseconds(), lastStale.Milliseconds())
	if err != nil {
		return fmt.Errorf("note stale user: %w", err)
	}
	return nil
}

// acquaint asks for the devices of users: those whose list has changed, those due
// for another attempt, and speakers in encrypted rooms that are not known yet,
// without whom each message would come from an unknown device. It makes requests,
// and must be called outside a transaction; applyKeys stores the answer.
//
// device_lists is not repeated by the homeserver, so that a failed query is a row
// to be worked off, not an error.
func (a *Account) acquaint(ctx context.Context, changed, speakers []id.UserID) (keyAnswer, error) {
	users, err := a.strangers(ctx, changed, speakers)
	if err != nil || len(users) == 0 {
		return keyAnswer{}, err
	}
	answer, err := a.queryKeys(ctx, users)
	if err != nil {
		if ctx.Err() != nil {
			return keyAnswer{}, ctx.Err()
		}
		a.log.WarnContext(ctx, "device lists not refreshed", slog.Int("count", len(users)),
			slog.Any("err", err), slog.String("class", string(Classify(err).Class)))
	}
	return answer, nil
}

// strangers picks whom to ask for.
func (a *Account) strangers(ctx context.Context, changed, speakers []id.UserID) ([]id.UserID, error) {
	pick := map[id.UserID]bool{}
	for _, u := range changed {
		if known, err := a.has(ctx, "SELECT 1 FROM crypto_tracked_user WHERE user_id=$1", u); err != nil {
			return nil, err
		} else if known {
			pick[u] = true
		}
	}
	for _, u := range speakers {
		if pick[u] {
			continue
		}
		known, err := a.has(ctx, "SELECT 1 FROM crypto_tracked_user WHERE user_id=$1 UNION ALL SELECT 1 FROM matrix_stale_user WHERE user_id=$1", u)
		if err != nil {
			return nil, err
		} else if !known {
			pick[u] = true
		}
	}
	rows, err := a.store.DB().Query(ctx, "SELECT user_id FROM matrix_stale_user WHERE due<=$1 ORDER BY due LIMIT $2",
		a.now().UnixMilli(), a.config.Limits.QueryUsers)
	if err != nil {
		return nil, fmt.Errorf("read stale users: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var u id.UserID
		if err := rows.Scan(&u); err != nil {
			return nil, fmt.Errorf("read stale users: %w", err)
		}
		pick[u] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read stale users: %w", err)
	}
	out := make([]id.UserID, 0, len(pick))
	for u := range pick {
		out = append(out, u)
	}
	slices.Sort(out)
	return out, nil
}

// has reports whether a query gives any row.
func (a *Account) has(ctx context.Context, query string, args ...any) (bool, error) {
	var found bool
	if err := a.store.DB().QueryRow(ctx, "SELECT EXISTS("+query+")", args...).Scan(&found); err != nil {
		return false, fmt.Errorf("look up: %w", err)
	}
	return found, nil
}
