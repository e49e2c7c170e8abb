package check

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// connector asks what the platform knows under the connector's id.
func (d *delivering) connector(ctx context.Context) Line {
	s := d.settings.Connector
	known, err := d.probe.Connector(ctx)
	facts := func(l Line) Line {
		return l.with("id", string(s.ID)).with("registered", known.Known)
	}
	switch {
	case opencti.ClassOf(err) == opencti.Unauthorized:
		return facts(warning(Registered, "it cannot be looked up without the right MODULES", "add MODULES to the role of the user of OPENCTI_TOKEN"))
	case err != nil:
		return d.trouble(Registered, "the connector", err)
	case known.Known && known.Type != string(s.Type):
		return facts(failed(Registered, fmt.Sprintf("CONNECTOR_ID is that of another connector: %s, of type %s", known.Name, known.Type),
			"make a UUID of your own with uuidgen, and set CONNECTOR_ID to it")).with("type", known.Type)
	case d.storage.old(ctx, known.State) != nil:
		old := d.storage.old(ctx, known.State)
		return facts(failed(Registered, old.Error(), connector.Hint(old)+" (MATRIX_STORE_PATH)"))
	case !known.Known && d.register:
		if err := d.probe.Register(ctx); err != nil {
			return d.trouble(Registered, "the registration", err)
		}
		known.Known = true
		return facts(fine(Registered, "registered as "+string(s.Name)))
	case !known.Known:
		return facts(fine(Registered, "not registered yet; the first start does it, or check --register"))
	case known.Name != string(s.Name):
		return facts(warning(Registered, fmt.Sprintf("CONNECTOR_ID is registered as %s, and the next start renames it to %s", known.Name, s.Name),
			"if that is another connector, make a UUID of your own with uuidgen and set CONNECTOR_ID to it"))
	case !known.Ours:
		return facts(warning(Registered, known.Name+" was registered by another user, and the next start takes it over",
			"look whether OPENCTI_TOKEN is the right user's, and whether CONNECTOR_ID is used twice"))
	}
	return facts(fine(Registered, "registered as "+known.Name))
}

// broker connects to where messages are published.
func (d *delivering) broker(ctx context.Context) Line {
	if d.settings.Connector.QueueProtocol == config.QueueAPI {
		return skipped(Broker, "because messages go through the platform (CONNECTOR_QUEUE_PROTOCOL=api)")
	}
	d.vault.add(d.probe.BrokerSecret())
	at, known := d.probe.Broker()
	if !known {
		l := skipped(Broker, "because the platform tells where its broker is to a registered connector alone")
		l.Hint = "matrix-connector check --register registers it, as the first start does, and looks at the broker"
		return l
	}
	facts := func(l Line) Line {
		return l.with("told", at.Told).with("used", at.Used).with("tls", at.TLS).with("vhost", at.VHost).with("user", at.User)
	}
	var err error
	d.queue, err = d.probe.DialBroker(ctx)
	d.brokerErr = err
	step, failing := errors.AsType[*opencti.StepError](err)
	says := at.Used
	if at.TLS {
		says += " over TLS"
	}
	if at.Overridden && at.Told != "" {
		says += " (the platform says " + at.Told + ")"
	}
	switch {
	case failing && step.Step != opencti.StepQueue:
		return facts(d.brokerless(says, at, step)).with("step", string(step.Step))
	case d.queue.Name == "":
		l := warning(Broker, says+" can be reached; user and queue are known once the connector is registered",
			"matrix-connector check --register registers it, as the first start does, and looks further")
		return facts(l)
	}
	return facts(fine(Broker, says+" lets "+at.User+" into "+at.VHost))
}

// brokerless says at which step the broker was out of reach, and which setting it
// may be.
func (d *delivering) brokerless(says string, at opencti.BrokerAddress, e *opencti.StepError) Line {
	mq := d.settings.MQ
	why, hint := brief(e.Err), connector.Hint(e.Err)
	const through = "; where it cannot be reached at all, CONNECTOR_QUEUE_PROTOCOL=api sends through the platform, which is weaker"
	switch e.Step {
	case opencti.StepConnect:
		if late(e.Err) {
			why = "it does not answer, as behind a firewall"
		}
		hint = "let the firewall pass " + at.Used + ", or set MQ_HOST and MQ_PORT to where this machine reaches the platform's broker" + through
		if _, ok := errors.AsType[*net.DNSError](e.Err); ok {
			hint = "it is a name of the platform's own network: let the connector run in that network, or set MQ_HOST and MQ_PORT to where this machine reaches the broker" + through
		}
		if at.Overridden {
			hint = "check MQ_HOST and MQ_PORT, and that the firewall lets " + at.Used + " pass" + through
		}
	case opencti.StepLogin:
		hint = "the broker's password of the platform is out of date: look at RABBITMQ__USERNAME and RABBITMQ__PASSWORD of the platform, or set MQ_USER and MQ_PASS"
		if mq.User != "" || mq.Pass.IsSet() {
			hint = "remove MQ_USER and MQ_PASS to use what the platform says, or correct them"
		}
		why = "it does not accept the user " + at.User + " and its password"
	case opencti.StepVHost:
		why = at.User + " may not use the virtual host " + at.VHost
		hint = "set MQ_VHOST to the virtual host of the platform's queues, or let the broker's user in there"
		if mq.VHost != "" {
			hint = "remove MQ_VHOST to use what the platform says, or correct it"
		}
	case opencti.StepAMQP:
		if late(e.Err) {
			why = "it takes the connection and says nothing"
		}
		if hint == "" || late(e.Err) || at.TLS {
			hint = "check MQ_PORT and MQ_USE_SSL: AMQP is spoken at 5672, over TLS at 5671, and never at 15672, the page of the broker"
		}
	case opencti.StepTLS, opencti.StepQueue:
		if hint == "" {
			hint = "check MQ_USE_SSL, MQ_USE_SSL_CA and MQ_PORT: TLS is spoken at 5671"
		}
	}
	return failed(Broker, says+": "+why, hint)
}

// waiting looks at the connector's queue.
func (d *delivering) waiting(context.Context) Line {
	q := d.queue
	switch {
	case d.settings.Connector.QueueProtocol == config.QueueAPI:
		return skipped(Queue, "because messages go through the platform (CONNECTOR_QUEUE_PROTOCOL=api)")
	case d.brokerErr != nil && q.Name == "":
		return skipped(Queue, "because "+Broker+" failed")
	case d.brokerErr != nil:
		return failed(Queue, "the connector's queue "+q.Name+" is not there",
			"matrix-connector check --register, or a start, makes it anew; if it stays away, look whether CONNECTOR_ID was deleted on the platform, or set MQ_VHOST").
			with("name", q.Name)
	case q.Name == "":
		return skipped(Queue, "because the connector is not registered yet")
	}
	l := fine(Queue, fmt.Sprintf("%s, read by %s", amount(q.Messages, "message waits", "messages wait"), amount(q.Consumers, "worker", "workers")))
	if q.Consumers == 0 {
		l = warning(Queue, amount(q.Messages, "message waits", "messages wait")+", and no worker reads them",
			"look at the platform's workers: one takes up a new connector within a minute (CONNECTOR_ID is "+string(d.settings.Connector.ID)+")")
	}
	return l.with("name", q.Name).with("messages", q.Messages).with("workers", q.Consumers)
}
