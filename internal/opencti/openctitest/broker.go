package openctitest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Broker is where a RabbitMQ is, as registrations answer it.
type Broker struct {
	Host           string
	Port           int
	VHost          string // "/" by default
	User, Password string
	TLS            bool
	// Prefix stands before every name of exchange, queue and routing key.
	Prefix string
}

// URL is the broker's address as amqp091 takes it.
func (b Broker) URL() string {
	scheme := "amqp"
	if b.TLS {
		scheme = "amqps"
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(b.Host, strconv.Itoa(b.Port)), User: url.UserPassword(b.User, b.Password)}
	return u.String() + "/" + url.PathEscape(b.VHost)
}

// broker is the platform's own connection, made when it is first needed and
// again after a loss. Without settings every method does nothing.
type broker struct {
	settings Broker
	on       bool
	mu       sync.Mutex // guards conn
	conn     *amqp.Connection
	closed   bool
}

func newBroker(b *Broker) *broker {
	if b == nil {
		return &broker{settings: Broker{Host: "127.0.0.1", Port: 5672, VHost: "/", User: "guest", Password: "guest"}}
	}
	s := *b
	if s.VHost == "" {
		s.VHost = "/"
	}
	return &broker{settings: s, on: true}
}

func (b *broker) enabled() bool { return b.on }

var errBrokerClosed = errors.New("broker connection is closed")

func (b *broker) channel() (*amqp.Channel, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBrokerClosed
	}
	if b.conn == nil || b.conn.IsClosed() {
		conn, err := amqp.DialConfig(b.settings.URL(), amqp.Config{Heartbeat: 10 * time.Second, Dial: amqp.DefaultDial(5 * time.Second)})
		if err != nil {
			return nil, fmt.Errorf("dial broker: %w", err)
		}
		b.conn = conn
	}
	return b.conn.Channel()
}

// with runs f on a channel of its own: an error of the broker closes a channel.
func (b *broker) with(f func(*amqp.Channel) error) error {
	if !b.on {
		return nil
	}
	ch, err := b.channel()
	if err != nil {
		return err
	}
	if err := f(ch); err != nil {
		// The channel may be closed already; the first error tells why.
		_ = ch.Close()
		return err
	}
	return ch.Close()
}

func (b *broker) push(id string) string   { return b.settings.Prefix + "push_" + id }
func (b *broker) listen(id string) string { return b.settings.Prefix + "listen_" + id }

// declare makes exchanges, queues and bindings of a connector, or finds them.
func (b *broker) declare(id string) error {
	return b.with(func(ch *amqp.Channel) error {
		for _, x := range []struct{ exchange, queue, key string }{
			{"amqp.worker.exchange", b.push(id), "push_routing_" + id},
			{"amqp.connector.exchange", b.listen(id), "listen_routing_" + id},
		} {
			if err := ch.ExchangeDeclare(b.settings.Prefix+x.exchange, "direct", true, false, false, false, nil); err != nil {
				return fmt.Errorf("declare exchange: %w", err)
			}
			if _, err := ch.QueueDeclare(x.queue, true, false, false, false, nil); err != nil {
				return fmt.Errorf("declare queue: %w", err)
			}
			if err := ch.QueueBind(x.queue, b.settings.Prefix+x.key, b.settings.Prefix+x.exchange, false, nil); err != nil {
				return fmt.Errorf("bind queue: %w", err)
			}
		}
		return nil
	})
}

func (b *broker) purge(id string) error {
	return b.with(func(ch *amqp.Channel) error {
		for _, q := range []string{b.push(id), b.listen(id)} {
			if _, err := ch.QueuePurge(q, false); err != nil {
				return fmt.Errorf("purge queue: %w", err)
			}
		}
		return nil
	})
}

func (b *broker) remove(id string) error {
	return b.with(func(ch *amqp.Channel) error {
		for _, q := range []string{b.push(id), b.listen(id)} {
			if _, err := ch.QueueDelete(q, false, false, false); err != nil {
				return fmt.Errorf("delete queue: %w", err)
			}
		}
		return nil
	})
}

// count is how many messages wait, and a guess at their size in bytes; zeros
// where the broker cannot be asked.
func (b *broker) count(id string) (messages, size int) {
	_ = b.with(func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(b.push(id), true, false, false, false, nil)
		messages = q.Messages
		return err
	})
	return messages, messages * 1000
}

func (b *broker) publish(id string, body []byte) error {
	return b.with(func(ch *amqp.Channel) error {
		return ch.Publish(b.settings.Prefix+"amqp.worker.exchange", b.settings.Prefix+"push_routing_"+id, false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, ContentEncoding: "utf-8", Body: body})
	})
}

func (b *broker) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.conn == nil || b.conn.IsClosed() {
		return nil
	}
	return b.conn.Close()
}
