package opencti_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// rabbitURL names the variable with the address of a RabbitMQ to test against.
const rabbitURL = "RABBITMQ_URL"

// realBroker is the RabbitMQ of RABBITMQ_URL; the tests that need one are part of
// the end-to-end suite, which starts it.
func realBroker(t *testing.T) openctitest.Broker {
	t.Helper()
	text := os.Getenv(rabbitURL) //nolint:forbidigo // a setting of the test, not of the connector
	if text == "" {
		t.Skip(rabbitURL + " is not set")
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(rabbitURL + " is no URL")
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return openctitest.Broker{Host: u.Hostname(), Port: port, User: u.User.Username(), Password: password, Prefix: "opencti" + strconv.FormatInt(time.Now().UnixNano(), 36) + "_"}
}

// overRabbit sets a connector and a platform up at the two ends of a real broker.
func overRabbit(t *testing.T) (*openctitest.Platform, *opencti.Platform) {
	t.Helper()
	b := realBroker(t)
	octi, err := openctitest.New(openctitest.Config{Generation: openctitest.Gen7, Broker: &b})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- octi.Run(ctx) }()
	p, err := opencti.New(opencti.Config{
		URL: octi.URL(), Token: octi.Token("connector"), ConnectorID: connectorID, Name: "Matrix", Markings: amber(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, v := range octi.Violations() {
			t.Errorf("the platform complains: %s", v)
		}
		if err := errors.Join(p.Close(context.WithoutCancel(t.Context())), octi.DeleteConnector(connectorID), octi.Close()); err != nil {
			t.Error(err)
		}
	})
	return octi, p
}

// settleReal asks at the pace of Poll.
func settleReal(t *testing.T, p *opencti.Platform, receipt string, b stix.Bundle) (stix.Verdicts, error) {
	t.Helper()
	for n := 0; ; n++ {
		v, err := p.Settle(t.Context(), receipt, b)
		if !errors.Is(err, stix.ErrPending) {
			return v, err
		}
		select {
		case <-time.After(opencti.Poll(n)):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func TestOverARealBroker(t *testing.T) {
	whole := t
	octi, p := overRabbit(t)
	m, rel := says("$one", "hello")
	b := stix.NewBundle(room(), alice(), m, rel)
	send := func(t *testing.T, b stix.Bundle) (stix.Verdicts, error) {
		t.Helper()
		receipt, err := p.Begin(t.Context(), len(b.Objects))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(t.Context(), receipt, b); err != nil {
			return nil, err
		}
		return settleReal(t, p, receipt, b)
	}
	landed := func(t *testing.T, b stix.Bundle) {
		t.Helper()
		got, err := send(t, b)
		if err != nil {
			t.Fatal(err)
		}
		for id, v := range got {
			if v.State != stix.Landed {
				t.Errorf("%s: %+v", id, v)
			}
		}
		if len(got) != len(b.Objects) {
			t.Errorf("%d verdicts", len(got))
		}
	}
	t.Run("a batch lands", func(t *testing.T) { landed(t, b) })
	t.Run("a message is persistent and carries no more than the official client's", func(t *testing.T) {
		octi.Faults().PauseWorker()
		defer octi.Faults().ResumeWorker()
		receipt, err := p.Begin(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(t.Context(), receipt, stix.NewBundle(m)); err != nil {
			t.Fatal(err)
		}
		conn, err := amqp.Dial(realBroker(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		channel, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		d, ok, err := channel.Get(p.QueueName(), false)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if d.DeliveryMode != amqp.Persistent || d.ContentEncoding != "utf-8" || d.ContentType != "" || len(d.Headers) > 0 || d.MessageId != "" {
			t.Errorf("mode %d, encoding %q, type %q, headers %v", d.DeliveryMode, d.ContentEncoding, d.ContentType, d.Headers)
		}
		if err := d.Nack(false, true); err != nil {
			t.Fatal(err)
		}
		octi.Faults().ResumeWorker()
		if got, err := settleReal(t, p, receipt, stix.NewBundle(m)); err != nil || got[m.ID].State != stix.Landed {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a message above the broker's limit closes the channel, and is refused then", func(t *testing.T) {
		large, _ := says("$large", strings.Repeat("x", 12<<20)) // base64 makes it 16 MiB
		// The limit that is assumed is the broker's own; another connector does not know it.
		other := connect(whole, opencti.Config{
			URL: octi.URL(), Token: octi.Token("connector"), ConnectorID: connectorID, Name: "Matrix", Markings: amber(), MaxMessageBytes: 64 << 20,
		}) // and the one that goes on with it
		if _, err := other.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		batch := stix.NewBundle(m, large, rel)
		receipt, err := other.Begin(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Publish(t.Context(), receipt, batch); !errors.Is(err, stix.ErrLapsed) {
			t.Fatalf("%v", err)
		}
		if n := other.MessageLimit(); n != 16<<20 {
			t.Errorf("limit %d", n)
		}
		p = other
		got, err := send(t, batch)
		if err != nil {
			t.Fatal(err)
		}
		if got[large.ID].State != stix.Refused || got[m.ID].State != stix.Landed {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a purged queue lets the receipt lapse", func(t *testing.T) {
		octi.Faults().PauseWorker()
		defer octi.Faults().ResumeWorker()
		n, _ := says("$two", "world")
		receipt, err := p.Begin(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(t.Context(), receipt, stix.NewBundle(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Settle(t.Context(), receipt, stix.NewBundle(n)); !errors.Is(err, stix.ErrPending) {
			t.Fatal(err)
		}
		if err := octi.ResetState(connectorID); err != nil {
			t.Fatal(err)
		}
		if reset, err := p.Ping(t.Context(), []byte("{}"), opencti.PingInfo{}); err != nil || !reset {
			t.Fatal(reset, err)
		}
		if _, err := p.Settle(t.Context(), receipt, stix.NewBundle(n)); !errors.Is(err, stix.ErrLapsed) {
			t.Fatal(err)
		}
	})
	t.Run("a queue that is gone gives the messages back", func(t *testing.T) {
		conn, err := amqp.Dial(realBroker(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		channel, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		n, nrel := says("$three", "again")
		batch := stix.NewBundle(n, nrel)
		receipt, err := p.Begin(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := channel.QueueDelete(p.QueueName(), false, false, false); err != nil {
			t.Fatal(err)
		}
		err = p.Publish(t.Context(), receipt, batch)
		if e, ok := errors.AsType[*opencti.Error](err); !ok || e.Code != "unroutable" || !errors.Is(err, stix.ErrLapsed) {
			t.Fatalf("%v", err)
		}
		landed(t, batch)
	})
	t.Run("a broker that drops the connection is dialled again", func(t *testing.T) {
		p.CutWire()
		n, nrel := says("$four", "and again")
		batch := stix.NewBundle(n, nrel)
		if _, err := send(t, batch); err != nil && !errors.Is(err, stix.ErrLapsed) {
			t.Fatal(err)
		}
		landed(t, batch)
	})
}

func TestAWrongPasswordOfARealBrokerIsNotRepeated(t *testing.T) {
	b := realBroker(t)
	_, err := opencti.DialBroker(t.Context(), opencti.Broker{Host: b.Host, Port: b.Port, VHost: "/", User: b.User, Password: "canary"})
	if opencti.ClassOf(err) != opencti.Unauthorized || strings.Contains(err.Error(), "canary") {
		t.Errorf("class %s: %v", opencti.ClassOf(err), err)
	}
}
