package matrixtest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// place is what a sync token stands for.
type place struct {
	stream  int64 // of the server
	message int64 // of the device's inbox
}

func (p place) String() string { return fmt.Sprintf("s%d_%d", p.stream, p.message) }

func parsePosition(token string) (place, bool) {
	if token == "" {
		return place{}, true
	}
	a, b, ok := strings.Cut(strings.TrimPrefix(token, "s"), "_")
	stream, err := strconv.ParseInt(a, 10, 64)
	message, err2 := strconv.ParseInt(b, 10, 64)
	return place{stream: stream, message: message}, ok && token[0] == 's' && err == nil && err2 == nil
}

type syncCall struct {
	ctx  context.Context
	done chan struct{}
}

// syncGrace is how long a second /sync waits for the first one's client to be
// seen hanging up, before the two count as concurrent.
const syncGrace = 2 * time.Second

// defaultTimelineLimit is what Synapse and Dendrite use without a filter.
const defaultTimelineLimit = 10

// toDeviceLimit is how many to-device messages one answer holds, as Synapse's.
const toDeviceLimit = 100

func (s *Server) sync(c *call) {
	release, ok := s.enterSync(c)
	if !ok {
		return
	}
	defer release()
	q := c.r.URL.Query()
	since := q.Get("since")
	s.mu.Lock()
	sc := c.user.script
	s.mu.Unlock()
	if sc != nil {
		s.answerScript(c, sc, since, release)
		return
	}
	from, ok := s.acceptSince(c, since)
	if !ok {
		c.fail(http.StatusBadRequest, "M_INVALID_PARAM", "no such token")
		return
	}
	f := s.readFilter(c, q.Get("filter"))
	timeout, _ := strconv.Atoi(q.Get("timeout")) // absent: 0
	deadline := time.NewTimer(time.Duration(timeout) * time.Millisecond)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		answer, news := s.syncAnswer(c, since == "", from, f)
		changed := s.changed
		s.mu.Unlock()
		if news || since == "" {
			release()
			c.ok(answer)
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			release()
			c.ok(answer)
			return
		case <-c.r.Context().Done():
			return
		case <-s.closing:
			panic(http.ErrAbortHandler)
		}
	}
}

// enterSync makes sure that one /sync runs on a device. A client that hung up
// and polls again is fine: its earlier request ends first. The returned function
// is called before the answer is written, so that a client that has it may poll
// at once; it may be called again.
func (s *Server) enterSync(c *call) (func(), bool) {
	grace := time.NewTimer(syncGrace)
	defer grace.Stop()
	for {
		s.mu.Lock()
		running := c.device.called
		if running == nil {
			mine := &syncCall{ctx: c.r.Context(), done: make(chan struct{})}
			c.device.called = mine
			s.mu.Unlock()
			return sync.OnceFunc(func() {
				s.mu.Lock()
				c.device.called = nil
				s.mu.Unlock()
				close(mine.done)
			}), true
		}
		s.mu.Unlock()
		select {
		case <-running.done:
			// The first one ended by itself: nobody hung up, so it was concurrent.
			if running.ctx.Err() == nil {
				s.violate("second /sync of %s %s while one was running", c.user.id, c.device.id)
			}
		case <-grace.C:
			s.violate("second /sync of %s %s while one was running", c.user.id, c.device.id)
			c.fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", "one /sync a device")
			return nil, false
		case <-c.r.Context().Done():
			return nil, false
		}
	}
}

// acceptSince checks the token, and deletes the to-device messages that it
// acknowledges.
func (s *Server) acceptSince(c *call, since string) (place, bool) {
	p, ok := parsePosition(since)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := c.device
	switch {
	case !ok:
		s.violateLocked("sync from a token that is none: %q", since)
		return p, false
	case since == d.since || d.issued[since]:
	case since == "":
		s.violateLocked("initial sync of %s %s after it had synced", c.user.id, d.id)
	default:
		s.violateLocked("sync of %s %s from a token that was not handed out to it, or is outdated: %q", c.user.id, d.id, since)
	}
	if since != d.since {
		d.since = since
		d.issued = map[string]bool{}
	}
	for len(d.inbox) > 0 && d.inbox[0].at <= p.message {
		d.inbox = d.inbox[1:]
	}
	return p, true
}

// ForgetSync lets a device start with an initial /sync, or from an older token,
// without a violation: its store was lost or put back.
func (s *Server) ForgetSync(uid id.UserID, did id.DeviceID, since string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.account(uid).devices[did]; d != nil {
		d.issued[since] = true
	}
}
