package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Sync makes one request for news, waiting up to the long poll's time for some,
// and records what it brings. When it returns nil, what was shown is on disk and
// the next Sync asks for what comes after; when it returns an error, nothing has
// happened and the next Sync asks for the same again. [Classify] says what to do
// about an error.
func (a *Account) Sync(ctx context.Context) error {
	_, err := a.sync(ctx, a.config.Limits.LongPoll)
	return err
}

// Poll is Sync without waiting; news is false when the homeserver had none.
func (a *Account) Poll(ctx context.Context) (news bool, err error) {
	return a.sync(ctx, 0)
}

func (a *Account) sync(ctx context.Context, wait time.Duration) (bool, error) {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	if a.client == nil || a.self().Token == "" {
		return false, errors.New("sync: account is not open")
	}
	since, err := a.journal.Token(ctx)
	if err != nil {
		return false, fmt.Errorf("sync: read token: %w", err)
	}
	res, err := a.poll(ctx, since, wait)
	if loggedOut(err) {
		if err := a.loginAgain(ctx, err); err != nil {
			return false, fmt.Errorf("sync: %w", err)
		}
		if err := a.claimDevice(ctx); err != nil {
			return false, fmt.Errorf("sync: %w", err)
		}
		return true, nil // the next iteration asks with the new token
	} else if err != nil {
		return false, fmt.Errorf("sync: %w", a.accountState(err))
	}
	if err := a.record(ctx, since, res); err != nil {
		return false, fmt.Errorf("sync: %w", err)
	}
	if slices.Contains(res.Changed, a.self().User) {
		a.keysChanged.Store(true)
	}
	a.afterSync(ctx, since, res)
	return res.news(), nil
}

// poll asks for news.
func (a *Account) poll(ctx context.Context, since string, wait time.Duration) (*response, error) {
	limit, timeout := a.config.Limits.Timeline, wait+syncGrace
	if since == "" {
		limit, timeout, wait = a.config.Limits.FirstTimeline, firstSyncTimeout, 0
	}
	query := map[string]string{
		"filter":       filter(limit),
		"timeout":      strconv.FormatInt(wait.Milliseconds(), 10),
		"set_presence": string(event.PresenceOffline),
	}
	if since != "" {
		query["since"] = since
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, URL: a.client.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "sync"}, query), MaxAttempts: 1,
	})
	if err != nil {
		return nil, withoutQuery(err)
	}
	res, err := readResponse(body)
	if err != nil {
		return nil, err
	}
	if res.Odd > 0 {
		a.log.WarnContext(ctx, "parts of a sync response are malformed", slog.Int("count", res.Odd))
	}
	sortRooms(res.Joined)
	sortRooms(res.Left)
	return res, nil
}

// withoutQuery takes the query out of the address that a failed request names: the
// filter is longer than all that can be said about the failure.
func withoutQuery(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		e.URL, _, _ = strings.Cut(e.URL, "?")
	}
	return err
}

// record stores what a response brings, in one transaction.
func (a *Account) record(ctx context.Context, since string, res *response) error {
	devices, err := a.acquaint(ctx, res.Changed, speakers(res))
	if err != nil {
		return err
	}
	return a.transact(ctx, func(ctx context.Context, m *machine) error {
		// The homeserver has seen the token before this one, or it would not have
		// answered: repeats of older Olm messages are over.
		m.olm.MarkOlmHashSavePoint(ctx)
		if err := a.applyKeys(ctx, m, devices); err != nil {
			return err
		}
		if err := a.toDevice(ctx, m, res.ToDevice); err != nil {
			return err
		}
		b := timeline.Batch{Since: since, Next: res.Next}
		for _, n := range res.Joined {
			if err := a.roomNews(ctx, m, &b, n, timeline.MembershipJoin); err != nil {
				return err
			}
		}
		for _, n := range res.Left {
			// What was said up to a kick is in here too.
			if err := a.roomNews(ctx, m, &b, n, timeline.MembershipLeave); err != nil {
				return err
			}
		}
		if err := a.noteRefusals(ctx, m); err != nil {
			return err
		}
		if err := a.storeInvites(ctx, res); err != nil {
			return err
		}
		b.Keys = m.keysReceived()
		return a.journal.Record(ctx, b)
	})
}

// roomNews reads what happened in one room into b.
func (a *Account) roomNews(ctx context.Context, m *machine, b *timeline.Batch, n roomNews, membership timeline.Membership) error {
	view, err := a.rooms().view(ctx, n.Room)
	if err != nil {
		return err
	}
	// At first sight, and after a first /sync, the timeline is the room's past.
	first := !view.known || (membership == timeline.MembershipJoin && view.membership != timeline.MembershipJoin)
	live := b.Since != "" && !first
	if n.Broken != nil {
		b.Unreadable = append(b.Unreadable, a.unreadable(n.Room, wireEvent{Raw: n.Broken}, badRoom))
	}
	view.setMembership(membership)
	view.summary(n)
	before, err := a.nameBefore(ctx, view)
	if err != nil {
		return err
	}
	for _, raw := range n.State {
		if e, problem := readEvent(raw); problem == "" {
			if err := view.apply(ctx, e); err != nil {
				return err
			}
		}
	}
	newest, err := a.journal.Newest(ctx, n.Room)
	if err != nil {
		return fmt.Errorf("look for the newest event: %w", err)
	}
	for _, raw := range n.Timeline {
		e, problem := readEvent(raw)
		if problem == "" {
			if err := view.apply(ctx, e); err != nil {
				return err
			}
		}
		if err := a.absorbOne(ctx, m, b, view, e, problem, live); err != nil {
			return err
		}
	}
	if membership == timeline.MembershipJoin {
		view.setMembership(membership) // who was removed and came back is in it
	}
	if err := a.arrived(ctx, view); err != nil {
		return err
	}
	if err := view.save(ctx); err != nil {
		return err
	}
	if gap, ok := a.gapBefore(n, newest); ok {
		b.Gaps = append(b.Gaps, gap)
	}
	name, err := view.name(ctx)
	if err != nil || (view.known && !view.changed && name == before) {
		return err
	}
	r, err := view.room(ctx)
	if err != nil {
		return err
	}
	b.Rooms = append(b.Rooms, r)
	return a.noteUpgrade(ctx, view, r)
}

// badRoom is a room whose news could be taken apart in part only.
const badRoom = "the room's news are malformed"

// nameBefore is the room's name before a response changes it.
func (a *Account) nameBefore(ctx context.Context, view *roomView) (string, error) {
	if !view.known {
		return "", nil
	}
	old, err := a.rooms().view(ctx, view.id)
	if err != nil {
		return "", err
	}
	return old.name(ctx)
}

// gapBefore is the stretch that lies before the timeline of a response, if any: up
// to the newest event that is recorded, or else the room's past.
func (a *Account) gapBefore(n roomNews, newest id.EventID) (timeline.Gap, bool) {
	gap := timeline.Gap{Room: n.Room, From: n.Prev, Until: newest, Opened: a.received()}
	switch {
	case !n.Limited || n.Prev == "":
		return gap, false
	case newest != "":
		gap.Kind = timeline.GapLimited
		return gap, true
	case a.config.HistoryFrom.IsZero():
		return gap, false
	}
	return historyGap(n.Room, n.Prev, a.config.HistoryFrom, gap.Opened), true
}

// speakers are the senders of encrypted events in a response.
func speakers(res *response) []id.UserID {
	var out []id.UserID
	seen := map[id.UserID]bool{}
	for _, n := range slices.Concat(res.Joined, res.Left) {
		for _, u := range encryptedSenders(n.Timeline) {
			if !seen[u] {
				seen[u] = true
				out = append(out, u)
			}
		}
	}
	return out
}

// encryptedSenders are the senders of the encrypted events among raws.
func encryptedSenders(raws []json.RawMessage) []id.UserID {
	var out []id.UserID
	for _, raw := range raws {
		// In a room without encryption nothing need be read. A type may be written with
		// escapes.
		if !bytes.Contains(raw, []byte(event.EventEncrypted.Type)) && !bytes.Contains(raw, []byte(`\u`)) {
			continue
		}
		e, problem := readEvent(raw)
		if problem == "" && e.Type == event.EventEncrypted.Type && !slices.Contains(out, e.Sender) {
			out = append(out, e.Sender)
		}
	}
	return out
}

// afterSync does what must not be taken back and what is not worth a retry of the
// whole: its failures are logged, and asked for again by the next response.
func (a *Account) afterSync(ctx context.Context, since string, res *response) {
	if res.Ignored > 0 {
		a.log.WarnContext(ctx, "the account ignores users: what they say is not shown to it", slog.Int("count", res.Ignored))
	}
	if err := a.tellRefusals(ctx); err != nil {
		a.log.WarnContext(ctx, "refusals of room keys not looked at", slog.Any("err", err), slog.String("class", string(Classify(err).Class)))
	}
	a.topUp(ctx, res, since == "")
	if err := a.unwedge(ctx); err != nil {
		a.log.WarnContext(ctx, "olm sessions not renewed", slog.Any("err", err), slog.String("class", string(Classify(err).Class)))
	}
}
