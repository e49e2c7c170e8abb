package people

import (
	"context"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// Stage is what a story is played on: a [testing.TB], or the demo.
type Stage interface {
	Helper()
	Context() context.Context
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// Password is the password of every account of a town.
const Password = "a password of the people"

// Town is a homeserver and the people who chat on it.
type Town struct {
	Homeserver *parts.Homeserver
	stage      Stage

	mu   sync.Mutex
	said []Said
}

// New is a town on a running homeserver.
func New(stage Stage, hs *parts.Homeserver) *Town {
	return &Town{Homeserver: hs, stage: stage}
}

// Said is one message as its sender meant it.
type Said struct {
	Event     id.EventID
	Room      id.RoomID
	Sender    id.UserID
	Type      string   // the event's type, decrypted
	MsgType   string   // of an m.room.message
	Text      string   // body, caption or description; empty where only a file was sent
	Former    []string // what it said before it was edited, oldest first
	File      *File
	More      []File // of a gallery
	Encrypted bool
	ReplyTo   id.EventID
	Thread    id.EventID // the thread's root
	At        time.Time  // of the sender's clock
}

// Said is everything that was said in the town, in order.
func (t *Town) Said() []Said {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.said)
}

func (t *Town) remember(s Said) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = append(t.said, s)
}

// Registers creates an account that nobody of the town uses, and returns its id.
func (t *Town) Registers(name string) id.UserID {
	t.stage.Helper()
	if err := t.Homeserver.Register(t.stage.Context(), name, Password); err != nil {
		t.stage.Fatalf("%v", err)
	}
	return id.NewUserID(name, parts.ServerName)
}

// LogsIn logs an account in, as an operator does with a command-line client, and
// returns the access token of the new device, which has no keys.
func (t *Town) LogsIn(name string) string {
	t.stage.Helper()
	client, err := mautrix.NewClient(t.Homeserver.URL, "", "")
	if err != nil {
		t.stage.Fatalf("make a client: %v", err)
	}
	resp, err := client.Login(t.stage.Context(), login(name))
	if err != nil {
		t.stage.Fatalf("log %s in: %v", name, err)
		return ""
	}
	return resp.AccessToken
}

func login(name string) *mautrix.ReqLogin {
	return &mautrix.ReqLogin{
		Type:       mautrix.AuthTypePassword,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: name},
		Password:   Password,
	}
}
