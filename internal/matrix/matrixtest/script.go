package matrixtest

import (
	"encoding/json"
	"maps"
	"net/http"

	"maunium.net/go/mautrix/id"
)

// Answer is one prepared answer to /sync.
type Answer struct {
	// Body is sent as it is. Where it is a JSON object with a next_batch, that is
	// the token that the next request must come with.
	Body string
	// Status 0 means 200. An answer with another status is given once; the request
	// that follows must come from the same token.
	Status int
	Header http.Header
	// CutAfter ends the connection after that many bytes of the body; like a bad
	// status it is given once.
	CutAfter int64
}

type script struct {
	user    id.UserID
	answers []Answer
	next    int    // the answer that is due
	since   string // the token that the due answer belongs to
	last    int    // the good answer before it, -1 for none
	before  string // the token that last belonged to
	ended   chan struct{}
}

// Script replaces the live /sync of an account by prepared answers, starting
// with a request from the token since (empty: an initial sync). A request that
// repeats the token of the answer before gets that answer again, as after a
// crash; any other token is a violation. When all are given, /sync waits for its
// timeout and says that nothing happened. The returned channel is closed when
// the last answer has been acknowledged by a request from its token.
func (s *Server) Script(uid id.UserID, since string, answers ...Answer) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := &script{user: uid, answers: answers, since: since, last: -1, ended: make(chan struct{})}
	s.account(uid).script = sc
	return sc.ended
}

func (s *Server) answerScript(c *call, sc *script, since string, release func()) {
	s.mu.Lock()
	if since != sc.since && sc.last >= 0 && since == sc.before {
		a := sc.answers[sc.last]
		s.mu.Unlock()
		release()
		a.write(c)
		return
	}
	if since != sc.since {
		s.violateLocked("scripted sync of %s from %q, expected %q", sc.user, since, sc.since)
		s.mu.Unlock()
		c.fail(http.StatusBadRequest, "M_INVALID_PARAM", "unexpected since")
		return
	}
	if sc.next == len(sc.answers) {
		select {
		case <-sc.ended:
		default:
			close(sc.ended)
		}
		s.mu.Unlock()
		s.idle(c, since, release)
		return
	}
	a := sc.answers[sc.next]
	sc.next++
	if (a.Status == 0 || a.Status == http.StatusOK) && a.CutAfter == 0 {
		var named struct {
			Next string `json:"next_batch"`
		}
		if json.Unmarshal([]byte(a.Body), &named) == nil && named.Next != "" {
			sc.last, sc.before, sc.since = sc.next-1, since, named.Next
		}
	}
	s.mu.Unlock()
	release()
	a.write(c)
}

// idle waits as long as the client asked for, then answers that nothing happened.
func (s *Server) idle(c *call, since string, release func()) {
	f := Fault{Delay: timeoutOf(c.r)}
	if !s.pause(c.r.Context(), &f) {
		panic(http.ErrAbortHandler)
	}
	release()
	c.ok(map[string]any{"next_batch": since})
}

func (a Answer) write(c *call) {
	maps.Copy(c.w.Header(), a.Header)
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	w := c.w
	if a.CutAfter > 0 {
		w = &cutter{ResponseWriter: w, left: a.CutAfter}
	}
	writeBody(w, status, []byte(a.Body))
}
