package connector

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-connector/matrix-connector/internal/directory"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

var (
	_ Sink = (*opencti.Platform)(nil)
	_ Sink = (*directory.Directory)(nil)
)

// output is a sink with what surrounds it.
type output interface {
	// name tells sinks apart for the ledger: its kind, a blank, and which one.
	name() string
	// start makes the sink ready, waiting out what may pass by itself.
	start(ctx context.Context) error
	sink() Sink
	// attend does what the sink wants beside deliveries, until ctx ends.
	attend(ctx context.Context) error
	close() error
}

func (c *Connector) newOutput() (output, error) {
	if c.config.Output != "" {
		path, err := filepath.Abs(c.config.Output)
		if err != nil {
			return nil, fmt.Errorf("open output: %w", err)
		}
		d, err := directory.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open output: %w", err)
		}
		return &toDirectory{directory: d, path: path}, nil
	}
	config, err := c.platformConfig()
	if err != nil {
		return nil, err
	}
	p, err := opencti.New(config)
	if err != nil {
		return nil, fmt.Errorf("platform: %w", err)
	}
	return &toPlatform{connector: c, platform: p}, nil
}

// deliver runs the delivering half until ctx ends.
func (c *Connector) deliver(ctx context.Context) error {
	if err := c.out.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // an end that was asked for is no failure
		}
		return err
	}
	c.hear()
	deliverer := &deliverer{
		ledger: c.ledger, store: c.store, sink: c.out.sink(), mapper: c.mapper, log: c.log, now: c.now, rows: maxRows,
		vitals: c.vitals,
	}
	attacher := &attacher{ledger: c.ledger, store: c.store, sink: c.out.sink(), mapper: c.mapper, log: c.log, vitals: c.vitals, off: c.noFiles.Load()}
	group, ctx := errgroup.WithContext(ctx)
	deliver := c.loop("deliver", deliverer.turn)
	deliver.calm = 0 // a message goes out at once
	group.Go(func() error { return deliver.run(ctx) })
	group.Go(func() error { return c.loop("attach", attacher.turn).run(ctx) })
	group.Go(func() error { return c.out.attend(ctx) })
	return group.Wait()
}

// toPlatform delivers to an OpenCTI platform.
type toPlatform struct {
	connector *Connector
	platform  *opencti.Platform
	judge     *judge // set by start; nil: the platform may not be asked
}

func (o *toPlatform) sink() Sink { return o.platform }
func (o *toPlatform) name() string {
	return "platform " + string(o.connector.config.Settings.Connector.ID)
}
func (o *toPlatform) close() error { return o.platform.Close(context.Background()) }

func (o *toPlatform) start(ctx context.Context) error {
	c := o.connector
	var reg opencti.Registration
	err := c.insist(ctx, "register", func() (err error) {
		if reg, err = o.platform.Start(ctx); err == nil {
			err = o.look(ctx, reg)
		}
		if !judged(err) {
			c.hear()
		}
		return err
	}, func(err error) bool {
		_, ok := errors.AsType[*opencti.Problem](err)
		return ok || judged(err)
	})
	if err != nil {
		return err
	}
	// The registration has said in the log what is lacking.
	c.noFiles.Store(!reg.CanAttach)
	c.vitals.set(func(v *vitals) { v.registered, v.version = true, reg.Version })
	if reg.Reset {
		return startOver(ctx, c.ledger, c.log)
	}
	return nil
}

// look judges what the platform keeps for the connector.
func (o *toPlatform) look(ctx context.Context, reg opencti.Registration) error {
	c := o.connector
	o.judge = o.newJudge(reg.CanRead)
	switch {
	case reg.Reset:
		return nil // it keeps nothing, because somebody wants so
	case o.judge == nil:
		return OldStore(ctx, c.ledger, c.config.Settings.Matrix.StorePath, reg.State)
	}
	return o.judge.look(ctx, reg.State)
}

// newJudge makes the judge of what the platform keeps; nil where it may not be asked.
func (o *toPlatform) newJudge(canRead bool) *judge {
	if !canRead {
		return nil
	}
	c := o.connector
	return &judge{
		ledger: c.ledger, store: c.store, find: o.platform.Find, mapper: c.mapper, log: c.log,
		path: c.config.Settings.Matrix.StorePath, url: string(c.config.Settings.OpenCTI.URL),
	}
}

// judged reports whether an error is a verdict that a person has to act upon.
func judged(err error) bool {
	_, old := errors.AsType[*OldStoreError](err)
	_, other := errors.AsType[*OtherPlatformError](err)
	return old || other
}

func (o *toPlatform) attend(ctx context.Context) error {
	c := o.connector
	ping := &pinger{ledger: c.ledger, platform: o.platform, log: c.log, vitals: c.vitals, now: c.now, judge: o.judge, looked: c.now(), info: opencti.PingInfo{
		QueueThreshold: float64(c.config.Settings.Connector.QueueThreshold),
	}}
	return ping.run(ctx)
}

// nothingDue reports whether no row waits for the sink.
func (c *Connector) nothingDue(ctx context.Context) (bool, error) {
	n, err := c.ledger.Counts(ctx)
	if err != nil {
		return false, err
	}
	waiting := 0
	for _, rows := range []map[string]int{n.Rooms, n.Authors, n.Posts} {
		waiting += rows["due"] + rows["sent"]
	}
	return waiting+n.Attachments["fetched"] == 0, nil
}

// toDirectory writes to a folder.
type toDirectory struct {
	directory *directory.Directory
	path      string
}

func (o *toDirectory) sink() Sink                  { return o.directory }
func (o *toDirectory) name() string                { return "directory " + o.path }
func (o *toDirectory) close() error                { return o.directory.Close() }
func (o *toDirectory) start(context.Context) error { return nil }

func (o *toDirectory) attend(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
