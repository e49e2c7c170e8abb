package parts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// StartSynapse starts Synapse from the virtual environment that scripts/setup
// makes, with a SQLite database and no limits on calls.
func StartSynapse(ctx context.Context, c HomeserverConfig) (*Homeserver, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	python := filepath.Join(root, "build", "venv-synapse", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return nil, fmt.Errorf("synapse is not installed: run scripts/setup: %w", err)
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(c.Dir, "homeserver.yaml")
	logs := filepath.Join(c.Dir, "log.yaml")
	if err := os.WriteFile(config, []byte(synapseConfig(c, port, logs)), 0o600); err != nil {
		return nil, fmt.Errorf("write synapse's configuration: %w", err)
	}
	if err := os.WriteFile(logs, []byte(synapseLogs), 0o600); err != nil {
		return nil, fmt.Errorf("write synapse's configuration: %w", err)
	}
	args := []string{"-m", "synapse.app.homeserver", "-c", config}
	keys := exec.CommandContext(ctx, python, slices.Concat(args, []string{"--generate-keys"})...)
	keys.Dir = c.Dir
	if out, err := keys.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a signing key for synapse: %w: %s", err, out)
	}
	h := &Homeserver{
		URL:     fmt.Sprintf("http://127.0.0.1:%d", port),
		command: command{name: "synapse", path: python, args: args, dir: c.Dir},
	}
	if err := h.Restart(ctx); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

const synapseLogs = `version: 1
formatters: {plain: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}
handlers: {err: {class: logging.StreamHandler, formatter: plain}}
root: {level: WARNING, handlers: [err]}
disable_existing_loggers: false
`

func synapseConfig(c HomeserverConfig, port int, logs string) string {
	const free = "{per_second: 10000, burst_count: 10000}"
	return fmt.Sprintf(`server_name: %[1]s
report_stats: false
pid_file: %[2]s/pid
signing_key_path: %[2]s/signing.key
media_store_path: %[2]s/media
max_upload_size: %[3]d
trusted_key_servers: []
registration_shared_secret: %[4]q
macaroon_secret_key: a
form_secret: b
bcrypt_rounds: 4
log_config: %[5]s
database: {name: sqlite3, args: {database: %[2]s/homeserver.db}}
listeners: [{port: %[6]d, bind_addresses: [127.0.0.1], type: http, resources: [{names: [client]}]}]
rc_message: %[7]s
rc_registration: %[7]s
rc_login: {address: %[7]s, account: %[7]s, failed_attempts: %[7]s}
rc_joins: {local: %[7]s, remote: %[7]s}
rc_joins_per_room: %[7]s
rc_invites: {per_room: %[7]s, per_user: %[7]s, per_issuer: %[7]s}
rc_room_creation: %[7]s
presence: {enabled: false}
url_preview_enabled: false
`, ServerName, c.Dir, c.maxUpload(), registrationSecret, logs, port, free)
}
