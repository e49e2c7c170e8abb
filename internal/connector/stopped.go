package connector

import (
	"context"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/status"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// Stopped says what a connector that does not run has left behind, from its store alone. It
// changes nothing and asks nobody. Its error is an [*UnseenError] when no connector of this
// version has worked on the store.
func Stopped(ctx context.Context, settings *config.Config, version string, now time.Time) (status.Snapshot, error) {
	t, err := OpenTrial(ctx, settings, now)
	if err != nil {
		return status.Snapshot{}, err
	}
	defer t.Close() //nolint:errcheck // it was only read
	s := emptySnapshot(now)
	s.Stopped = true
	m := settings.Matrix
	s.Connector = status.Connector{
		Name: string(settings.Connector.Name), ID: string(settings.Connector.ID), Version: version,
		UserID: string(m.UserID), Homeserver: string(m.Server), Warnings: []string{},
	}
	sink, err := t.ledger.Sink(ctx)
	if err != nil {
		return s, err
	}
	s.Connector.Sink.Kind, s.Connector.Sink.Address, _ = strings.Cut(sink, " ")
	if seen, err := store.Look(m.StorePath); err == nil && seen.Running {
		s.Connector.Warnings = append(s.Connector.Warnings, "A process works on this store and does not answer: it is starting or stopping, or its control socket is gone.")
	}
	if err := countLedger(ctx, t.ledger, &s); err != nil {
		return s, err
	}
	s.Disk = diskOf(t.store, settings)
	probe := t.probe()
	known, err := probe.Known(ctx)
	if err != nil {
		return s, err
	}
	s.Connector.DeviceID = known.Device.String()
	s.Device = deviceOf(m.UserID.ID(), known.Standing, known.Refusals, now)
	if err := countUndecryptable(ctx, t.ledger, known.Standing, &s); err != nil {
		return s, err
	}
	invites, err := probe.Invites(ctx)
	if err != nil {
		return s, err
	}
	judge, err := probe.Judge(InviteConfig(settings))
	if err != nil {
		return s, err
	}
	listInvites(&s, judge, invites)
	s.Health = status.Judge(s)
	return s, nil
}
