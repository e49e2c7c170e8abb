package matrix

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"maunium.net/go/mautrix/id"
)

const (
	// joinInterval and joinBurst keep joins under the limits that homeservers set by
	// default (Synapse: 0.1 local joins a second, burst 10).
	joinInterval = 10 * time.Second
	joinBurst    = 5
	// MaxJoins is how many rooms are joined in a day: what follows is likelier abuse
	// of an open MATRIX_INVITE_FROM than work.
	MaxJoins = 1000
	// maxRefusedWait bounds the time between tries of a join that is refused. Joins
	// over federation fail at first and succeed later, so none is given up.
	maxRefusedWait = 24 * time.Hour
)

// InviteConfig says which invites are accepted.
type InviteConfig struct {
	// From lists who may invite: MXIDs, in which * stands for any text. Empty:
	// nobody.
	From []string
	// Rooms chooses rooms; an invite to another one stays pending.
	Rooms RoomPatterns
	// LeaveOut leaves out more rooms, by id and alias, which may be empty. nil: none.
	LeaveOut func(id.RoomID, id.RoomAlias) bool
	// Follow says whether the settings let the account follow from a room, which may have
	// an alias, to the one that replaces it; nil: everywhere that Rooms and LeaveOut allow.
	Follow func(former id.RoomID, alias id.RoomAlias, replacement id.RoomID) bool
	// Interval and Burst limit joins; zero: one in 10 s, five at once.
	Interval time.Duration
	Burst    int
	// Max bounds the joins of a day; zero: [MaxJoins].
	Max int
}

// Invites accepts the invites of an account that may be accepted, and lets the
// others be. Safe for concurrent use, except that one Accept may run at a time.
type Invites struct {
	account *Account
	config  InviteConfig
	from    []senderPattern
	limit   *rate.Limiter
	capped  bool // the log has said that the cap is reached; owned by Accept
}

// Invites checks the configuration.
func (a *Account) Invites(c InviteConfig) (*Invites, error) {
	v := &Invites{account: a, config: c}
	for _, text := range c.From {
		p, err := parseSenderPattern(text)
		if err != nil {
			return nil, fmt.Errorf("invites: %w", err)
		}
		v.from = append(v.from, p)
	}
	if c.Interval <= 0 {
		c.Interval = joinInterval
	}
	if c.Burst <= 0 {
		c.Burst = joinBurst
	}
	if c.Max <= 0 {
		v.config.Max = MaxJoins
	}
	v.limit = rate.NewLimiter(rate.Every(c.Interval), c.Burst)
	return v, nil
}

// Invitation is an invite that is pending.
type Invitation struct {
	Room id.RoomID
	// Senders are those who invited, by the account's own membership event. Stripped
	// state is put together by the inviting server and may hold several such events:
	// then all of them have to be welcome.
	Senders  []id.UserID
	Alias    id.RoomAlias // unverified
	Received time.Time
	Attempts int
	Due      time.Time
	Class    Class // of the last failure; empty for none
	told     bool

	// Former is set for what is no invite: the room that this one replaces, by a tombstone
	// of the one sender. It is joined where the homeserver lets the account in.
	Former      id.RoomID
	formerAlias id.RoomAlias
	upgrade     string // where it stands
}

// MayInvite reports whether somebody's invites are accepted: they may also share a room's
// history with the bot, and verify it.
func (v *Invites) MayInvite(sender id.UserID) bool {
	return slices.ContainsFunc(v.from, func(p senderPattern) bool { return p.match(sender) })
}

// Pending lists the invites that are neither accepted nor withdrawn, oldest first, and
// then the rooms that replace ours and that the account is not in yet.
func (v *Invites) Pending(ctx context.Context) ([]Invitation, error) { return v.account.waiting(ctx) }

// Accept joins the rooms whose invites may be accepted and are due, and those that replace
// rooms of ours, one at a time and not faster than the limits allow, for which it waits. Invites of others stay
// pending; the log shows each of them once, with the setting that would accept it.
//
// A join that fails is tried again when its time comes, also when it was refused.
// The error is that of the account (an invalid token), of the store, or of ctx.
func (v *Invites) Accept(ctx context.Context) error {
	pending, err := v.account.pending(ctx)
	if err != nil {
		return err
	}
	for _, p := range pending {
		if !v.welcome(p) {
			if err := v.tell(ctx, p); err != nil {
				return err
			}
			continue
		}
		if p.Due.After(v.account.now()) {
			continue
		}
		room, err := v.room(ctx)
		if err != nil || !room {
			return err
		}
		if err := v.limit.Wait(ctx); err != nil {
			return fmt.Errorf("accept invites: %w", err)
		}
		again, err := v.join(ctx, p)
		if err != nil || !again {
			return err
		}
	}
	return v.follow(ctx)
}

// welcome reports whether everybody who may have sent the invite is welcome.
func (v *Invites) welcome(p Invitation) bool {
	if len(p.Senders) == 0 || !v.allows(p) {
		return false
	}
	for _, sender := range p.Senders {
		if !v.MayInvite(sender) {
			return false
		}
	}
	return true
}

// allows reports whether the room of an invite is one to be in.
func (v *Invites) allows(p Invitation) bool {
	return v.config.Rooms.Allows(p.Room, p.Alias) && (v.config.LeaveOut == nil || !v.config.LeaveOut(p.Room, p.Alias))
}

// tell logs an invite that stays pending, once.
func (v *Invites) tell(ctx context.Context, p Invitation) error {
	if p.told {
		return nil
	}
	attrs := []slog.Attr{slog.String("room_id", string(p.Room))}
	if len(p.Senders) == 1 && validSender(p.Senders[0]) {
		attrs = append(attrs, slog.String("sender", string(p.Senders[0])))
	}
	allowed := v.allows(p)
	if line := v.setting(p); allowed && line != "" {
		attrs = append(attrs, slog.String("setting", line))
	}
	if err := v.account.updateInvite(ctx, p.Room, "told=1"); err != nil {
		return err
	}
	if allowed {
		v.account.log.LogAttrs(ctx, slog.LevelWarn, "invite stays pending: sender may not invite", attrs...)
	} else {
		v.account.log.LogAttrs(ctx, slog.LevelWarn, "invite stays pending: room is left out by MATRIX_ROOMS, MATRIX_ROOMS_EXCLUDE or a rule", attrs...)
	}
	return nil
}

// setting is the line that would accept an invite; empty where none can be shown:
// an id with a comma or a star would let in others than the one it names.
func (v *Invites) setting(p Invitation) string {
	if len(p.Senders) != 1 || !validSender(p.Senders[0]) || strings.ContainsAny(string(p.Senders[0]), ",*\"'\\$`#") {
		return ""
	}
	return "MATRIX_INVITE_FROM=" + strings.Join(append(slices.Clone(v.config.From), string(p.Senders[0])), ",")
}
