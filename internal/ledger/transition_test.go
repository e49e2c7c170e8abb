package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// drawing is the picture in the package comment: for each operation, which state may
// become which. An operation that is not allowed from a state leaves it alone.
var drawing = map[string]map[ledger.State][]ledger.State{
	"record": { // a new event, room or post: raise
		"":                 {ledger.StateIdle, ledger.StateDue},
		ledger.StateIdle:   {ledger.StateDue},
		ledger.StateSent:   {ledger.StateDue},
		ledger.StateLanded: {ledger.StateDue},
	},
	"send": {ledger.StateDue: {ledger.StateSent}},
	"land": {
		ledger.StateSent: {ledger.StateLanded, ledger.StateDue}, // due: a referrer is raised
		ledger.StateDue:  {ledger.StateLanded},
		// A landed reply that went without its relation is raised by its target.
		ledger.StateLanded: {ledger.StateDue},
	},
	"defer":   {ledger.StateSent: {ledger.StateDue}},
	"kill":    {ledger.StateSent: {ledger.StateDead}, ledger.StateDue: {ledger.StateDead}},
	"lapse":   {ledger.StateSent: {ledger.StateDue, ledger.StateDead}},
	"missing": {ledger.StateSent: {ledger.StateDue}, ledger.StateLanded: {ledger.StateDue}},
	"leave":   {ledger.StateDue: {ledger.StateLanded}, ledger.StateSent: {ledger.StateLanded}},
	"requeue": {ledger.StateDead: {ledger.StateDue}, ledger.StateLanded: {ledger.StateDue}}, // one that was left alone
	"reset":   {ledger.StateSent: {ledger.StateDue}, ledger.StateLanded: {ledger.StateDue}, ledger.StateDead: {ledger.StateDue}},
	"key":     {ledger.StateSent: {ledger.StateDue}, ledger.StateLanded: {ledger.StateDue}},
	"rules":   {ledger.StateDue: {ledger.StateDead}, ledger.StateDead: {ledger.StateDue}, "": {ledger.StateDue}, ledger.StateIdle: {ledger.StateDue}},
	"restart": {},
	"time":    {},
}

// mayForget are the operations after which less counts as landed than before.
var mayForget = map[string]bool{"missing": true, "reset": true, "key": true, "requeue": true}

type rowState struct {
	State            ledger.State
	Revision, Landed int64
}

// rows reads the states of everything that is delivered.
func rows(tb testing.TB, s *store.Store) map[string]rowState {
	tb.Helper()
	out := map[string]rowState{}
	result, err := s.DB().Query(tb.Context(), `SELECT 'room ' || room, state, revision, landed FROM ledger_room
		UNION ALL SELECT 'author ' || user, state, revision, landed FROM ledger_author
		UNION ALL SELECT 'post ' || event, state, revision, landed FROM ledger_post`)
	if err != nil {
		tb.Fatal(err)
	}
	list, err := dbutil.ConvertRowFn[string](func(row dbutil.Scannable) (string, error) {
		var name string
		var r rowState
		err := row.Scan(&name, &r.State, &r.Revision, &r.Landed)
		out[name] = r
		return name, err
	}).NewRowIter(result, nil).AsList()
	if err != nil || len(list) != len(out) {
		tb.Fatalf("%d rows, %d names, %v", len(list), len(out), err)
	}
	return out
}

// check compares two readings with the drawing.
func check(op string, before, after map[string]rowState) error {
	for name, was := range before {
		is, ok := after[name]
		switch {
		case !ok:
			return fmt.Errorf("%s: %s disappeared", op, name)
		case is.Revision < was.Revision:
			return fmt.Errorf("%s: revision of %s fell from %d to %d", op, name, was.Revision, is.Revision)
		case is.Landed < was.Landed && !mayForget[op]:
			return fmt.Errorf("%s: landed revision of %s fell from %d to %d", op, name, was.Landed, is.Landed)
		}
	}
	for name, is := range after {
		was := before[name]
		switch {
		case is.State != was.State && !slices.Contains(drawing[op][was.State], is.State):
			return fmt.Errorf("%s: %s went from %q to %q, which is not in the drawing", op, name, was.State, is.State)
		case is.Landed > is.Revision:
			return fmt.Errorf("%s: of %s revision %d landed, of %d", op, name, is.Landed, is.Revision)
		case is.State == ledger.StateLanded && is.Landed != is.Revision:
			return fmt.Errorf("%s: %s is landed at %d of %d: an old text stays", op, name, is.Landed, is.Revision)
		}
	}
	return nil
}

func TestEveryWalkStaysWithinTheDrawing(t *testing.T) {
	reached := map[string]int{}
	s := open(t).store
	rapid.Check(t, func(rt *rapid.T) {
		// Each walk starts with nothing.
		if w := ledger.New(ledger.Config{Store: s}); w.Open(t.Context()) != nil {
			rt.Fatal("open ledger")
		}
		forgetAll(t, s)
		w := &walk{t: t, rt: rt, store: s, now: noon}
		w.conf = ledger.Config{Store: s, Clock: func() time.Time { return w.now }, Self: bot, SkipRoom: func(r timeline.Room) string {
			if r.ID == room && w.excluded {
				return "excluded"
			}
			return ""
		}}
		w.reopen()
		before := rows(t, s)
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			op := w.step()
			after := rows(t, s)
			if err := check(op, before, after); err != nil {
				rt.Fatal(err)
			}
			for name, is := range after {
				if was := before[name]; was.State != is.State {
					reached[fmt.Sprintf("%s: %s -> %s", op, was.State, is.State)]++
				}
			}
			before = after
		}
		w.finish()
	})
	t.Logf("arrows taken: %v", reached)
	// Those that any hundred walks take many times; the rest is for the table below.
	for _, arrow := range []string{
		"send: due -> sent", "land: sent -> landed", "land: due -> landed", "kill: due -> dead", "lapse: sent -> due", "rules: due -> dead",
	} {
		if reached[arrow] == 0 {
			t.Errorf("no walk ever took %q; the test proves less than it says", arrow)
		}
	}
}

// forgetAll empties a ledger. Opening a store for each walk would take most of the time.
func forgetAll(t *testing.T, s *store.Store) {
	t.Helper()
	for _, table := range []string{"attachment", "target", "gap", "receipt", "key", "post", "content", "event", "author", "room"} {
		if _, err := s.DB().Exec(t.Context(), "DELETE FROM ledger_"+table); err != nil {
			t.Fatal(err)
		}
	}
}

// walk takes random steps.
type walk struct {
	*ledger.Ledger
	t        *testing.T
	rt       *rapid.T
	store    *store.Store
	conf     ledger.Config
	now      time.Time
	excluded bool
	receipts int
	flight   ledger.Batch // sent and not settled
	receipt  string
	edits    int
}

func (w *walk) ok(err error) {
	if err != nil {
		w.rt.Fatal(err)
	}
}

// tried accepts what the drawing does not have.
func (w *walk) tried(err error) {
	if !errors.Is(err, ledger.ErrTransition) && !errors.Is(err, ledger.ErrUnknown) {
		w.ok(err)
	}
}

func (w *walk) reopen() {
	w.Ledger = ledger.New(w.conf)
	w.ok(w.Open(w.t.Context()))
	w.ok(w.Reconsider(w.t.Context()))
}

func (w *walk) event() timeline.Event {
	n := rapid.IntRange(1, 8).Draw(w.rt, "n")
	sender := rapid.SampledFrom([]id.UserID{alice, bob}).Draw(w.rt, "sender")
	e := message(n, sender, fmt.Sprintf("text %d", n))
	if n%2 == 0 {
		e = reply(n, sender, fmt.Sprintf("text %d", n), eventID(rapid.IntRange(1, 9).Draw(w.rt, "to")))
	}
	e.Live = rapid.Bool().Draw(w.rt, "live")
	if rapid.Bool().Draw(w.rt, "elsewhere") {
		e.Room, e.ID = "!other:example.org", e.ID+"other"
	}
	return e
}

// refOf names a row by its name in rows.
func refOf(name string) ledger.Ref {
	kind, key, _ := strings.Cut(name, " ")
	switch kind {
	case "room":
		return ledger.Ref{Kind: ledger.KindRoom, Room: id.RoomID(key)}
	case "author":
		return ledger.Ref{Kind: ledger.KindAuthor, User: id.UserID(key)}
	}
	r := ledger.Ref{Kind: ledger.KindPost, Room: room, Event: id.EventID(key)}
	if strings.HasSuffix(key, "other") {
		r.Room = "!other:example.org"
	}
	return r
}

// ref picks a row: often one in a state that suits the operation, otherwise any, also
// one that does not exist.
func (w *walk) ref(suits ...ledger.State) (ledger.Ref, int64) {
	var suiting []string
	all := rows(w.t, w.store)
	for name, r := range all {
		if slices.Contains(suits, r.State) {
			suiting = append(suiting, name)
		}
	}
	if len(suiting) > 0 && rapid.IntRange(0, 3).Draw(w.rt, "suits") > 0 {
		slices.Sort(suiting)
		name := rapid.SampledFrom(suiting).Draw(w.rt, "row")
		return refOf(name), all[name].Revision
	}
	e := w.event()
	var refs []ledger.Ref
	for _, r := range w.flight.Rooms {
		refs = append(refs, ledger.RoomRef(r))
	}
	for _, a := range w.flight.Authors {
		refs = append(refs, ledger.AuthorRef(a))
	}
	for _, d := range w.flight.Drafts {
		refs = append(refs, ledger.PostRef(d))
	}
	refs = append(refs, ledger.Ref{Kind: ledger.KindRoom, Room: e.Room}, ledger.Ref{Kind: ledger.KindAuthor, User: e.Sender},
		ledger.Ref{Kind: ledger.KindPost, Room: e.Room, Event: e.ID})
	r := rapid.SampledFrom(refs).Draw(w.rt, "ref")
	revision := r.Revision
	if revision == 0 {
		revision = rapid.Int64Range(0, 4).Draw(w.rt, "revision")
	}
	return r, revision
}

func (w *walk) step() string {
	ctx := w.t.Context()
	op := rapid.SampledFrom([]string{
		"record", "record", "send", "send", "send", "send", "land", "land all", "land all", "amend", "defer", "kill", "lapse", "missing", "missing", "requeue", "leave",
		"time", "time", "edit", "rename", "announce", "rare",
	}).Draw(w.rt, "op")
	if op == "rare" { // these leave little of what the others made
		op = rapid.SampledFrom([]string{"reset", "key", "rules", "rules", "restart"}).Draw(w.rt, "rare op")
	}
	switch op {
	case "record":
		w.ok(w.Record(ctx, timeline.Batch{Events: []timeline.Event{w.event(), w.event()}}))
	case "announce":
		w.ok(w.Record(ctx, timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "Room"}}}))
		return "record"
	case "rename":
		w.edits++
		w.ok(w.Record(ctx, timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: fmt.Sprint("Room ", w.edits)}}}))
		return "record"
	case "edit":
		// A file that is refused makes its post say something else, as an edit will.
		w.edits++
		e := image(100+w.edits%3, alice, "m")
		w.ok(w.Record(ctx, timeline.Batch{Events: []timeline.Event{e}}))
		wanted, err := w.Wanted(ctx, 1)
		w.ok(err)
		if len(wanted) > 0 && rapid.Bool().Draw(w.rt, "refuse") {
			w.ok(w.Refuse(ctx, wanted[0], "too_large"))
		}
		return "record"
	case "send":
		b, err := w.Due(ctx, rapid.IntRange(1, 10).Draw(w.rt, "max"))
		w.ok(err)
		w.checkBatch(b)
		if !b.Empty() {
			w.receipts++
			w.receipt, w.flight = fmt.Sprint("receipt ", w.receipts), b
			w.ok(w.Send(ctx, w.receipt, b))
		}
	case "land":
		r, revision := w.ref(ledger.StateSent, ledger.StateDue)
		w.tried(w.Land(ctx, r, revision))
	case "land all":
		w.landAll()
		return "land"
	case "amend":
		b, err := w.Due(ctx, 10)
		w.ok(err)
		w.flight = b
		w.landAll()
		return "land"
	case "defer":
		r, _ := w.ref(ledger.StateSent)
		w.tried(w.Defer(ctx, r, "temporary", "test"))
	case "kill":
		r, _ := w.ref(ledger.StateSent, ledger.StateDue)
		w.tried(w.Kill(ctx, r, "test"))
	case "lapse":
		w.ok(w.Lapse(ctx, w.receipt))
	case "missing":
		r, _ := w.ref(ledger.StateSent)
		w.tried(w.MissingEnd(ctx, r))
	case "leave":
		r, revision := w.ref(ledger.StateDue, ledger.StateLanded)
		r.Revision = revision
		w.tried(w.Leave(ctx, r))
	case "requeue":
		r, _ := w.ref(ledger.StateDead, ledger.StateLanded)
		w.tried(w.Requeue(ctx, r))
	case "reset":
		w.ok(w.Reset(ctx))
	case "key":
		w.tried(w.SetRoomKey(ctx, room, rapid.SampledFrom([]string{"a", "b"}).Draw(w.rt, "key")))
	case "rules":
		w.excluded = !w.excluded
		w.reopen()
	case "restart":
		w.reopen()
		receipt, b, ok, err := w.InFlight(ctx)
		w.ok(err)
		if ok {
			w.receipt, w.flight = receipt, b
		}
	case "time":
		w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 2 * time.Hour}).Draw(w.rt, "time"))
	}
	return op
}

func (w *walk) landAll() {
	ctx := w.t.Context()
	if rapid.Bool().Draw(w.rt, "at once") {
		w.tried(w.LandAll(ctx, refs(w.flight)))
		return
	}
	for _, r := range w.flight.Rooms {
		w.tried(w.Land(ctx, ledger.RoomRef(r), r.Revision))
	}
	for _, a := range w.flight.Authors {
		w.tried(w.Land(ctx, ledger.AuthorRef(a), a.Revision))
	}
	for _, d := range w.flight.Drafts {
		w.tried(w.Land(ctx, ledger.PostRef(d), d.Revision))
	}
}

// refs are the rows of a batch, in their order.
func refs(b ledger.Batch) []ledger.Ref {
	var out []ledger.Ref
	for _, r := range b.Rooms {
		out = append(out, ledger.RoomRef(r))
	}
	for _, a := range b.Authors {
		out = append(out, ledger.AuthorRef(a))
	}
	for _, d := range b.Drafts {
		out = append(out, ledger.PostRef(d))
	}
	return out
}

// checkBatch holds a batch against the promises: both ends have landed, no post twice,
// a target before what refers to it.
func (w *walk) checkBatch(b ledger.Batch) {
	landed := rows(w.t, w.store)
	seen := map[string]bool{}
	for _, d := range b.Drafts {
		if d.Room.Landed == 0 || d.Author.Landed == 0 {
			w.rt.Fatalf("%s is due before its room (%d) or author (%d) has landed", d.Post.ID, d.Room.Landed, d.Author.Landed)
		}
		if seen[string(d.Post.ID)] {
			w.rt.Fatalf("%s stands twice in a batch", d.Post.ID)
		}
		if d.ReplyKnown && !seen[string(d.Post.Reply)] && landed["post "+string(d.Post.Reply)].Landed == 0 {
			w.rt.Fatalf("%s claims a relation to %s, which has not landed", d.Post.ID, d.Post.Reply)
		}
		seen[string(d.Post.ID)] = true
	}
}

// finish lets everything land: whatever the walk did, nothing is stuck.
func (w *walk) finish() {
	ctx := w.t.Context()
	if w.excluded {
		w.excluded = false
		w.reopen()
	}
	for name, r := range rows(w.t, w.store) {
		if r.State != ledger.StateDead {
			continue
		}
		w.ok(w.Requeue(ctx, refOf(name)))
	}
	for range 200 {
		receipt, b, ok, err := w.InFlight(ctx)
		w.ok(err)
		if !ok {
			break
		}
		w.receipt, w.flight = receipt, b
		w.landAll()
	}
	for range 200 {
		b, err := w.Due(ctx, 50)
		w.ok(err)
		if b.Empty() {
			next, err := w.NextDue(ctx)
			w.ok(err)
			if next.IsZero() {
				break
			}
			w.now = next
		}
		w.flight = b
		w.landAll()
	}
	for name, r := range rows(w.t, w.store) {
		if r.State != ledger.StateLanded && r.State != ledger.StateIdle {
			w.rt.Fatalf("%s is stuck: %+v", name, r)
		}
	}
}

// TestEachOperationDoesWhatTheDrawingSays names the states, one operation at a time.
func TestEachOperationDoesWhatTheDrawingSays(t *testing.T) {
	post := ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(1)}
	type setUp func(d *desk) ledger.Batch
	due := func(d *desk) ledger.Batch {
		d.news(message(1, alice, "hello"))
		b := d.due(10)
		d.ok(d.Send(t.Context(), "ends", b))
		d.land(b)
		return d.due(10)
	}
	sent := func(d *desk) ledger.Batch {
		b := due(d)
		d.ok(d.Send(t.Context(), "receipt", b))
		return b
	}
	landed := func(d *desk) ledger.Batch {
		b := sent(d)
		d.land(b)
		return b
	}
	dead := func(d *desk) ledger.Batch {
		b := sent(d)
		d.ok(d.Kill(t.Context(), post, "bad"))
		return b
	}
	raised := func(d *desk) ledger.Batch { // while it is on its way
		b := sent(d)
		_, err := d.store.DB().Exec(t.Context(), "UPDATE ledger_post SET state = 'due', revision = 2")
		d.ok(err)
		return b
	}
	land := func(d *desk, b ledger.Batch) error {
		return d.Land(t.Context(), ledger.PostRef(b.Drafts[0]), b.Drafts[0].Revision)
	}
	postpone := func(d *desk, b ledger.Batch) error {
		return d.Defer(t.Context(), ledger.PostRef(b.Drafts[0]), "temporary", "x")
	}
	kill := func(d *desk, b ledger.Batch) error { return d.Kill(t.Context(), ledger.PostRef(b.Drafts[0]), "bad") }
	lapse := func(d *desk, _ ledger.Batch) error { return d.Lapse(t.Context(), "receipt") }
	missing := func(d *desk, b ledger.Batch) error { return d.MissingEnd(t.Context(), ledger.PostRef(b.Drafts[0])) }
	requeue := func(d *desk, _ ledger.Batch) error { return d.Requeue(t.Context(), post) }
	reset := func(d *desk, _ ledger.Batch) error { return d.Reset(t.Context()) }
	leave := func(d *desk, _ ledger.Batch) error { return d.Leave(t.Context(), post) }
	left := func(d *desk) ledger.Batch {
		b := landed(d)
		d.ok(leave(d, b))
		return b
	}
	for name, tc := range map[string]struct {
		from setUp
		op   func(*desk, ledger.Batch) error
		want string
		err  error
	}{
		"a sent post lands":                                       {sent, land, "landed 1/1", nil},
		"a due post lands by amendment":                           {due, land, "landed 1/1", nil},
		"landing twice changes nothing":                           {landed, land, "landed 1/1", nil},
		"a dead post that lands all the same stays dead":          {dead, land, "dead 1/1", nil},
		"a dead post is not deferred":                             {dead, postpone, "dead 1/0", nil},
		"a dead post that misses an end stays dead":               {dead, missing, "dead 1/0", nil},
		"a landed post misses no end":                             {landed, missing, "landed 1/1", ledger.ErrTransition},
		"an older revision that lands leaves the newer one due":   {raised, land, "due 2/1", nil},
		"a sent post is deferred":                                 {sent, postpone, "due 1/0", nil},
		"a landed post is not deferred":                           {landed, postpone, "landed 1/1", ledger.ErrTransition},
		"a failure of an older revision is void":                  {raised, kill, "due 2/0", nil},
		"a sent post is killed":                                   {sent, kill, "dead 1/0", nil},
		"a due post is killed":                                    {due, kill, "dead 1/0", nil},
		"a landed post is not killed":                             {landed, kill, "landed 1/1", ledger.ErrTransition},
		"a sent post lapses":                                      {sent, lapse, "due 1/0", nil},
		"a landed post does not lapse":                            {landed, lapse, "landed 1/1", nil},
		"a post whose end is missing is due":                      {sent, missing, "due 1/0", nil},
		"a dead post is requeued":                                 {dead, requeue, "due 1/0", nil},
		"a sent post is not requeued":                             {sent, requeue, "sent 1/0", ledger.ErrTransition},
		"a landed post that is gone is left alone":                {landed, leave, "landed 1/1", nil},
		"a post that never landed is not left alone":              {sent, leave, "sent 1/0", nil},
		"a dead post is not left alone":                           {dead, leave, "dead 1/0", nil},
		"a post that was left alone is requeued":                  {left, requeue, "due 1/0", nil},
		"a landed post is not requeued":                           {landed, requeue, "landed 1/1", ledger.ErrTransition},
		"a reset sends again what was left alone":                 {left, reset, "due 2/0", nil},
		"a reset makes a landed post due as if it had not landed": {landed, reset, "due 2/0", nil},
		"a reset makes a sent post due":                           {sent, reset, "due 2/0", nil},
		"a reset makes a dead post due":                           {dead, reset, "due 2/0", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			b := tc.from(d)
			if err := tc.op(d, b); !errors.Is(err, tc.err) {
				t.Errorf("error is %v, want %v", err, tc.err)
			}
			if got := d.postState(eventID(1)); got != tc.want {
				t.Errorf("post is %s, want %s", got, tc.want)
			}
		})
	}
	t.Run("what does not exist is unknown", func(t *testing.T) {
		d := open(t)
		for _, r := range []ledger.Ref{post, {Kind: ledger.KindRoom, Room: room}, {Kind: ledger.KindAuthor, User: alice}, {Kind: ledger.KindAttachment, Room: room}, {}} {
			if err := d.Kill(t.Context(), r, "x"); !errors.Is(err, ledger.ErrUnknown) {
				t.Errorf("%+v: %v, want ErrUnknown", r, err)
			}
		}
	})
}

func TestARevisionThatWasNeverSaidCannotLand(t *testing.T) {
	d := ready(t)
	r := ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(1)}
	for _, revision := range []int64{-1, 0, 2} {
		if err := d.Land(t.Context(), r, revision); !errors.Is(err, ledger.ErrTransition) {
			t.Errorf("revision %d of 1: %v", revision, err)
		}
	}
}

func TestFailuresWaitByTheRetryCurve(t *testing.T) {
	d := ready(t)
	d.news(message(3, alice, "x"))
	var waits []time.Duration
	for range 7 {
		b := d.due(10)
		if len(b.Drafts) != 1 {
			t.Fatalf("%d posts are due", len(b.Drafts))
		}
		d.sends++
		d.ok(d.Send(t.Context(), strconv.Itoa(d.sends), b))
		d.ok(d.Defer(t.Context(), ledger.PostRef(b.Drafts[0]), "temporary", "unavailable"))
		if b := d.due(10); !b.Empty() {
			t.Fatal("a deferred post is due at once")
		}
		next, err := d.NextDue(t.Context())
		d.ok(err)
		waits = append(waits, next.Sub(d.now))
		d.now = next
	}
	want := []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	d.deliver()
	d.ok(d.Reset(t.Context()))
	b := d.due(1)
	d.ok(d.Defer(t.Context(), ledger.RoomRef(b.Rooms[0]), "temporary", "unavailable"))
	if next, err := d.NextDue(t.Context()); err != nil || next.Sub(d.now) != 2*time.Second {
		t.Errorf("after landing the curve starts at %v (%v)", next.Sub(d.now), err)
	}
}

func TestAPostThatLapsesTooOftenIsDeadAndSaysWhy(t *testing.T) {
	d := ready(t)
	d.news(message(3, alice, "x"))
	for n := range ledger.MaxLapses {
		b := d.due(10)
		if len(b.Drafts) != 1 {
			t.Fatalf("after %d lapses %d posts are due", n, len(b.Drafts))
		}
		receipt := fmt.Sprint("lapse ", n)
		d.ok(d.Send(t.Context(), receipt, b))
		d.ok(d.Lapse(t.Context(), receipt))
	}
	if got := d.column("SELECT state || ' ' || reason FROM ledger_post WHERE event = ?", eventID(3)); got != "dead unconfirmed" {
		t.Errorf("post is %s", got)
	}
}

func TestAMissingEndMakesAllEndsDueFirst(t *testing.T) {
	d := ready(t)
	d.news(reply(3, alice, "answer", eventID(2)))
	b := d.due(10)
	d.ok(d.Send(t.Context(), "r", b))
	d.ok(d.MissingEnd(t.Context(), ledger.PostRef(b.Drafts[0])))
	b = d.due(10)
	if len(b.Rooms) != 1 || len(b.Authors) != 1 || b.Authors[0].User != alice || len(b.Drafts) != 0 {
		t.Fatalf("due: %d rooms, %d authors, %d posts", len(b.Rooms), len(b.Authors), len(b.Drafts))
	}
	d.now = d.now.Add(time.Minute)
	if diff := cmp.Diff([]string{"answer"}, texts(d.deliver())); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestWhatRefersToAPostThatWasDeletedGoesWithoutTheRelation(t *testing.T) {
	d := ready(t)
	target := ledger.Ref{Kind: ledger.KindPost, Room: room, Event: eventID(2)}
	d.ok(d.Leave(t.Context(), target))
	d.news(reply(3, alice, "answer", eventID(2)))
	drafts := d.deliver()
	if len(drafts) != 1 || drafts[0].ReplyKnown {
		t.Fatalf("delivered %v", texts(drafts))
	}
	var got []ledger.Missing
	for m, err := range d.Missing(t.Context(), ledger.Choice{}) {
		d.ok(err)
		got = append(got, m)
	}
	want := []ledger.Missing{{What: "post", State: "deleted", Room: room, Event: eventID(2), User: bob, Reason: "deleted_on_platform", Sent: sentAt(2)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	d.ok(d.Requeue(t.Context(), target))
	drafts = d.deliver()
	if diff := cmp.Diff([]string{"second", "answer"}, texts(drafts)); diff != "" || !drafts[1].ReplyKnown {
		t.Errorf("after it was asked for (-want +got):\n%s", diff)
	}
}

func TestWhatWasOnItsWayIsFoundAfterACrash(t *testing.T) {
	d := open(t)
	d.record(timeline.Batch{Rooms: []timeline.Room{{ID: room, Name: "Old"}}, Events: []timeline.Event{message(1, alice, "one"), message(2, bob, "two")}})
	ends := d.due(10)
	d.ok(d.Send(t.Context(), "ends", ends))
	d.record(timeline.Batch{Events: history(reply(10, bob, "b", eventID(11)), message(11, alice, "a"))})
	d.restart()
	receipt, got, ok, err := d.InFlight(t.Context())
	d.ok(err)
	if !ok || receipt != "ends" {
		t.Fatalf("receipt %q, found %v", receipt, ok)
	}
	if diff := cmp.Diff(ends, got); diff != "" {
		t.Errorf("ends (-sent +found):\n%s", diff)
	}
	d.land(got)
	batch := d.due(10)
	d.ok(d.Send(t.Context(), "posts", batch))
	d.restart()
	receipt, got, ok, err = d.InFlight(t.Context())
	d.ok(err)
	if !ok || receipt != "posts" {
		t.Fatalf("receipt %q, found %v", receipt, ok)
	}
	if diff := cmp.Diff(batch, got); diff != "" {
		t.Errorf("posts (-sent +found):\n%s", diff)
	}
	d.land(got)
	if _, _, ok, err := d.InFlight(t.Context()); ok || err != nil {
		t.Errorf("something is on its way still (%v)", err)
	}
}

func TestAReceiptIsUsedOnce(t *testing.T) {
	d := ready(t)
	d.news(message(3, alice, "x"))
	b := d.due(10)
	d.ok(d.Send(t.Context(), "r", b))
	if err := d.Send(t.Context(), "r", b); err == nil {
		t.Error("a receipt was used twice")
	}
	if err := d.Send(t.Context(), "", b); err == nil {
		t.Error("an empty receipt was stored")
	}
}
