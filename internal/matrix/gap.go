package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const (
	// pageSize is what is asked for; Dendrite gives no more, Synapse ten times that.
	pageSize = 100
	// maxPages ends a walk that finds no end: a million events.
	maxPages = 10_000
)

// Reasons why the rest of a gap is lost.
const (
	gapForbidden = "forbidden"
	gapNotFound  = "not_found"
	gapRefused   = "refused"     // another refusal that will not change, e.g. an unknown token
	gapBudget    = "page_budget" // more than maxPages
)

// Fill reads one page of a gap backwards and records it together with where the
// next one starts, in one transaction: a walk that is interrupted goes on where it
// was. done means that the gap is closed, or that the homeserver refuses the rest,
// which is recorded as lost with its reason. An error leaves the gap as it was;
// [Classify] says when to try again.
//
// A gap is closed at the start of the room; when its neighbour is met; when a whole
// page was sent before its bound; and, but for history, when a whole page is known.
// One known event closes nothing: events that arrived late by federation lie
// between others. One old event does not reach the bound either: its time is the
// sender's claim. History goes on through known pages because it may be asked for
// again, further back than before.
func (a *Account) Fill(ctx context.Context, g timeline.Gap) (done bool, err error) {
	p, lost, err := a.readBack(ctx, g)
	if err != nil {
		return false, fmt.Errorf("fill gap: %w", err)
	}
	progress := timeline.GapProgress{ID: g.ID, From: g.From}
	if lost != "" {
		progress.Lost = lost
		p = &page{}
	} else {
		progress.From = p.End
		if progress.Done, err = a.closes(ctx, g, p); err != nil {
			return false, fmt.Errorf("fill gap: %w", err)
		}
		if !progress.Done && g.Pages+1 >= maxPages {
			progress.Lost = gapBudget
		}
	}
	slices.Reverse(p.Chunk) // oldest first, as a timeline is
	if err := a.recordPast(ctx, timeline.Batch{Progress: &progress}, g.Room, p); err != nil {
		return false, fmt.Errorf("fill gap: %w", err)
	}
	return progress.Done || progress.Lost != "", nil
}

// recordPast reads events that are not news, oldest first, and records them with
// what is in b already, in one transaction. Before it, whoever speaks in them and
// is not known yet is asked for.
func (a *Account) recordPast(ctx context.Context, b timeline.Batch, room id.RoomID, p *page) error {
	devices, err := a.acquaint(ctx, nil, encryptedSenders(p.Chunk))
	if err != nil {
		return err
	}
	return a.transact(ctx, func(ctx context.Context, m *machine) error {
		if err := a.applyKeys(ctx, m, devices); err != nil {
			return err
		}
		b := b // as given, should the transaction be tried again
		if err := a.learn(ctx, room, p.State); err != nil {
			return err
		}
		if err := a.absorb(ctx, m, &b, room, p.Chunk, false); err != nil {
			return err
		}
		return a.journal.Record(ctx, b)
	})
}

// readBack asks for the page before g.From. lost says why the homeserver will
// never show it.
func (a *Account) readBack(ctx context.Context, g timeline.Gap) (p *page, lost string, err error) {
	ctx, cancel := within(ctx)
	defer cancel()
	query := map[string]string{"dir": "b", "limit": strconv.Itoa(pageSize), "filter": `{"lazy_load_members":true,"include_redundant_members":true}`}
	if g.From != "" {
		query["from"] = g.From // none: from the newest event (since v1.3)
	}
	body, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, MaxAttempts: 1,
		URL: a.client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "rooms", g.Room, "messages"}, query),
	})
	if err != nil {
		if lost := refusal(err); lost != "" {
			return nil, lost, nil
		}
		return nil, "", err
	}
	p, err = readPage(body)
	return p, "", err
}

// refusal gives the reason of an answer that will not change; empty for others.
// Only a homeserver's own words count: a proxy that lost its way must not end a
// gap.
func refusal(err error) string {
	e, ok := errors.AsType[mautrix.HTTPError](err)
	if !ok || e.Response == nil || errorCode(e) == "" || errorCode(e) == "M_UNRECOGNIZED" {
		return ""
	}
	if Classify(err).Class != ClassPermanent {
		return ""
	}
	switch e.Response.StatusCode {
	case http.StatusForbidden:
		return gapForbidden
	case http.StatusNotFound:
		return gapNotFound
	}
	return gapRefused
}

// closes reports whether a page is the last one of its gap.
func (a *Account) closes(ctx context.Context, g timeline.Gap, p *page) (bool, error) {
	if p.End == "" || p.End == g.From {
		return true, nil // Dendrite ends with a token that leads to itself
	}
	if len(p.Chunk) == 0 {
		return false, nil // everything in it was filtered out; the walk goes on
	}
	var ids []id.EventID
	unbound := g.Bound.IsZero()
	for _, raw := range p.Chunk {
		e, problem := readEvent(raw)
		if e.ID != "" {
			ids = append(ids, e.ID)
		}
		if e.Type == "m.room.create" || (g.Until != "" && e.ID == g.Until) {
			return true, nil
		}
		// What shows no time does not count as old.
		unbound = unbound || problem != "" || !e.timed || e.Sent >= g.Bound.UnixMilli()
	}
	if !unbound {
		return true, nil
	}
	if g.Kind == timeline.GapHistory || len(ids) < len(p.Chunk) {
		return false, nil
	}
	known, err := a.journal.Known(ctx, g.Room, ids)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(ids, func(e id.EventID) bool { return !known[e] }), nil
}
