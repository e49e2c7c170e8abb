package parts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// StartDendrite builds Dendrite if need be and starts it with SQLite databases.
func StartDendrite(ctx context.Context, c HomeserverConfig) (*Homeserver, error) {
	bin, err := BuildDendrite(ctx)
	if err != nil {
		return nil, err
	}
	key := filepath.Join(c.Dir, "signing.pem")
	if out, err := exec.CommandContext(ctx, filepath.Join(bin, dendriteKeys), "--private-key", key).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a signing key for dendrite: %w: %s", err, out)
	}
	config := filepath.Join(c.Dir, "dendrite.yaml")
	if err := os.WriteFile(config, []byte(dendriteConfig(c, key)), 0o600); err != nil {
		return nil, fmt.Errorf("write dendrite's configuration: %w", err)
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	h := &Homeserver{URL: "http://" + address, command: command{
		name: "dendrite", path: filepath.Join(bin, dendriteServer), dir: c.Dir,
		args: []string{"-config", config, "-http-bind-address", address, "-https-bind-address", ""},
	}}
	if err := h.Restart(ctx); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

// dendritePragmas let Dendrite's readers and its writer work side by side. With
// SQLite's own defaults they lock each other out for seconds on a loaded machine, and
// Dendrite v0.15.2 then answers 500 or panics ("database is locked"). It drops the
// query of a database's URL, so the question mark is hidden in the path. Nothing here
// outlives the machine, so nothing is synced to disk.
const dendritePragmas = "%3F_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"

// dendriteConfig is the least that Dendrite v0.15.2 runs on: one database a
// component, no federation, no limits on calls.
func dendriteConfig(c HomeserverConfig, key string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 2
global:
  server_name: %s
  private_key: %s
  disable_federation: true
  database: {}
  cache: {max_size_estimated: 128mb}
  jetstream: {storage_path: %s}
client_api:
  registration_disabled: true
  registration_shared_secret: %q
  rate_limiting: {enabled: false}
`, ServerName, key, filepath.Join(c.Dir, "jetstream"), registrationSecret)
	database := func(name string) string {
		return fmt.Sprintf("{connection_string: %q}", "file:"+filepath.Join(c.Dir, name+".db")+dendritePragmas)
	}
	for _, api := range []string{"app_service_api", "federation_api", "key_server", "mscs", "relay_api", "room_server", "sync_api"} {
		fmt.Fprintf(&b, "%s: {database: %s}\n", api, database(api))
	}
	fmt.Fprintf(&b, "media_api: {base_path: %s, max_file_size_bytes: %d, database: %s}\n",
		filepath.Join(c.Dir, "media"), c.maxUpload(), database("media_api"))
	fmt.Fprintf(&b, "user_api: {bcrypt_cost: 4, account_database: %s, device_database: %s}\n",
		database("accounts"), database("devices"))
	b.WriteString("logging: [{type: std, level: warn}]\n")
	return b.String()
}
