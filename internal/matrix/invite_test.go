package matrix_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// invites accept as fast as the test goes.
func invites(t *testing.T, a *matrix.Account, c matrix.InviteConfig) *matrix.Invites {
	t.Helper()
	if c.Interval == 0 {
		c.Interval, c.Burst = time.Nanosecond, 100
	}
	v, err := a.Invites(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func accept(t *testing.T, v *matrix.Invites) {
	t.Helper()
	if err := v.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func pendingRooms(t *testing.T, v *matrix.Invites) []id.RoomID {
	t.Helper()
	list, err := v.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []id.RoomID
	for _, p := range list {
		out = append(out, p.Room)
	}
	return out
}

func TestOnlyWhoMayInviteIsFollowed(t *testing.T) {
	cases := map[string]struct {
		from   []string
		sender id.UserID
		want   bool
	}{
		"nobody may":                                   {nil, "@alice:example.org", false},
		"the very one":                                 {[]string{"@alice:example.org"}, "@alice:example.org", true},
		"another one":                                  {[]string{"@alice:example.org"}, "@mallory:example.org", false},
		"the same name in other letters":               {[]string{"@alice:example.org"}, "@Alice:example.org", false},
		"the same name elsewhere":                      {[]string{"@alice:example.org"}, "@alice:evil.org", false},
		"a server":                                     {[]string{"*:example.org"}, "@anybody:example.org", true},
		"another server":                               {[]string{"*:example.org"}, "@anybody:example.com", false},
		"a server that ends alike":                     {[]string{"*:example.org"}, "@anybody:notexample.org", false},
		"a server below":                               {[]string{"*:*.example.org"}, "@a:chat.example.org", true},
		"part of a name":                               {[]string{"@a*:x.org"}, "@alice:x.org", true},
		"part of another name":                         {[]string{"@a*:x.org"}, "@bob:x.org", false},
		"the second of two":                            {[]string{"@bob:x.org", "@alice:x.org"}, "@alice:x.org", true},
		"a star does not reach over the colon":         {[]string{"@a*:x.org"}, "@a:evil.org:x.org", false},
		"a server name that only looks like one below": {[]string{"*:*.example.org"}, "@a:evil.org:1.example.org", false},
		"a server with its port":                       {[]string{"*:localhost:8448"}, "@a:localhost:8448", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			room := s.server.NewRoom(s.server.Stranger(tc.sender), matrixtest.RoomOptions{})
			room.Invite(tc.sender, s.bot)
			s.catchUp(a)
			v := invites(t, a, matrix.InviteConfig{From: tc.from})
			accept(t, v)
			if got := slices.Contains(room.Joined(), s.bot); got != tc.want {
				t.Errorf("joined %v, want %v", got, tc.want)
			}
			if got := len(pendingRooms(t, v)); got != map[bool]int{true: 0, false: 1}[tc.want] {
				t.Errorf("%d invites pending", got)
			}
			if asked := s.server.Count(matrixtest.Join) > 0; asked != tc.want {
				t.Errorf("asked to join: %v, want %v", asked, tc.want)
			}
		})
	}
}

func TestPatternsThatAreNoneAreRefused(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	for _, p := range []string{"", "*", "alice", "alice:x.org", "@alice", "@:x.org", "@alice:", "*:"} {
		if _, err := a.Invites(matrix.InviteConfig{From: []string{"*:x.org", p}}); !errors.Is(err, matrix.ErrPattern) {
			t.Errorf("%q: %v, want ErrPattern", p, err)
		}
	}
}

// TestAStrangersInviteStaysPendingAndIsLoggedOnce also restarts: the log has said it
// before. Accepting it later takes the setting that the log showed.
func TestAStrangersInviteStaysPendingAndIsLoggedOnce(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	stranger := s.server.Stranger("@stranger:example.org")
	room := s.server.NewRoom(stranger, matrixtest.RoomOptions{Name: "secret name"})
	room.Invite(stranger, s.bot)
	s.catchUp(a)
	from := []string{"@bob:x.org"}
	for range 3 {
		accept(t, invites(t, a, matrix.InviteConfig{From: from}))
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = s.open()
	v := invites(t, a, matrix.InviteConfig{From: from})
	accept(t, v)
	line := "setting=\"MATRIX_INVITE_FROM=@bob:x.org,@stranger:example.org\""
	if n := strings.Count(s.log.String(), line); n != 1 {
		t.Errorf("the setting is logged %d times, want once:\n%s", n, s.log.String())
	}
	if diff := cmp.Diff([]id.RoomID{room.ID}, pendingRooms(t, v)); diff != "" {
		t.Error(diff)
	}
	v = invites(t, a, matrix.InviteConfig{From: append(from, "@stranger:example.org")})
	accept(t, v)
	if !slices.Contains(room.Joined(), s.bot) || len(pendingRooms(t, v)) != 0 {
		t.Error("the invite was not accepted with the setting of the log")
	}
}

// TestAnInviteThatIsShownAgainIsTheSame has the initial /sync of a store that lost its
// token, which shows all open invites, and then an invite by somebody else.
func TestAnInviteThatIsShownAgainIsTheSame(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	one, two := s.server.Stranger("@one:x.org"), s.server.Stranger("@two:x.org")
	room := s.server.NewRoom(one, matrixtest.RoomOptions{})
	room.Invite(one, s.bot)
	s.catchUp(a)
	v := invites(t, a, matrix.InviteConfig{})
	for step, want := range []int{1, 1, 2} {
		switch step {
		case 1:
			s.exec("DELETE FROM test_diary")
			s.server.ForgetSync(s.bot, a.DeviceID(), "")
		case 2:
			room.Invite(two, s.bot)
		}
		s.catchUp(a)
		accept(t, v)
		if got := strings.Count(s.log.String(), "stays pending"); got != want {
			t.Errorf("logged %d times after step %d, want %d", got, step, want)
		}
	}
	if got, err := v.Pending(t.Context()); err != nil || len(got) != 1 || !slices.Equal(got[0].Senders, []id.UserID{two}) {
		t.Errorf("pending %+v, %v, want the invite of the last sender", got, err)
	}
}

// TestNoSettingIsShownThatLetsOthersIn has ids whose letters mean something in the
// setting.
func TestNoSettingIsShownThatLetsOthersIn(t *testing.T) {
	for _, sender := range []id.UserID{"@*:example.org", "@a,*:example.org", "@a*b:x.org", "@$HOME:x.org", "@a\nMATRIX_TLP=CLEAR:x.org"} {
		t.Run(string(sender), func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			room := s.server.NewRoom(s.server.Stranger(sender), matrixtest.RoomOptions{})
			room.Invite(sender, s.bot)
			s.catchUp(a)
			accept(t, invites(t, a, matrix.InviteConfig{From: []string{"@bob:x.org"}}))
			text := s.log.String()
			if !strings.Contains(text, "stays pending") || strings.Contains(text, "MATRIX_INVITE_FROM=") || strings.Contains(text, "MATRIX_TLP") {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

func TestStrippedStateIsNotBelieved(t *testing.T) {
	member := func(sender, key, is string) string {
		return fmt.Sprintf(`{"type":"m.room.member","sender":%q,"state_key":%q,"content":{"membership":%q}}`, sender, key, is)
	}
	const bot, friend, stranger = "@bot:test.example", "@friend:x.org", "@stranger:evil.org"
	cases := map[string]struct {
		state []string
		want  bool
	}{
		"the invite of a friend":                         {[]string{member(friend, bot, "invite")}, true},
		"the same twice":                                 {[]string{member(friend, bot, "invite"), member(friend, bot, "invite")}, true},
		"a friend's own membership beside a stranger's":  {[]string{member(friend, friend, "join"), member(stranger, bot, "invite")}, false},
		"a friend's forged invite before a stranger's":   {[]string{member(friend, bot, "invite"), member(stranger, bot, "invite")}, false},
		"a friend's forged invite after a stranger's":    {[]string{member(stranger, bot, "invite"), member(friend, bot, "invite")}, false},
		"an invite of somebody else by a friend":         {[]string{member(friend, "@other:x.org", "invite")}, false},
		"a friend's ban":                                 {[]string{member(friend, bot, "ban")}, false},
		"a room that says it was created by a friend":    {[]string{`{"type":"m.room.create","sender":"@friend:x.org","state_key":"","content":{"creator":"@friend:x.org"}}`}, false},
		"no state at all":                                {nil, false},
		"state that is none":                             {[]string{`5`, `null`, `{"type":5}`, `"x"`}, false},
		"a friend's invite among state that is none":     {[]string{`5`, member(friend, bot, "invite"), `null`}, true},
		"a sender of the wrong type beside the real one": {[]string{`{"type":"m.room.member","sender":["@friend:x.org"],"state_key":"@bot:test.example","content":{"membership":"invite"}}`}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			s.server.Script(s.bot, "", matrixtest.Answer{Body: fmt.Sprintf(
				`{"next_batch":"n","rooms":{"invite":{"!r:x":{"invite_state":{"events":[%s]}}}}}`, strings.Join(tc.state, ","))})
			if _, err := a.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.server.Inject(matrixtest.Fault{On: matrixtest.Join, Status: 200, Body: `{"room_id":"!r:x"}`})
			v := invites(t, a, matrix.InviteConfig{From: []string{friend}})
			accept(t, v)
			if got := s.server.Count(matrixtest.Join) == 1; got != tc.want {
				t.Errorf("joined %v, want %v", got, tc.want)
			}
			if got := len(pendingRooms(t, v)) == 0; got != tc.want {
				t.Errorf("no longer pending: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestInvitesEndWithTheirRoom(t *testing.T) {
	for name, end := range map[string]func(r *matrixtest.Room, alice, bot id.UserID){
		"withdrawn":         func(r *matrixtest.Room, alice, bot id.UserID) { r.Leave(alice, bot) },
		"declined":          func(r *matrixtest.Room, _, bot id.UserID) { r.Leave(bot, bot) },
		"accepted by hand":  func(r *matrixtest.Room, _, bot id.UserID) { r.Join(bot) },
		"turned into a ban": func(r *matrixtest.Room, alice, bot id.UserID) { r.Membership(alice, bot, "ban") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			a := s.open()
			s.catchUp(a)
			alice := s.server.Account("alice", "x")
			room := s.server.NewRoom(alice, matrixtest.RoomOptions{})
			room.Invite(alice, s.bot)
			s.catchUp(a)
			v := invites(t, a, matrix.InviteConfig{})
			if got := pendingRooms(t, v); len(got) != 1 {
				t.Fatalf("pending %v", got)
			}
			end(room, alice, s.bot)
			s.catchUp(a)
			if got := pendingRooms(t, v); len(got) != 0 {
				t.Errorf("still pending: %v", got)
			}
		})
	}
}

func TestRoomsThatAreLeftOutAreNotJoined(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	alice := s.server.Account("alice", "x")
	in := s.server.NewRoom(alice, matrixtest.RoomOptions{Alias: "#ops-eu:test.example"})
	out := s.server.NewRoom(alice, matrixtest.RoomOptions{Alias: "#ops-noise:test.example"})
	ruled := s.server.NewRoom(alice, matrixtest.RoomOptions{Alias: "#ops-hr:test.example"})
	other := s.server.NewRoom(alice, matrixtest.RoomOptions{})
	for _, r := range []*matrixtest.Room{in, out, ruled, other} {
		r.Invite(alice, s.bot)
	}
	s.catchUp(a)
	v := invites(t, a, matrix.InviteConfig{From: []string{string(alice)}, Rooms: matrix.RoomPatterns{
		Only: []matrix.Pattern{"#ops-*:test.example"}, Except: []matrix.Pattern{"#*-noise:*"},
	}, LeaveOut: func(_ id.RoomID, alias id.RoomAlias) bool { return alias == "#ops-hr:test.example" }})
	accept(t, v)
	accept(t, v)
	want := []id.RoomID{out.ID, ruled.ID, other.ID}
	slices.Sort(want)
	got := pendingRooms(t, v)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || !slices.Contains(in.Joined(), s.bot) {
		t.Errorf("pending (-want +got): %s", diff)
	}
	if n := strings.Count(s.log.String(), "left out by MATRIX_ROOMS"); n != 3 {
		t.Errorf("logged %d times, want once for each of three", n)
	}
}

// clock is a clock that the test moves.
type clock struct{ now time.Time }

func (c *clock) use(m *matrix.Config) { m.Now = func() time.Time { return c.now } }

// TestAJoinThatFailsIsTriedAgainWhenItsTimeComes has the two failures of federation:
// a refusal that is none, and a server that is away.
func TestAJoinThatFailsIsTriedAgainWhenItsTimeComes(t *testing.T) {
	cases := map[string]struct {
		fault matrixtest.Fault
		waits []time.Duration // after each failure
		again bool            // whether other joins go on
	}{
		"refused":      {matrixtest.Fault{Status: 403, Code: "M_FORBIDDEN"}, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}, true},
		"away":         {matrixtest.Fault{Status: 502, Code: "M_UNKNOWN"}, []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second}, true},
		"rate-limited": {matrixtest.Fault{Status: 429, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 90_000}, []time.Duration{90 * time.Second, 90 * time.Second, 90 * time.Second}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			c := &clock{now: time.Now()}
			a := s.open(c.use)
			alice := s.server.Account("alice", "x")
			room := s.server.NewRoom(alice, matrixtest.RoomOptions{})
			room.Invite(alice, s.bot)
			s.catchUp(a)
			c.now = c.now.Add(time.Millisecond) // invites are worked off in their order
			second := s.server.NewRoom(alice, matrixtest.RoomOptions{})
			second.Invite(alice, s.bot)
			s.catchUp(a)
			tc.fault.On, tc.fault.Path = matrixtest.Join, string(room.ID)
			tc.fault.Times = len(tc.waits)
			s.server.Inject(tc.fault)
			v := invites(t, a, matrix.InviteConfig{From: []string{string(alice)}})
			tries := func() int {
				n := 0
				for _, r := range s.server.Requests(matrixtest.Join) {
					if strings.Contains(r.Path, string(room.ID)) {
						n++
					}
				}
				return n
			}
			for i, wait := range tc.waits {
				accept(t, v)
				accept(t, v) // its time has not come
				if got := tries(); got != i+1 {
					t.Fatalf("%d tries after failure %d, want %d", got, i+1, i+1)
				}
				if i == 0 && !tc.again && s.server.Count(matrixtest.Join) != 2 {
					t.Errorf("%d joins: the first pass should stop, the second go on", s.server.Count(matrixtest.Join))
				}
				if got := pendingRooms(t, v); !slices.Contains(got, room.ID) {
					t.Fatalf("given up: %v", got)
				}
				c.now = c.now.Add(wait - 2*time.Millisecond)
				accept(t, v)
				if got := tries(); got != i+1 {
					t.Fatalf("tried again before its time, after failure %d", i+1)
				}
				c.now = c.now.Add(2 * time.Millisecond)
			}
			accept(t, v)
			if !slices.Contains(room.Joined(), s.bot) || !slices.Contains(second.Joined(), s.bot) || len(pendingRooms(t, v)) != 0 {
				t.Error("not joined when it could be")
			}
			if n := strings.Count(s.log.String(), "cannot be joined"); n != 1 {
				t.Errorf("the failure is logged %d times, want once while it is the same", n)
			}
		})
	}
}

func TestAnInvalidTokenEndsThePass(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	a := s.open()
	alice := s.server.Account("alice", "x")
	for range 3 {
		s.server.NewRoom(alice, matrixtest.RoomOptions{}).Invite(alice, s.bot)
	}
	s.catchUp(a)
	s.server.Inject(matrixtest.Fault{On: matrixtest.Join, Status: 401, Code: "M_UNKNOWN_TOKEN"})
	v := invites(t, a, matrix.InviteConfig{From: []string{string(alice)}})
	err := v.Accept(t.Context())
	if err == nil || matrix.Classify(err).Class != matrix.ClassUnauthorized || s.server.Count(matrixtest.Join) != 1 {
		t.Errorf("%v after %d joins, want an unauthorized error after one", err, s.server.Count(matrixtest.Join))
	}
}

func TestADayHasItsLimitOfJoins(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	c := &clock{now: time.Now()}
	a := s.open(c.use)
	alice := s.server.Account("alice", "x")
	for range 5 {
		s.server.NewRoom(alice, matrixtest.RoomOptions{}).Invite(alice, s.bot)
	}
	s.catchUp(a)
	v := invites(t, a, matrix.InviteConfig{From: []string{string(alice)}, Max: 2})
	for i, want := range []int{2, 2, 4, 5} {
		if i == 2 || i == 3 {
			c.now = c.now.Add(25 * time.Hour)
		}
		accept(t, v)
		if got := s.server.Count(matrixtest.Join); got != want {
			t.Errorf("%d joins after step %d, want %d", got, i, want)
		}
	}
	if n := strings.Count(s.log.String(), "reached the day's limit"); n != 2 {
		t.Errorf("the limit is logged %d times, want once each time it is reached", n)
	}
}

// agreeing lets every room be joined, without a network.
type agreeing struct{ at *[]time.Duration }

func (j agreeing) RoundTrip(r *http.Request) (*http.Response, error) {
	*j.at = append(*j.at, time.Since(bubbleStart))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"room_id":"!r:x"}`)), Request: r,
	}, nil
}

// bubbleStart is when the clock of every synctest bubble starts.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestJoinsAreSpreadOverTime runs on a false clock: five joins at once, then one in
// ten seconds, which keeps under the homeservers' own limits.
func TestJoinsAreSpreadOverTime(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	path := &switchable{}
	a := s.open(func(c *matrix.Config) { c.Transport = path })
	alice := s.server.Account("alice", "x")
	for range 7 {
		s.server.NewRoom(alice, matrixtest.RoomOptions{}).Invite(alice, s.bot)
	}
	s.catchUp(a)
	var joined []time.Duration
	synctest.Test(t, func(t *testing.T) {
		path.now = agreeing{at: &joined}
		v, err := a.Invites(matrix.InviteConfig{From: []string{string(alice)}})
		if err != nil {
			t.Fatal(err)
		}
		accept(t, v)
	})
	want := []time.Duration{0, 0, 0, 0, 0, 10 * time.Second, 20 * time.Second}
	if diff := cmp.Diff(want, joined); diff != "" {
		t.Errorf("joins (-want +got): %s", diff)
	}
}
