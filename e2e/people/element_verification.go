package people

import (
	"slices"

	"maunium.net/go/mautrix/id"
)

// Verification is one verification by emoji, seen by one side of it. Both sides take
// its steps one by one:
//
//	asked := dana.Verifies(erin.ID, room)
//	was := erin.IsAskedBy(dana.ID)
//	was.Accepts()
//	asked.Starts()
//	if !slices.Equal(asked.Emoji(), was.Emoji()) { … }
//	asked.Confirms()
//	was.Confirms()
//	asked.Succeeds()
//	was.Succeeds()
type Verification struct {
	// Transaction is the id that its messages share: that of the request's event in
	// a room, or else one that the requesting client chose.
	Transaction string
	of          *Element
}

// exchange is the state of a verification as the client tells it.
type exchange struct {
	Transaction string      `json:"transaction"`
	Room        id.RoomID   `json:"room"`
	User        id.UserID   `json:"user"`
	Device      id.DeviceID `json:"device"`
	Ours        bool        `json:"ours"`
	// Phase is requested, ready, started, cancelled or done.
	Phase string    `json:"phase"`
	Emoji []string  `json:"emoji"`
	Code  string    `json:"code"`
	By    id.UserID `json:"by"`
	taken bool
}

// exchanged notes what the client told of a verification. Its caller holds news.
func (e *Element) exchanged(x exchange) {
	if old := e.verifications[x.Transaction]; old != nil {
		x.taken = old.taken
	} else {
		e.begun = append(e.begun, x.Transaction)
	}
	e.verifications[x.Transaction] = &x
}

// Verifies asks somebody for a verification in a room that both are in.
func (e *Element) Verifies(who id.UserID, room id.RoomID) *Verification {
	e.town.stage.Helper()
	return e.verifies("verify-in-room", map[string]any{"user": who, "room": room})
}

// VerifiesDevice asks for a verification with one device of somebody, or of the
// account itself, by to-device messages.
func (e *Element) VerifiesDevice(who id.UserID, device id.DeviceID) *Verification {
	e.town.stage.Helper()
	return e.verifies("verify-device", map[string]any{"user": who, "device": device})
}

// VerifiesItself asks the account's other devices for a verification, as a new
// device does that has no recovery key.
func (e *Element) VerifiesItself() *Verification {
	e.town.stage.Helper()
	return e.verifies("verify-own-user", nil)
}

func (e *Element) verifies(what string, with map[string]any) *Verification {
	e.town.stage.Helper()
	var got struct {
		Transaction string `json:"transaction"`
	}
	e.asks(what, with, &got)
	return &Verification{Transaction: got.Transaction, of: e}
}

// IsAskedBy waits until somebody asks for a verification that the story has not
// taken up yet.
func (e *Element) IsAskedBy(who id.UserID) *Verification {
	e.town.stage.Helper()
	v := &Verification{of: e}
	err := e.await(func() bool {
		i := slices.IndexFunc(e.begun, func(t string) bool {
			x := e.verifications[t]
			return x.User == who && !x.Ours && !x.taken && x.Phase == "requested"
		})
		if i < 0 {
			return false
		}
		v.Transaction = e.begun[i]
		e.verifications[v.Transaction].taken = true
		return true
	})
	if err != nil {
		e.stops("be asked by %s for a verification: %v", who, err)
	}
	return v
}

// Accepts says that one is ready.
func (v *Verification) Accepts() { v.of.town.stage.Helper(); v.does("accept") }

// Starts waits until both sides are ready and starts to compare emoji. One side
// starts; the other one follows by itself.
func (v *Verification) Starts() {
	v.of.town.stage.Helper()
	v.until("both are ready", func(x *exchange) bool { return x.Phase == "ready" })
	v.does("start")
}

// Emoji waits for the names of the seven emoji, as the specification has them
// ("SAS method: emoji").
func (v *Verification) Emoji() []string {
	v.of.town.stage.Helper()
	return v.until("the emoji are shown", func(x *exchange) bool { return len(x.Emoji) > 0 }).Emoji
}

// Confirms says that the emoji are the same.
func (v *Verification) Confirms() { v.of.town.stage.Helper(); v.does("confirm") }

// Mismatches says that the emoji differ.
func (v *Verification) Mismatches() { v.of.town.stage.Helper(); v.does("mismatch") }

// Cancels breaks the verification off.
func (v *Verification) Cancels() { v.of.town.stage.Helper(); v.does("cancel") }

// Succeeds waits until both sides have confirmed.
func (v *Verification) Succeeds() {
	v.of.town.stage.Helper()
	x := v.until("it ends", func(x *exchange) bool { return x.Phase == "done" || x.Phase == "cancelled" })
	if x.Phase != "done" {
		v.of.stops("verification with %s: cancelled by %s: %s", x.User, x.By, x.Code)
	}
}

// Fails waits until the verification is cancelled and returns the code, such as
// m.user or m.mismatched_sas, and who did it.
func (v *Verification) Fails() (code string, by id.UserID) {
	v.of.town.stage.Helper()
	x := v.until("it ends", func(x *exchange) bool { return x.Phase == "done" || x.Phase == "cancelled" })
	if x.Phase != "cancelled" {
		v.of.stops("verification with %s: it was to fail, and is done", x.User)
	}
	return x.Code, x.By
}

func (v *Verification) does(what string) {
	v.of.town.stage.Helper()
	v.of.asks(what, map[string]any{"transaction": v.Transaction}, nil)
}

// until waits until the verification is as wanted. One that ends before is none the
// story can go on with.
func (v *Verification) until(what string, holds func(*exchange) bool) exchange {
	v.of.town.stage.Helper()
	var x exchange
	err := v.of.await(func() bool {
		now := v.of.verifications[v.Transaction]
		if now == nil {
			return false
		}
		x = *now
		return holds(now) || now.Phase == "cancelled"
	})
	if err != nil || !holds(&x) {
		v.of.stops("verification %s is %q (cancelled with %q by %q), waiting until %s: %v", v.Transaction, x.Phase, x.Code, x.By, what, err)
	}
	return x
}
