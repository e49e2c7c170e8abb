package soak_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the ledger that is watched

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// sights are states of a ledger in which a kill may hurt; each is a query that gives a
// row while the state lasts. "any" is no state: the kill comes after a random time.
var sights = map[string]string{
	"a receipt is open":       "SELECT 1 FROM ledger_receipt r WHERE EXISTS (SELECT 1 FROM ledger_post WHERE receipt = r.receipt AND state = 'sent')",
	"a post is due":           "SELECT 1 FROM ledger_post WHERE state = 'due'",
	"a post has just landed":  "SELECT 1 FROM ledger_post WHERE state = 'landed' AND landed_at > unixepoch('subsec') * 1000 - 20",
	"a room or author is new": "SELECT 1 FROM ledger_room WHERE state IN ('due', 'sent') UNION ALL SELECT 1 FROM ledger_author WHERE state IN ('due', 'sent')",
	"a file is wanted":        "SELECT 1 FROM ledger_attachment WHERE state = 'wanted'",
	"a file is fetched":       "SELECT 1 FROM ledger_attachment WHERE state = 'fetched'",
	keyThere:                  "SELECT 1 FROM ledger_event WHERE waiting = 1",
	dark:                      "SELECT 1 FROM ledger_event WHERE state = 'undecrypted'",
	gapOpen:                   "SELECT 1 FROM ledger_gap WHERE state = 'open'",
	targetWanted:              "SELECT 1 FROM ledger_target WHERE state = 'wanted'",
	"any":                     "",
}

// Sights that come about only when people bring them about.
const (
	keyThere = "an event waits for its key, which is there"
	dark     = "an event cannot be read"
	gapOpen  = "a gap is open"

	targetWanted = "a target is wanted"
)

// watch looks at a ledger while the connector works on it.
type watch struct{ db *sql.DB }

func newWatch(t *testing.T, folder string) *watch {
	t.Helper()
	path := (&url.URL{Path: filepath.Join(folder, "matrix-connector.db")}).EscapedPath()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(50)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return &watch{db}
}

// sees waits for a sight, and reports whether it came within the time.
func (w *watch) sees(ctx context.Context, query string, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var one int
		if query != "" && w.db.QueryRowContext(ctx, query).Scan(&one) == nil {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return query == ""
		}
	}
}

// tally is what became of the kills, by sight.
type tally struct {
	kills, unseen map[string]int
	recovery      map[string]time.Duration
}

func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-46s %6s %9s %17s\n", "killed while", "kills", "unseen", "longest recovery")
	n := 0
	for _, sight := range slices.Sorted(maps.Keys(t.kills)) {
		n += t.kills[sight]
		fmt.Fprintf(&b, "%-46s %6d %9d %15.1f s\n", sight, t.kills[sight], t.unseen[sight], t.recovery[sight].Seconds())
	}
	fmt.Fprintf(&b, "%-46s %6d\n", "in sum", n)
	return b.String()
}

// crowd is a chat in two rooms that a bot reads.
type crowd struct {
	s          *scene.Scene
	chance     *rand.Rand
	alice, bob *people.Person
	rooms      []id.RoomID
	lines      int
	withheld   []people.Withheld
}

func newCrowd(t *testing.T, s *scene.Scene, chance *rand.Rand) *crowd {
	t.Helper()
	c := &crowd{s: s, chance: chance, alice: s.Town.Moves("alice"), bob: s.Town.Moves("bob")}
	s.Starts()
	c.rooms = []id.RoomID{joined(s, c.alice, "Incident 7"), joined(s, c.alice, "War room", people.Encrypted())}
	for _, room := range c.rooms {
		c.alice.Invites(room, c.bob.ID)
		c.bob.Joins(room)
	}
	return c
}

// talks adds a line: a text, an answer, a file, a secret whose key comes late, or a new room.
func (c *crowd) talks() {
	c.lines++
	n := c.lines
	room, person := c.rooms[c.chance.IntN(len(c.rooms))], []*people.Person{c.alice, c.bob}[c.chance.IntN(2)]
	switch {
	case n%40 == 0 && len(c.rooms) < 6:
		fresh := c.alice.Creates(fmt.Sprintf("Side room %d", n))
		c.alice.Invites(fresh, c.s.Bot)
		c.alice.Says(fresh, fmt.Sprintf("The first line of side room %d", n))
	case n%9 == 0:
		person.Sends(room, people.Document(fmt.Sprintf("attachment-number-%d.pdf", n), strconv.Itoa(n)), "")
	case n%7 == 0:
		said := c.s.Town.Said()
		target := said[c.chance.IntN(len(said))]
		c.in(target.Room, person).Says(target.Room, fmt.Sprintf("Answer of the chat, line %d", n), people.ReplyTo(target.Event))
	case n%5 == 0:
		c.changes(fmt.Sprintf("Reworded when the chat was at line %d", n))
	case n%8 == 0:
		c.withheld = append(c.withheld, c.alice.SaysWithoutKey(c.rooms[1], c.s.Bot, fmt.Sprintf("Line %d, whose key comes late", n)))
	default:
		person.Says(room, fmt.Sprintf("Line %d of a long conversation", n))
	}
}

// in is who speaks in a room: alice is alone in the side rooms.
func (c *crowd) in(room id.RoomID, person *people.Person) *people.Person {
	if slices.Contains(c.rooms, room) {
		return person
	}
	return c.alice
}

// changes rewords a text that was said, or has somebody react to it.
func (c *crowd) changes(text string) {
	var texts []people.Said
	for _, one := range c.s.Town.Said() {
		if one.MsgType == "m.text" {
			texts = append(texts, one)
		}
	}
	one := texts[c.chance.IntN(len(texts))]
	switch {
	case c.chance.IntN(4) == 0:
		c.in(one.Room, c.bob).Reacts(one, strconv.Itoa(c.lines)) // no server takes the same one twice
	case one.Sender == c.alice.ID:
		c.alice.Rewords(one, text)
	default:
		c.bob.Rewords(one, text)
	}
}

// provokes brings about what a sight wants.
func (c *crowd) provokes(t *testing.T, w *watch, sight string) {
	t.Helper()
	switch sight {
	case keyThere, dark:
		c.withheld = append(c.withheld, c.alice.SaysWithoutKey(c.rooms[1], c.s.Bot, fmt.Sprintf("A line after line %d whose key comes late", c.lines)))
		if sight == keyThere && w.sees(t.Context(), sights[dark], 3*time.Second) {
			c.confides()
		}
	case gapOpen, targetWanted:
		c.s.Kills()
		const more = 110 // than /sync tells of a room at once
		first := c.bob.Says(c.rooms[0], fmt.Sprintf("The first line after line %d, while nobody listens", c.lines))
		for i := range more {
			c.bob.Says(c.rooms[0], fmt.Sprintf("Line %d after line %d, while nobody listens", i, c.lines))
		}
		c.bob.Says(c.rooms[0], fmt.Sprintf("An answer after line %d to what lies in the gap", c.lines), people.ReplyTo(first.Event))
		c.s.Starts()
	}
}

// confides hands out the keys that were held back.
func (c *crowd) confides() {
	for _, w := range c.withheld {
		w.Shares(c.s.Bot)
	}
	c.withheld = nil
}

func TestRandomKillsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	n := *kills
	switch {
	case n > 0:
	case *long:
		n = 1000
	default:
		n = 20
	}
	const each = 50 // in one world: comparing costs more the more was said there
	for begun := 0; begun < n; begun += each {
		t.Run(fmt.Sprintf("from %d", begun), func(t *testing.T) {
			if !*long {
				t.Parallel()
			}
			endure(t, min(each, n-begun))
		})
	}
}

func endure(t *testing.T, kills int) {
	t.Helper()
	chance := chance(t)
	// Synapse: Dendrite's SQLite can panic when a client dies inside a sync.
	s := scene.New(t, scene.Config{Synapse: true})
	c := newCrowd(t, s, chance)
	w := newWatch(t, s.Env["MATRIX_STORE_PATH"])
	names := slices.Sorted(maps.Keys(sights))
	tally := tally{kills: map[string]int{}, unseen: map[string]int{}, recovery: map[string]time.Duration{}}
	defer func() { t.Logf("\n%s", &tally) }()
	for range kills {
		sight := names[chance.IntN(len(names))]
		for range 1 + chance.IntN(10) {
			c.talks()
		}
		if chance.IntN(2) == 0 {
			c.confides()
		}
		c.provokes(t, w, sight)
		within := 1500 * time.Millisecond
		if sights[sight] == "" {
			within = time.Duration(chance.IntN(2000)) * time.Millisecond
		}
		if !w.sees(t.Context(), sights[sight], within) {
			tally.unseen[sight]++
		}
		s.Kills()
		tally.kills[sight]++
		for range chance.IntN(4) {
			c.talks()
		}
		started := time.Now()
		s.Starts()
		if chance.IntN(3) > 0 {
			continue // the next kill meets it in the middle of its recovery
		}
		c.confides()
		s.Receives()
		tally.recovery[sight] = max(tally.recovery[sight], time.Since(started))
	}
	c.confides()
	s.Receives()
	t.Logf("after %d kills:\n%s", kills, s.Tally())
}
