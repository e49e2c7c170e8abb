package parts_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestHomeserversRegisterAndSurviveARestart(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(context.Context, parts.HomeserverConfig) (*parts.Homeserver, error){
		"dendrite": parts.StartDendrite,
		"synapse":  parts.StartSynapse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := patience(t)
			hs, err := start(ctx, parts.HomeserverConfig{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = hs.Close() })
			if err := hs.Register(ctx, "alice", "secret of alice"); err != nil {
				t.Fatal(err)
			}
			if err := hs.Register(ctx, "alice", "secret of alice"); err == nil {
				t.Error("registering a name twice succeeded")
			}
			hs.Kill()
			if _, err := http.Get(hs.URL + "/_matrix/client/versions"); err == nil {
				t.Error("a killed homeserver still answers")
			}
			if err := hs.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			if err := hs.Register(ctx, "alice", "secret of alice"); err == nil {
				t.Error("the account was gone after a restart")
			}
		})
	}
}

func TestBrokerReturnsTheUnroutableAndKeepsTheConfirmedThroughAKill(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	broker, err := parts.StartRabbitMQ(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })

	ch := channel(t, broker)
	if _, err := ch.QueueDeclare("push", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	returned := ch.NotifyReturn(make(chan amqp.Return, 1))
	publish(ctx, t, ch, "push", []byte("kept"))
	publish(ctx, t, ch, "nowhere", []byte("lost"))
	if r := <-returned; string(r.Body) != "lost" {
		t.Errorf("returned %q, want the unroutable message", r.Body)
	}

	broker.Kill()
	if err := broker.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	ch = channel(t, broker)
	got, ok, err := ch.Get("push", true)
	if err != nil || !ok || string(got.Body) != "kept" {
		t.Fatalf("after a kill: %q, %v, %v; want the confirmed message", got.Body, ok, err)
	}

	// A message over the bound closes the channel with 406.
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	err = ch.PublishWithContext(ctx, "", "push", true, false, amqp.Publishing{Body: bytes.Repeat([]byte("x"), parts.MaxMessageSize+1)})
	if err == nil {
		err = <-closed
	}
	var amqpErr *amqp.Error
	if !errors.As(err, &amqpErr) || amqpErr.Code != amqp.PreconditionFailed {
		t.Errorf("publishing more than max_message_size: %v, want 406", err)
	}
}

func channel(t *testing.T, broker *parts.RabbitMQ) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(broker.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return ch
}

func publish(ctx context.Context, t *testing.T, ch *amqp.Channel, key string, body []byte) {
	t.Helper()
	c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", key, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := c.WaitContext(ctx); err != nil || !ok {
		t.Fatalf("publish to %s: confirmed %v, %v", key, ok, err)
	}
}

func TestGateCutsAndReopens(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	gate, err := parts.OpenGate(echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gate.Shut)
	say := func() (net.Conn, error) {
		c, err := net.Dial("tcp", gate.Address())
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(c, "hi"); err != nil {
			return nil, err
		}
		b := make([]byte, 2)
		_, err = io.ReadFull(c, b)
		return c, err
	}
	c, err := say()
	if err != nil {
		t.Fatal(err)
	}
	gate.Shut()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection outlived the shutting")
	}
	if _, err := say(); err == nil {
		t.Error("a shut gate let a connection through")
	}
	if err := gate.Open(); err != nil {
		t.Fatal(err)
	}
	if _, err := say(); err != nil {
		t.Errorf("a reopened gate: %v", err)
	}
}

func TestLogAwaitsALineThatComesLater(t *testing.T) {
	t.Parallel()
	var log parts.Log
	go func() {
		_, _ = log.Write([]byte("first\nsec"))
		_, _ = log.Write([]byte("ond\n"))
	}()
	line, err := log.Await(patience(t), func(l string) bool { return strings.HasPrefix(l, "sec") })
	if err != nil || line != "second" {
		t.Errorf("awaited %q, %v; want the whole second line", line, err)
	}
}
