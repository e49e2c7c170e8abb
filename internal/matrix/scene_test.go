package matrix_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const botPassword = "bot password"

// scene is a homeserver, a store on disk and what an account needs beside them.
type scene struct {
	t      *testing.T
	server *matrixtest.Server
	store  *store.Store
	folder string
	diary  *diary
	log    *logBook
	bot    id.UserID
	opened []*matrix.Account
}

func newScene(t *testing.T, o matrixtest.Options) *scene {
	t.Helper()
	server, err := matrixtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, server: server, folder: t.TempDir(), log: &logBook{}}
	s.bot = server.Account("bot", botPassword)
	s.openStore()
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
		if v := server.Violations(); len(v) > 0 {
			t.Errorf("violations of the protocol:\n%s", strings.Join(v, "\n"))
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *scene) openStore() {
	s.t.Helper()
	st, err := store.Open(s.t.Context(), store.Config{Path: s.folder, Key: []byte("a key for tests, long enough to be one")})
	if err != nil {
		s.t.Fatal(err)
	}
	s.store = st
	s.diary = newDiary(s.t, st)
}

func (s *scene) config() matrix.Config {
	return matrix.Config{
		Homeserver: s.server.URL(), UserID: s.bot, Password: botPassword,
		Store: s.store, Journal: s.diary, Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		HistoryFrom: time.Now().Add(-30 * 24 * time.Hour),
		Limits:      matrix.Limits{LongPoll: 50 * time.Millisecond},
	}
}

// open starts the account as the binary would.
func (s *scene) open(change ...func(*matrix.Config)) *matrix.Account {
	s.t.Helper()
	a, err := s.tryOpen(change...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *scene) tryOpen(change ...func(*matrix.Config)) (*matrix.Account, error) {
	s.t.Helper()
	c := s.config()
	for _, f := range change {
		f(&c)
	}
	a, err := matrix.New(c)
	if err != nil {
		return nil, err
	}
	err = a.Open(s.t.Context())
	s.opened = append(s.opened, a)
	s.t.Cleanup(func() { _ = a.Close() })
	return a, err
}

func (s *scene) peer(name string) *matrixtest.Peer {
	s.t.Helper()
	p, err := s.server.NewPeer(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *scene) say(p *matrixtest.Peer, room id.RoomID, text string) id.EventID {
	s.t.Helper()
	e, err := p.Say(s.t.Context(), room, text)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// catchUp polls until there are no news.
func (s *scene) catchUp(a *matrix.Account) {
	s.t.Helper()
	for range 50 {
		news, err := a.Poll(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if !news {
			return
		}
	}
	s.t.Fatal("news without end")
}

// said are the bodies of the recorded messages, in the order of recording.
func (s *scene) said() []string {
	s.t.Helper()
	var out []string
	for _, b := range s.diary.batches(s.t) {
		for _, e := range b.Events {
			if e.Type == "m.room.message" {
				out = append(out, body(e))
			}
		}
	}
	return out
}

func body(e timeline.Event) string {
	var c struct {
		Body string `json:"body"`
	}
	_ = json.Unmarshal(e.Content, &c)
	return c.Body
}

// events finds recorded events by id.
func (s *scene) event(e id.EventID) (timeline.Event, bool) {
	s.t.Helper()
	for _, b := range s.diary.batches(s.t) {
		for _, have := range b.Events {
			if have.ID == e {
				return have, true
			}
		}
	}
	return timeline.Event{}, false
}

func (s *scene) undecrypted(e id.EventID) (timeline.Undecrypted, bool) {
	s.t.Helper()
	for _, b := range s.diary.batches(s.t) {
		for _, have := range b.Undecrypted {
			if have.Event.ID == e {
				return have, true
			}
		}
	}
	return timeline.Undecrypted{}, false
}

// retry reads all that late keys open.
func (s *scene) retry(a *matrix.Account) {
	s.t.Helper()
	for range 100 {
		n, err := a.RetryPage(s.t.Context(), 10)
		if err != nil {
			s.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	s.t.Fatal("late keys are never worked off")
}

// exec changes the store behind the account's back.
func (s *scene) exec(query string) {
	s.t.Helper()
	if _, err := s.store.DB().Exec(s.t.Context(), query); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.store.DB().QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// diary is a journal in the same store, so that it is rolled back with the rest.
type diary struct {
	db *dbutil.Database

	mu   sync.Mutex
	fail func(timeline.Batch) error
}

var errDiary = errors.New("the journal cannot write")

func newDiary(t *testing.T, st *store.Store) *diary {
	t.Helper()
	_, err := st.DB().Exec(t.Context(), "CREATE TABLE IF NOT EXISTS test_diary (id INTEGER PRIMARY KEY, batch TEXT NOT NULL)")
	if err != nil {
		t.Fatal(err)
	}
	return &diary{db: st.DB()}
}

// failNext makes the next Record write its rows and fail then.
func (d *diary) failNext() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = func(timeline.Batch) error {
		d.fail = nil
		return errDiary
	}
}

// watch calls f with each batch, inside the transaction.
func (d *diary) watch(f func(timeline.Batch) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

func (d *diary) Record(ctx context.Context, b timeline.Batch) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if _, err := d.db.Exec(ctx, "INSERT INTO test_diary (batch) VALUES ($1)", string(text)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail(b)
	}
	return nil
}

func (d *diary) all(ctx context.Context) ([]timeline.Batch, error) {
	rows, err := d.db.Query(ctx, "SELECT batch FROM test_diary ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []timeline.Batch
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		var b timeline.Batch
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
}

func (d *diary) batches(t *testing.T) []timeline.Batch {
	t.Helper()
	b, err := d.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (d *diary) Token(ctx context.Context) (string, error) {
	all, err := d.all(ctx)
	for _, b := range slices.Backward(all) {
		if b.Next != "" {
			return b.Next, err
		}
	}
	return "", err
}

func (d *diary) Known(ctx context.Context, room id.RoomID, ids []id.EventID) (map[id.EventID]bool, error) {
	all, err := d.all(ctx)
	out := map[id.EventID]bool{}
	for _, b := range all {
		for _, e := range b.Events {
			out[e.ID] = out[e.ID] || (e.Room == room && slices.Contains(ids, e.ID))
		}
		for _, u := range b.Undecrypted {
			out[u.Event.ID] = out[u.Event.ID] || (u.Event.Room == room && slices.Contains(ids, u.Event.ID))
		}
	}
	return out, err
}

func (d *diary) Newest(ctx context.Context, room id.RoomID) (id.EventID, error) {
	all, err := d.all(ctx)
	var newest id.EventID
	for _, b := range all {
		for _, e := range b.Events {
			if e.Room == room && b.Next != "" {
				newest = e.ID
			}
		}
	}
	return newest, err
}

func (d *diary) Needed(ctx context.Context, after timeline.KeyNeed, most int) ([]timeline.KeyNeed, error) {
	waiting, _, err := d.unread(ctx)
	seen := map[timeline.KeyNeed]bool{}
	var out []timeline.KeyNeed
	for _, u := range waiting {
		n := timeline.KeyNeed{Room: u.Event.Room, Session: u.Session}
		if u.Reason.Retryable() && !seen[n] && cmpNeeds(n, after) > 0 {
			seen[n] = true
			out = append(out, n)
		}
	}
	slices.SortFunc(out, cmpNeeds)
	return out[:min(most, len(out))], err
}

func cmpNeeds(a, b timeline.KeyNeed) int {
	return cmp.Or(strings.Compare(string(a.Session), string(b.Session)), strings.Compare(string(a.Room), string(b.Room)))
}

func (d *diary) AwaitsKey(ctx context.Context, room id.RoomID, session id.SessionID) (bool, error) {
	waiting, _, err := d.unread(ctx)
	for _, u := range waiting {
		if u.Event.Room == room && u.Session == session && u.Reason.Retryable() {
			return true, err
		}
	}
	return false, err
}

func (d *diary) Waiting(ctx context.Context, most int) ([]timeline.Undecrypted, error) {
	waiting, due, err := d.unread(ctx)
	if err != nil {
		return nil, err
	}
	var out []timeline.Undecrypted
	for e, u := range waiting {
		if due[e] && len(out) < most {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b timeline.Undecrypted) int { return strings.Compare(string(a.Event.ID), string(b.Event.ID)) })
	return out, nil
}

// unread are the events that could not be decrypted so far, and those of them whose key
// came since their last attempt.
func (d *diary) unread(ctx context.Context) (waiting map[id.EventID]timeline.Undecrypted, due map[id.EventID]bool, err error) {
	all, err := d.all(ctx)
	if err != nil {
		return nil, nil, err
	}
	waiting, due = map[id.EventID]timeline.Undecrypted{}, map[id.EventID]bool{}
	for _, b := range all {
		for _, u := range b.Undecrypted {
			waiting[u.Event.ID] = u
		}
		for _, r := range b.Retried {
			delete(due, r.ID)
			if u := waiting[r.ID]; r.Readable {
				delete(waiting, r.ID)
			} else if r.Reason != "" {
				u.Reason = r.Reason
				waiting[r.ID] = u
			}
		}
		for _, k := range b.Keys {
			for e, u := range waiting {
				if u.Session == k.Session && u.Event.Room == k.Room {
					due[e] = true
				}
			}
		}
	}
	return waiting, due, nil
}

// logBook keeps what was logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
