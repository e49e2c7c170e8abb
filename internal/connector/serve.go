package connector

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

// bindAgain is how long to wait before an address that is taken is tried again: the
// process that holds it may be the former one of this connector, on its way out.
const bindAgain = 10 * time.Second

// doors are where the connector can be asked: a port, when CONNECTOR_EXPOSE_METRICS is
// set, and a socket in the store's folder, always.
//
// That nobody can ask is no reason not to import: a door that does not open is said
// in the log, as an error, and tried again.
type doors struct {
	connector *Connector
	handler   http.Handler
	stop      context.CancelFunc
	work      sync.WaitGroup
}

// openDoors opens the port. The socket waits until the store is ours: see
// [doors.socket].
func (c *Connector) openDoors(ctx context.Context) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &doors{connector: c, stop: stop}
	config := status.Config{Source: source{c}, Log: c.log, Now: c.now}
	if c.config.Metrics != nil {
		config.Metrics = c.config.Metrics.Handler()
	}
	d.handler = status.NewHandler(config)
	c.doors = d
	if s := c.config.Settings.Connector; s.ExposeMetrics {
		address := net.JoinHostPort(string(s.MetricsAddress), strconv.Itoa(s.MetricsPort))
		d.work.Go(func() { d.port(ctx, address) })
	}
}

// port serves on an address until ctx ends.
func (d *doors) port(ctx context.Context, address string) {
	log := d.connector.log
	for told := ""; ; {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			log.InfoContext(ctx, "metrics, health and status page are served", slog.String("address", "http://"+l.Addr().String()+"/"))
			err = status.Serve(ctx, l, d.handler)
			told = ""
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			log.ErrorContext(ctx, "metrics, health and status page cannot be served; importing goes on, and the address is tried again",
				slog.String("setting", "CONNECTOR_METRICS_ADDRESS, CONNECTOR_METRICS_PORT"), slog.String("address", address), slog.Any("err", err))
		}
		if !pause(ctx, bindAgain, nil) {
			return
		}
	}
}

// socket serves on the socket in the store's folder, which is to be ours.
func (d *doors) socket(ctx context.Context) {
	log := d.connector.log
	l, err := control.Listen(ctx, d.connector.config.Settings.Matrix.StorePath)
	if err != nil {
		log.ErrorContext(ctx, "the commands that ask a running connector will not find this one", slog.Any("err", err))
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := d.stop
	d.stop = func() { cancel(); stop() }
	d.work.Go(func() {
		if err := status.Serve(ctx, l, d.withWake()); err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "the control socket is closed", slog.Any("err", err))
		}
	})
}

// wakePath is what a command posts to when it has made a request.
const wakePath = "/wake"

// withWake is what the socket serves: what the port does, and being woken.
func (d *doors) withWake() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wakePath, func(w http.ResponseWriter, _ *http.Request) {
		d.connector.call()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("/", d.handler)
	return mux
}

// close closes the doors, and waits for those who still ask.
func (d *doors) close() {
	if d == nil {
		return
	}
	d.stop()
	d.work.Wait()
}

// source is what the doors show of a connector.
type source struct{ *Connector }

var _ status.Source = source{}

// Snapshot is [Connector.Snapshot].
func (s source) Snapshot(ctx context.Context) (status.Snapshot, error) {
	return s.Connector.Snapshot(ctx)
}

// Readiness says whether messages can come and go.
func (s source) Readiness() status.Readiness { return s.vitals.readiness() }

// Alive is nil while every loop turns.
func (s source) Alive() error { return s.vitals.alive() }
