package connector

import (
	"context"
	"fmt"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/status"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// How much a snapshot lists.
const (
	shownRooms    = 100
	shownExamples = 5
	shownInvites  = 20
)

// Snapshot says what the connector is doing. Before the store is open, and when it
// cannot be asked, only what is known without it is told.
func (c *Connector) Snapshot(ctx context.Context) (status.Snapshot, error) {
	s := emptySnapshot(c.now())
	s.Connector, s.Readiness, s.Failures = c.whoIs(), c.vitals.readiness(), c.vitals.failures()
	if c.vitals.isOpen() {
		if err := c.count(ctx, &s); err != nil {
			return s, err
		}
	}
	s.Health = status.Judge(s)
	return s, nil
}

// emptySnapshot has lists also where they are empty.
func emptySnapshot(at time.Time) status.Snapshot {
	return status.Snapshot{
		At: at, Rooms: []status.Room{}, Troubles: []status.Trouble{}, Invites: []status.Invite{}, Failures: []status.Failure{},
		Undecryptable: []status.Undecryptable{}, Device: status.Device{Withheld: []status.Withheld{}},
	}
}

// whoIs names the two ends.
func (c *Connector) whoIs() status.Connector {
	s := c.config.Settings
	w := status.Connector{
		Name: string(s.Connector.Name), ID: string(s.Connector.ID), Version: c.config.Version, Started: c.vitals.started,
		UserID: string(s.Matrix.UserID), Homeserver: string(s.Matrix.Server),
		Sink: status.Sink{Kind: "platform", Address: string(s.OpenCTI.URL)},
	}
	c.vitals.set(func(v *vitals) { w.Sink.Version = v.version })
	if c.config.Output != "" {
		w.ID, w.Sink = "", status.Sink{Kind: "directory", Address: c.config.Output}
	}
	if c.vitals.isOpen() {
		w.DeviceID = c.account.DeviceID().String()
		if c.store.OwnKey() {
			w.Warnings = append(w.Warnings, "The store is sealed with a key that lies beside it: a stolen disk is readable. Set MATRIX_STORE_KEY.")
		}
		if c.noFiles.Load() {
			w.Warnings = append(w.Warnings, "The platform's user may not upload files: attachments stay where they are.")
		}
	}
	return w
}

// count asks the ledger.
func (c *Connector) count(ctx context.Context, s *status.Snapshot) error {
	if err := countLedger(ctx, c.ledger, s); err != nil {
		return err
	}
	s.Lag.LastSync = c.vitals.lastSync()
	s.Lag.Sync = age(s.At, s.Lag.LastSync)
	s.Disk = diskOf(c.store, c.config.Settings)
	c.vitals.set(func(v *vitals) { s.Disk.Waits = v.waits })
	var standing matrix.Standing
	if c.account.DeviceID() != "" { // else its tables may not be there yet
		var err error
		if standing, err = c.account.Standing(ctx); err != nil {
			return err
		}
		refusals, err := c.account.Refusals(ctx)
		if err != nil {
			return err
		}
		s.Device = deviceOf(c.account.UserID(), standing, refusals, s.At)
		pending, err := c.invites.Pending(ctx)
		if err != nil {
			return fmt.Errorf("list invites: %w", err)
		}
		listInvites(s, c.invites, pending)
	}
	return countUndecryptable(ctx, c.ledger, standing, s)
}

// countLedger tells what the ledger knows without the account.
func countLedger(ctx context.Context, l *ledger.Ledger, s *status.Snapshot) error {
	n, err := l.Counts(ctx)
	if err != nil {
		return err
	}
	s.Counts = status.Counts{
		Events: n.Events, Undecrypted: n.Undecrypted, Skipped: n.Skipped, Posts: n.Posts, Rooms: n.Rooms,
		Authors: n.Authors, Attachments: n.Attachments, Gaps: n.OpenGaps, Targets: n.Targets,
	}
	waits, err := l.Waits(ctx)
	if err != nil {
		return err
	}
	s.Lag = status.Lag{Decryption: age(s.At, waits), Delivery: age(s.At, n.OldestDue)}
	rooms, more, err := l.Overview(ctx, shownRooms)
	if err != nil {
		return err
	}
	s.MoreRooms = more
	for _, r := range rooms {
		s.Rooms = append(s.Rooms, roomOf(r))
	}
	groups, err := l.MissingGroups(ctx, shownExamples)
	if err != nil {
		return err
	}
	for _, g := range groups {
		s.Troubles = append(s.Troubles, troubleOf(g))
	}
	return nil
}

// diskOf measures; what cannot be measured is left out.
func diskOf(st *store.Store, settings *config.Config) status.Disk {
	u, err := st.Usage()
	if err != nil {
		return status.Disk{}
	}
	return status.Disk{Database: u.Database, Spool: u.Spool, SpoolMax: int64(settings.Matrix.SpoolMaxSize), Free: u.Free, Reserve: reserveOf(u)}
}

// age is how long ago something was, in seconds; nil for what was not.
func age(now, t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	return new(max(0, now.Sub(t).Seconds()))
}

func roomOf(r ledger.RoomView) status.Room {
	out := status.Room{
		ID: r.ID.String(), Name: r.Name, Encrypted: r.Encrypted, Membership: string(r.Membership), State: string(r.State), Skip: r.Skip,
		Posts: map[string]int{}, LastImported: r.LastImported, OldestDue: r.OldestDue, Undecrypted: r.Undecrypted, Gaps: r.OpenGaps,
	}
	for state, n := range r.Posts {
		out.Posts[string(state)] = n
	}
	return out
}

func troubleOf(g ledger.MissingGroup) status.Trouble {
	t := status.Trouble{What: g.What, State: g.State, Reason: g.Reason, Count: g.Count}
	t.Says, t.Cure = status.Explain(g.What, g.State, g.Reason)
	for _, m := range g.Examples {
		t.Examples = append(t.Examples, status.Example{Room: m.Room.String(), Event: m.Event.String(), User: m.User.String(), Sent: m.Sent})
	}
	return t
}

// listInvites lists the invites that wait.
func listInvites(s *status.Snapshot, judge *matrix.Invites, pending []matrix.Invitation) {
	for i, p := range pending {
		if i == shownInvites {
			s.MoreInvites = len(pending) - shownInvites
			break
		}
		in := status.Invite{Room: p.Room.String(), Received: p.Received}
		in.Why, in.Setting = judge.Why(p)
		for _, sender := range p.Senders {
			in.Senders = append(in.Senders, sender.String())
		}
		s.Invites = append(s.Invites, in)
	}
}

// levels is what the metrics read when somebody asks.
func (c *Connector) levels(ctx context.Context) (telemetry.Levels, error) {
	n, err := c.ledger.Counts(ctx)
	if err != nil {
		return telemetry.Levels{}, err
	}
	waits, err := c.ledger.Waits(ctx)
	if err != nil {
		return telemetry.Levels{}, err
	}
	l := telemetry.Levels{
		Events: n.Events, Undecrypted: n.Undecrypted, Rooms: n.Rooms, Authors: n.Authors, Posts: n.Posts, Attachments: n.Attachments,
		GapsOpen: n.OpenGaps, GapsLost: n.LostGaps, Targets: n.Targets, Waiting: n.Waiting,
		OldestDue: n.OldestDue, OldestUndecrypted: waits, Synced: c.vitals.lastSync(), Free: -1, Ready: c.vitals.readiness().Ready,
	}
	if l.Synced.IsZero() {
		l.Synced = c.vitals.started
	}
	if c.account.DeviceID() != "" {
		pending, err := c.invites.Pending(ctx)
		if err != nil {
			return telemetry.Levels{}, fmt.Errorf("list invites: %w", err)
		}
		l.Invites = len(pending)
		if err := c.trustLevels(ctx, &l); err != nil {
			return telemetry.Levels{}, err
		}
	}
	groups, err := c.ledger.UndecryptedGroups(ctx, 0)
	if err != nil {
		return telemetry.Levels{}, err
	}
	l.Causes = map[string]int{}
	for _, g := range groups {
		l.Causes[g.Cause] += g.Count
	}
	c.vitals.set(func(v *vitals) { l.FetchWaits = v.waits })
	if u, err := c.store.Usage(); err == nil {
		l.Bytes, l.Free = map[string]int64{"database": u.Database, "spool": u.Spool}, u.Free
	}
	return l, nil
}
