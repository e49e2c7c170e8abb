package connector

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/request"
	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// VerifyAsked is what a request to verify asks for. Without a user it waits for somebody who
// asks to verify the bot.
type VerifyAsked struct {
	User id.UserID `json:"user_id,omitempty"`
	Room id.RoomID `json:"room_id,omitempty"` // where to ask; empty: at all devices of the user
}

// AskToVerify is what a person typed, the user and the room, each of which may be empty. The
// error is a [matrix.VerifyError].
func AskToVerify(user, room string) (VerifyAsked, error) {
	asked := VerifyAsked{User: id.UserID(user), Room: id.RoomID(room)}
	if user != "" {
		if _, _, err := asked.User.ParseAndValidateRelaxed(); err != nil {
			return VerifyAsked{}, &matrix.VerifyError{Reason: matrix.VerifyNoUser, About: user}
		}
	}
	if room != "" && (room[0] != '!' || user == "") {
		return VerifyAsked{}, &matrix.VerifyError{Reason: matrix.VerifyNoRoom, About: room}
	}
	return asked, nil
}

// VerifyAnswer is what the person in front of the command says.
type VerifyAnswer string

// The answers.
const (
	VerifySame   VerifyAnswer = "same"   // both see the same emoji
	VerifyDiffer VerifyAnswer = "differ" // they do not
	VerifyStop   VerifyAnswer = "stop"   // does not want to any more
)

// VerifyShown is how far a verification is, and in the end what came of it.
type VerifyShown struct {
	Phase VerifyPhase `json:"phase"`
	User  id.UserID   `json:"user_id,omitempty"`
	// Device is the other side's, once it is known.
	Device   id.DeviceID `json:"device_id,omitempty"`
	Emoji    []sas.Emoji `json:"emoji,omitempty"`    // seven, to be compared
	Decimals []int       `json:"decimals,omitempty"` // three, where there are no emoji
	Code     string      `json:"code,omitempty"`     // why it was cancelled
	Ours     bool        `json:"ours,omitempty"`     // by us
	Signed   bool        `json:"signed,omitempty"`   // done: by another session of the bot's account, which has signed the device
}

// VerifyPhase is how far a verification is (closed set).
type VerifyPhase string

// The phases.
const (
	VerifyWaits     VerifyPhase = "waits"     // for somebody who asks
	VerifyAsks      VerifyPhase = "asks"      // somebody was asked and has to accept
	VerifyBegins    VerifyPhase = "begins"    // both want to; keys are exchanged
	VerifyCompares  VerifyPhase = "compares"  // the emoji are there to be compared
	VerifyConfirmed VerifyPhase = "confirmed" // here; the other side has yet to
	VerifyDone      VerifyPhase = "done"
	VerifyCancelled VerifyPhase = "cancelled"
)

// verifier carries out requests to verify.
type verifier struct {
	verifications *matrix.Verifications
	account       *matrix.Account
	table         *request.Table
	may           func(id.UserID) bool
	now           func() time.Time
	wake          func()

	held map[int64]*held // by request
}

// held is the verification of one request.
type held struct {
	*sas.Verification
	ready time.Time // since when either side may begin with the emoji
	done  time.Time // since when what was proven is believed
	shown string    // last
}

// startAfter is how long the one who asked has to begin with the emoji, before we do.
// Clients such as Element let a person choose first.
const startAfter = 5 * time.Second

// signWithin is how long another session of the bot's account may take to sign the device.
// That is told by no event.
const (
	signWithin = 15 * time.Second
	signEvery  = time.Second
)

// carry brings one request a step further.
func (f *verifier) carry(ctx context.Context, r request.Request) (more bool, err error) {
	h := f.held[r.ID]
	if h == nil {
		h = &held{}
		f.held[r.ID] = h
	}
	if h.Verification == nil {
		if err := f.begin(ctx, r, h); err != nil || h.Verification == nil {
			return false, err
		}
	}
	var answer VerifyAnswer
	if err := request.Into(r.Says, &answer); err != nil {
		return false, err
	}
	if err := f.step(ctx, h, answer); err != nil {
		return false, err
	}
	switch h.State() {
	case sas.StateDone:
		signed, more, err := f.settle(ctx, h)
		if err != nil || more {
			return false, err
		}
		delete(f.held, r.ID)
		s := h.show()
		s.Signed = signed
		return false, f.table.Finish(ctx, r.ID, s)
	case sas.StateCancelled:
		delete(f.held, r.ID)
		return false, f.table.Finish(ctx, r.ID, h.show())
	default:
		return false, f.show(ctx, r.ID, h, h.show())
	}
}

// settle believes what was proven. By a session of the bot's own account it waits until that
// has signed the device.
func (f *verifier) settle(ctx context.Context, h *held) (signed, more bool, err error) {
	if h.done.IsZero() {
		if err := f.verifications.Settle(ctx, h.Verification); err != nil {
			return false, false, err
		}
		h.done = f.now()
	}
	if h.Them().User != f.account.UserID() {
		return false, false, nil
	}
	s, err := f.account.Secure(ctx)
	if err != nil || s.Signed {
		return s.Signed, false, err
	}
	if f.now().Sub(h.done) >= signWithin {
		return false, false, nil
	}
	time.AfterFunc(signEvery, f.wake)
	return false, true, nil
}

// begin finds the verification that a request is about: one that somebody asks for or, where
// somebody is named, one that we ask for.
func (f *verifier) begin(ctx context.Context, r request.Request, h *held) error {
	var asked VerifyAsked
	if err := request.Into(r.Asks, &asked); err != nil {
		return err
	}
	if asked.User != "" && asked.User != f.account.UserID() && !f.may(asked.User) {
		return &matrix.VerifyError{Reason: matrix.VerifyNotOne, About: asked.User.String()}
	}
	for _, one := range f.verifications.UnderWay() {
		if one.State() == sas.StateAsked && one.Supported() && !f.isHeld(one) && (asked.User == "" || one.Them().User == asked.User) {
			h.Verification = one
			return nil
		}
	}
	if asked.User == "" {
		return f.show(ctx, r.ID, h, VerifyShown{Phase: VerifyWaits})
	}
	one, err := f.verifications.Request(ctx, asked.User, asked.Room)
	if err != nil {
		return err
	}
	h.Verification = one
	return nil
}

func (f *verifier) isHeld(one *sas.Verification) bool {
	for _, h := range f.held {
		if h.Verification == one {
			return true
		}
	}
	return false
}

// step does what is ours to do.
func (f *verifier) step(ctx context.Context, h *held, answer VerifyAnswer) error {
	v := f.verifications
	if answer == VerifyStop && !h.State().Ended() {
		return v.Cancel(ctx, h.Verification)
	}
	switch h.State() {
	case sas.StateAsked:
		if err := v.Accept(ctx, h.Verification); err != nil {
			return err
		}
		h.ready = f.now()
		time.AfterFunc(startAfter, f.wake)
	case sas.StateReady:
		if h.ByThem() && f.now().Sub(h.ready) < startAfter {
			return nil
		}
		return v.Start(ctx, h.Verification)
	case sas.StateComparing:
		switch answer {
		case VerifySame:
			return v.Confirm(ctx, h.Verification)
		case VerifyDiffer:
			return v.Refuse(ctx, h.Verification)
		case VerifyStop:
		}
	case sas.StateAsking, sas.StateStarted, sas.StateAccepted, sas.StateKeyed, sas.StateConfirmed, sas.StateFinishing, sas.StateDone, sas.StateCancelled:
	}
	return nil
}

// show notes how far it is, where that has changed.
func (f *verifier) show(ctx context.Context, number int64, h *held, s VerifyShown) error {
	text, err := json.Marshal(s)
	if err != nil || string(text) == h.shown {
		return err
	}
	if err := f.table.Show(ctx, number, s); err != nil {
		return err
	}
	h.shown = string(text)
	return nil
}

func (h *held) show() VerifyShown {
	s := VerifyShown{User: h.Them().User, Device: h.Them().Device}
	switch h.State() {
	case sas.StateAsked, sas.StateAsking:
		s.Phase = VerifyAsks
	case sas.StateReady, sas.StateStarted, sas.StateAccepted, sas.StateKeyed:
		s.Phase = VerifyBegins
	case sas.StateComparing:
		s.Phase = VerifyCompares
		if emoji, ok := h.Emoji(); ok {
			s.Emoji = emoji[:]
		} else if decimals, ok := h.Decimals(); ok {
			s.Decimals = decimals[:]
		}
	case sas.StateConfirmed, sas.StateFinishing:
		s.Phase = VerifyConfirmed
	case sas.StateDone:
		s.Phase = VerifyDone
	case sas.StateCancelled:
		s.Phase = VerifyCancelled
		c, _ := h.Cancellation()
		s.Code, s.Ours = string(c.Code), c.Ours
	}
	return s
}

// sweep gives up the verifications whose command has gone.
func (f *verifier) sweep(ctx context.Context, open []request.Request) error {
	still := map[int64]bool{}
	for _, r := range open {
		still[r.ID] = true
	}
	var failures []error
	for number, h := range f.held {
		if still[number] {
			continue
		}
		delete(f.held, number)
		if h.Verification != nil && !h.State().Ended() {
			failures = append(failures, f.verifications.Cancel(ctx, h.Verification))
		}
	}
	return errors.Join(failures...)
}

// turn takes in what came, before requests are carried out, and looks again as long as
// that changes anything.
func (f *verifier) turn(ctx context.Context, carry func(context.Context) (bool, error)) (more bool, err error) {
	_, received := f.verifications.Turn(ctx)
	more, err = carry(ctx)
	return more, errors.Join(received, err)
}
