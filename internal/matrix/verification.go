package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Verifications are the verifications by emoji between the bot and people who may invite
// it, or another session of the bot's own account. They are in memory alone: who verifies
// sits in front of it.
//
// One goroutine calls its methods; events come in from any.
type Verifications struct {
	account *Account
	may     func(id.UserID) bool
	wake    func()

	inbox inbox

	book   *sas.Book
	master id.Ed25519 // that the book was made with
	told   map[*sas.Verification]bool
}

// inbox holds what was received and is still to be looked at.
type inbox struct {
	mu     sync.Mutex
	events []sas.Event
}

// mostEvents bounds the inbox: a verification has about ten.
const mostEvents = 200

// Verifications begins to listen. may says who may verify the bot; wake is called when there
// is something to be done, and must not wait. It is called once, after [Account.Open].
func (a *Account) Verifications(may func(id.UserID) bool, wake func()) *Verifications {
	v := &Verifications{account: a, may: may, wake: wake, told: map[*sas.Verification]bool{}}
	a.verifications.Store(v)
	return v
}

// overhears hands events of verifications on, once the transaction in which they were read
// is committed.
func (a *Account) overhears(events []sas.Event) {
	v := a.verifications.Load()
	if v == nil {
		return
	}
	added := false
	v.inbox.mu.Lock()
	for _, e := range events {
		if e.Sender == a.self().User || v.may(e.Sender) {
			if len(v.inbox.events) < mostEvents {
				v.inbox.events = append(v.inbox.events, e)
				added = true
			}
		}
	}
	v.inbox.mu.Unlock()
	if added {
		v.wake()
	}
}

// heardInRoom notes an event of a room that may be one of a verification. What is older than
// any verification is none. device is the sender's where decryption has proven it.
func (m *machine) heardInRoom(e *timeline.Event, device id.DeviceID) {
	s := sas.Event{Type: e.Type, Sender: e.Sender, Device: device, Room: e.Room, ID: e.ID, Sent: e.Sent, Content: e.Content}
	if e.StateKey == nil && e.Received.Sub(e.Sent) < sas.Lifetime && s.Concerns() {
		m.heard = append(m.heard, s)
	}
}

// heardToDevice notes a to-device message of a verification; device is as above.
func (m *machine) heardToDevice(kind string, sender id.UserID, device id.DeviceID, content json.RawMessage) {
	s := sas.Event{Type: kind, Sender: sender, Device: device, Content: content}
	if s.Concerns() {
		m.heard = append(m.heard, s)
	}
}

// Turn takes in what has come, sends the answers, and ends what took too long. It reports
// whether anything has changed.
func (v *Verifications) Turn(ctx context.Context) (changed bool, err error) {
	v.inbox.mu.Lock()
	events := v.inbox.events
	v.inbox.events = nil
	v.inbox.mu.Unlock()
	if len(events) == 0 && v.book == nil {
		return false, nil
	}
	if err := v.open(ctx); err != nil {
		return false, err
	}
	var failures []error // one verification's are not another's
	for _, e := range events {
		one, out, err := v.book.Receive(e, v.account.now())
		if err != nil {
			continue // not ours, or said before
		}
		changed = true
		failures = append(failures, v.send(ctx, one, out))
		if one != nil {
			v.tell(ctx, one)
		}
	}
	for _, one := range v.book.UnderWay() {
		failures = append(failures, v.supply(ctx, one))
	}
	maps.DeleteFunc(v.told, func(one *sas.Verification, _ bool) bool { return one.State().Ended() })
	for _, m := range v.book.Expire(v.account.now()) {
		changed = true
		failures = append(failures, v.post(ctx, nil, m))
	}
	return changed, errors.Join(failures...)
}

// open makes the book, with the master key that the device believes: none where the
// account's identity has not signed the device.
func (v *Verifications) open(ctx context.Context) error {
	a := v.account
	var master id.Ed25519
	err := a.store.DB().QueryRow(ctx, "SELECT coalesce(max(master_key), '') FROM matrix_identity WHERE user_id=$1 AND signed=1", a.self().User).Scan(&master)
	if err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	if v.book != nil && (v.master == master || len(v.book.UnderWay()) > 0) {
		return nil
	}
	own := sas.Party{User: a.self().User, Device: a.self().Device, Keys: sas.Keys{Master: master}}
	err = a.transact(ctx, func(_ context.Context, m *machine) error {
		own.Keys.Device = m.olm.OwnIdentity().SigningKey
		return nil
	})
	if err != nil {
		return err
	}
	if v.book, err = sas.NewBook(sas.Config{Own: own}); err != nil {
		return fmt.Errorf("open verifications: %w", err)
	}
	v.master = master
	return nil
}

// tell logs once that somebody asks to verify the bot.
func (v *Verifications) tell(ctx context.Context, one *sas.Verification) {
	if v.told[one] || !one.ByThem() || one.State() != sas.StateAsked || !one.Supported() {
		return
	}
	v.told[one] = true
	v.account.log.WarnContext(ctx, "somebody asks to verify the bot by emoji: run matrix-connector verify within ten minutes",
		slog.String("sender", one.Them().User.String()), slog.String("device_id", one.Them().Device.String()))
}

// supply gives a verification the other side's keys, which only the homeserver has.
func (v *Verifications) supply(ctx context.Context, one *sas.Verification) error {
	if !one.NeedsKeys() {
		return nil
	}
	a, them := v.account, one.Them()
	answer, err := a.queryKeys(ctx, []id.UserID{them.User})
	if err != nil {
		return err
	}
	var keys sas.Keys
	err = a.transact(ctx, func(ctx context.Context, m *machine) error {
		if err := a.applyKeys(ctx, m, answer); err != nil {
			return err
		}
		d, err := m.guard.GetDevice(ctx, them.User, them.Device)
		if err != nil || d == nil || d.Deleted {
			return err
		}
		keys.Device = d.SigningKey
		signers, err := m.guard.GetCrossSigningKeys(ctx, them.User)
		keys.Master = signers[id.XSUsageMaster].Key
		return err
	})
	if err != nil {
		return err
	}
	out, err := one.Supply(keys)
	if err != nil {
		out = one.Cancel(sas.CodeKeyMismatch) // no such device, or no keys that are any
	}
	return v.send(ctx, one, out)
}

// Request asks somebody to verify: in a room that both are in or, with an empty one, by
// messages to all devices of theirs.
func (v *Verifications) Request(ctx context.Context, them id.UserID, room id.RoomID) (*sas.Verification, error) {
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	a := v.account
	if room != "" {
		if err := v.together(ctx, them, room); err != nil {
			return nil, err
		}
		one, out, err := v.book.RequestInRoom(them, room, a.now())
		if err != nil {
			return nil, fmt.Errorf("ask %s to verify: %w", them, err)
		}
		return one, v.send(ctx, one, out)
	}
	answer, err := a.queryKeys(ctx, []id.UserID{them})
	if err != nil {
		return nil, err
	}
	var devices map[id.DeviceID]json.RawMessage
	_ = json.Unmarshal(answer.devices[them], &devices) // none is said below
	var to []id.DeviceID
	for d := range devices {
		if them != a.self().User || d != a.self().Device {
			to = append(to, d)
		}
	}
	if len(to) == 0 {
		return nil, &VerifyError{Reason: VerifyNoDevices, About: them.String()}
	}
	slices.Sort(to)
	one, out, err := v.book.Request(them, to, a.now())
	if err != nil {
		return nil, fmt.Errorf("ask %s to verify: %w", them, err)
	}
	return one, v.send(ctx, one, out)
}

// together makes sure that somebody and the bot are in a room.
func (v *Verifications) together(ctx context.Context, them id.UserID, room id.RoomID) error {
	a := v.account
	members, err := a.client.JoinedMembers(ctx, room)
	if httpErr := new(mautrix.HTTPError); errors.As(err, httpErr) && (httpErr.IsStatus(http.StatusForbidden) || httpErr.IsStatus(http.StatusNotFound)) {
		return &VerifyError{Reason: VerifyNotTogether, About: them.String()}
	}
	if err != nil {
		return fmt.Errorf("read the members of %s: %w", room, err)
	}
	if _, ok := members.Joined[them]; !ok {
		return &VerifyError{Reason: VerifyNotTogether, About: them.String()}
	}
	return nil
}

// UnderWay are the verifications that have not ended, oldest first.
func (v *Verifications) UnderWay() []*sas.Verification {
	if v.book == nil {
		return nil
	}
	return v.book.UnderWay()
}

// Accept agrees to a request of theirs; Start begins with the emoji; Confirm says that a
// person here sees the same, Refuse that they differ; Cancel gives up.
func (v *Verifications) Accept(ctx context.Context, one *sas.Verification) error {
	out, err := one.Accept()
	return v.step(ctx, one, "accept", out, err)
}

// Start is told with Accept.
func (v *Verifications) Start(ctx context.Context, one *sas.Verification) error {
	out, err := one.Start()
	return v.step(ctx, one, "start", out, err)
}

// Confirm is told with Accept.
func (v *Verifications) Confirm(ctx context.Context, one *sas.Verification) error {
	out, err := one.Confirm()
	return v.step(ctx, one, "confirm", out, err)
}

// Refuse is told with Accept.
func (v *Verifications) Refuse(ctx context.Context, one *sas.Verification) error {
	return v.send(ctx, one, one.Mismatch())
}

// Cancel is told with Accept.
func (v *Verifications) Cancel(ctx context.Context, one *sas.Verification) error {
	return v.send(ctx, one, one.Cancel(sas.CodeUser))
}

func (v *Verifications) step(ctx context.Context, one *sas.Verification, what string, out []sas.Message, err error) error {
	if err != nil {
		return fmt.Errorf("%s verification: %w", what, err)
	}
	return v.send(ctx, one, out)
}

// send sends what a verification says, in order. Where that fails, the verification is
// over: the other side waits for what never comes, and is told so if that gets through.
func (v *Verifications) send(ctx context.Context, one *sas.Verification, out []sas.Message) error {
	for i, m := range out {
		err := v.post(ctx, one, m)
		if err == nil {
			continue
		}
		err = fmt.Errorf("send %s: %w", m.Type, err)
		if one != nil && !one.State().Ended() {
			for _, m := range one.Cancel(sas.CodeUser) {
				err = errors.Join(err, v.post(ctx, one, m))
			}
			return err
		}
		// It has ended: what is left are goodbyes.
		for _, m := range out[i+1:] {
			err = errors.Join(err, v.post(ctx, one, m))
		}
		return err
	}
	return nil
}

// post sends one message. In a room it goes in the clear, as matrix-js-sdk sends it: there
// is nothing secret in it, and a reader has no keys to encrypt with.
func (v *Verifications) post(ctx context.Context, one *sas.Verification, m sas.Message) error {
	a := v.account
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	if m.Room == "" {
		messages := map[id.DeviceID]json.RawMessage{}
		for _, d := range m.Devices {
			messages[d] = m.Content
		}
		_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
			Method: http.MethodPut, URL: a.client.BuildClientURL("v3", "sendToDevice", m.Type, a.client.TxnID()), MaxAttempts: 1,
			RequestJSON: map[string]any{"messages": map[id.UserID]any{m.User: messages}},
		})
		return err
	}
	var sent struct {
		Event id.EventID `json:"event_id"`
	}
	_, err := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodPut, URL: a.client.BuildClientURL("v3", "rooms", m.Room, "send", m.Type, a.client.TxnID()), MaxAttempts: 1,
		RequestJSON: m.Content, ResponseJSON: &sent,
	})
	if err != nil {
		return err
	}
	if one != nil && one.Transaction() == "" {
		return one.Opened(sent.Event)
	}
	return nil
}

// verifyPatience bounds one message of a verification: the other side waits for it.
const verifyPatience = 30 * time.Second

var errNotDone = errors.New("the verification is not done")
