package people

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/cryptohelper"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
	_ "modernc.org/sqlite" // the person's crypto store
)

// Person is somebody with an account, one device and a running client.
type Person struct {
	account
	olm *crypto.OlmMachine

	// members are, by encrypted room, those whom the current room key was shared
	// with; used by the story's goroutine only.
	members map[id.RoomID][]id.UserID

	news     news
	heard    map[id.EventID]string // bodies of received messages, decrypted; guarded by news, as the rest
	sessions map[id.EventID]id.SessionID
	refused  map[id.SessionID]event.RoomKeyWithheldCode
}

// Moves creates an account, logs it in and keeps its client syncing until the
// story ends. displayName may be left out.
func (t *Town) Moves(name string, displayName ...string) *Person {
	t.stage.Helper()
	ctx := t.stage.Context()
	p := &Person{
		account: account{ID: t.Registers(name), town: t},
		members: map[id.RoomID][]id.UserID{}, heard: map[id.EventID]string{},
		sessions: map[id.EventID]id.SessionID{}, refused: map[id.SessionID]event.RoomKeyWithheldCode{},
	}
	must := func(step string, err error) {
		t.stage.Helper()
		if err != nil {
			t.stage.Fatalf("%s moves in: %s: %v", name, step, err)
		}
	}
	client, err := mautrix.NewClient(t.Homeserver.URL, "", "")
	must("make a client", err)
	client.DefaultHTTPRetries = 8 // a homeserver that is restarted
	client.DefaultHTTPBackoff = 200 * time.Millisecond
	client.Client = &http.Client{Transport: &http.Transport{}} // closed on its own
	p.client = client

	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.stage.TempDir(), name+".db")+
		"?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_time_format=sqlite")
	must("open a store", err)
	store, err := dbutil.NewWithDB(db, "sqlite")
	must("open a store", err)
	helper, err := cryptohelper.NewCryptoHelper(client, []byte("pickle key"), store)
	must("prepare crypto", err)
	helper.LoginAs = login(name)
	must("log in", helper.Init(ctx))
	p.olm = helper.Machine()
	if len(displayName) > 0 {
		must("set a display name", client.SetDisplayName(ctx, displayName[0]))
	}
	syncer := client.Syncer.(*mautrix.DefaultSyncer)
	syncer.OnEventType(event.EventMessage, p.hear)
	syncer.OnEventType(event.EventSticker, p.hear)
	syncer.OnEventType(event.EventEncrypted, p.seal)
	syncer.OnEventType(event.ToDeviceRoomKeyWithheld, p.refuse)
	syncer.ParseErrorHandler = func(*event.Event, error) bool { return true } // a body stays a body

	syncing, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for syncing.Err() == nil {
			// It ends by itself when the homeserver is away for long.
			_ = client.SyncWithContext(syncing)
		}
	}()
	t.stage.Cleanup(func() {
		stop()
		<-ended
		client.Client.CloseIdleConnections()
		_ = helper.Close()
	})
	return p
}

func (p *Person) hear(_ context.Context, evt *event.Event) {
	body, _ := evt.Content.Raw["body"].(string)
	p.news.tell(func() { p.heard[evt.ID] = body })
}

// Hears waits until the person has received, and where need be decrypted, an
// event, and returns its body.
func (p *Person) Hears(e id.EventID) string {
	p.town.stage.Helper()
	ctx, cancel := context.WithTimeout(p.ctx(), time.Minute)
	defer cancel()
	var body string
	err := p.news.await(ctx, func() (ok bool) { body, ok = p.heard[e]; return ok })
	if err != nil {
		p.fail("hear %s: %v", e, err)
	}
	return body
}
