package parts

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the registration call of both servers is defined with it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// ServerName is the name of every homeserver that is started here. It is not
// resolvable: nothing federates.
const ServerName = "example.test"

// registrationSecret lets a test create accounts; the server it opens is
// reachable on the loopback interface only.
const registrationSecret = "a secret of the test servers"

// HomeserverConfig says where a homeserver lives.
type HomeserverConfig struct {
	// Dir is an existing, empty folder for its database, media and keys.
	Dir string
	// MaxUpload bounds one uploaded file, in bytes; 0 is 64 MiB.
	MaxUpload int64
}

func (c HomeserverConfig) maxUpload() int64 {
	if c.MaxUpload == 0 {
		return 64 << 20
	}
	return c.MaxUpload
}

// Homeserver is a running homeserver.
type Homeserver struct {
	// URL is its base address, without a slash at the end.
	URL string
	*Process
	command command // starts it again
}

// Restart starts a stopped homeserver again, on the same port and data.
func (h *Homeserver) Restart(ctx context.Context) error {
	p, err := start(h.command)
	if err != nil {
		return err
	}
	h.Process = p
	return h.awaitVersions(ctx)
}

// awaitVersions waits until the client-server API answers.
func (h *Homeserver) awaitVersions(ctx context.Context) error {
	return h.ready(ctx, func(ctx context.Context) error {
		return h.call(ctx, http.MethodGet, "/_matrix/client/versions", nil, nil)
	})
}

// Register creates an account through the registration call that Synapse
// defined and Dendrite has too ("Shared-Secret Registration").
func (h *Homeserver) Register(ctx context.Context, user, password string) error {
	const path = "/_synapse/admin/v1/register"
	var nonce struct {
		Nonce string `json:"nonce"`
	}
	if err := h.call(ctx, http.MethodGet, path, nil, &nonce); err != nil {
		return fmt.Errorf("register %s: %w", user, err)
	}
	mac := hmac.New(sha1.New, []byte(registrationSecret))
	_, _ = fmt.Fprintf(mac, "%s\x00%s\x00%s\x00notadmin", nonce.Nonce, user, password) // a hash takes everything
	err := h.call(ctx, http.MethodPost, path, map[string]any{
		"nonce": nonce.Nonce, "username": user, "password": password, "admin": false,
		"mac": hex.EncodeToString(mac.Sum(nil)),
	}, nil)
	if err != nil {
		return fmt.Errorf("register %s: %w", user, err)
	}
	return nil
}

func (h *Homeserver) call(ctx context.Context, method, path string, body, answer any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.URL+path, r)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}
