package parts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbitScript is Debian's start script without its change of user.
const rabbitScript = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// MaxMessageSize is the broker's bound for one message, the default of current
// RabbitMQ versions (older ones allow 128 MiB).
const MaxMessageSize = 16 << 20

// The broker's only account.
const (
	BrokerUser     = "opencti"
	BrokerPassword = "a password of the test broker"
)

// RabbitMQ is a running broker with its own port mapper, so that a service of
// the machine's is neither needed nor disturbed.
type RabbitMQ struct {
	Host string
	Port int
	// SecurePort is where TLS is spoken; 0 without.
	SecurePort int
	*Process
	mapper  *Process
	command command
}

// BrokerTLS are the paths of what a broker speaks TLS with. Clients have to show a
// certificate of the same authority.
type BrokerTLS struct{ Authority, Cert, Key string }

// StartRabbitMQ starts Debian's RabbitMQ on a free loopback port. Dir is an
// existing, empty folder for its data.
func StartRabbitMQ(ctx context.Context, dir string) (*RabbitMQ, error) {
	return StartSecureRabbitMQ(ctx, dir, BrokerTLS{})
}

// StartSecureRabbitMQ does the same, and has a second port where TLS is spoken,
// unless there is nothing to speak it with.
func StartSecureRabbitMQ(ctx context.Context, dir string, security BrokerTLS) (*RabbitMQ, error) {
	if _, err := os.Stat(rabbitScript); err != nil {
		return nil, fmt.Errorf("rabbitmq is not installed: apt-get install rabbitmq-server: %w", err)
	}
	var ports [4]int
	for i := range ports {
		p, err := FreePort()
		if err != nil {
			return nil, err
		}
		ports[i] = p
	}
	port, nodes, mapper, secure := ports[0], ports[1], ports[2], ports[3]
	text := rabbitConfig(port)
	if security == (BrokerTLS{}) {
		secure = 0
	} else {
		text += secureConfig(secure, security)
	}
	config := filepath.Join(dir, "rabbitmq.conf")
	plugins := filepath.Join(dir, "enabled_plugins")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the broker's configuration: %w", err)
	}
	if err := os.WriteFile(plugins, []byte("[].\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the broker's configuration: %w", err)
	}
	env := append(os.Environ(),
		"HOME="+dir, // the node's cookie
		fmt.Sprintf("ERL_EPMD_PORT=%d", mapper),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=story%d@localhost", port),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", nodes),
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", port),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_CONFIG_FILE="+config,
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "no-such-file"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+plugins,
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
		// The script then becomes the broker instead of waiting for it.
		"RUNNING_UNDER_SYSTEMD=true",
	)
	m, err := start(command{
		name: "epmd", path: "epmd", env: env,
		args: []string{"-address", "127.0.0.1", "-port", strconv.Itoa(mapper)},
	})
	if err != nil {
		return nil, err
	}
	r := &RabbitMQ{Host: "127.0.0.1", Port: port, SecurePort: secure, mapper: m, command: command{
		name: "rabbitmq", path: rabbitScript, env: env, dir: dir,
	}}
	if err := r.Restart(ctx); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func rabbitConfig(port int) string {
	return fmt.Sprintf(`listeners.tcp.default = 127.0.0.1:%d
max_message_size = %d
default_user = %s
default_pass = %s
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 50MB
`, port, MaxMessageSize, BrokerUser, BrokerPassword)
}

func secureConfig(port int, t BrokerTLS) string {
	return fmt.Sprintf(`listeners.ssl.default = 127.0.0.1:%d
ssl_options.cacertfile = %s
ssl_options.certfile = %s
ssl_options.keyfile = %s
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
`, port, t.Authority, t.Cert, t.Key)
}

// Restart starts a stopped broker again, on the same port and data.
func (r *RabbitMQ) Restart(ctx context.Context) error {
	p, err := start(r.command)
	if err != nil {
		return err
	}
	r.Process = p
	return r.ready(ctx, func(context.Context) error {
		c, err := amqp.Dial(r.URL())
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// URL is the address with the account, as AMQP clients take it.
func (r *RabbitMQ) URL() string {
	return amqp.URI{
		Scheme: "amqp", Host: r.Host, Port: r.Port,
		Username: BrokerUser, Password: BrokerPassword, Vhost: "/",
	}.String()
}

// Close stops the broker and its port mapper.
func (r *RabbitMQ) Close() error {
	err := r.Process.Close()
	if r.mapper != nil {
		r.mapper.Kill()
	}
	return err
}
