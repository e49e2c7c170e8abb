package opencti

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Registration is what [Platform.Start] learned about the platform and the
// connector's user.
type Registration struct {
	Version       string // of the platform
	UserName      string
	MaxConfidence int // of the user
	// CanRead: works and objects can be read back. Without it the broker's confirm
	// is the receipt, and refusals stay unseen.
	CanRead bool
	// CanAttach: files can be uploaded.
	CanAttach bool
	// Lacking are the optional rights that the user does not have.
	Lacking []Right
	// State is the state that the platform keeps for the connector, JSON; nil
	// where it keeps none.
	State []byte
	// Reset says that a reset of the state was asked for while the connector was
	// down. It is for the caller to carry out; the next Ping does not report it
	// again.
	Reset bool
}

// Problem is a reason why the connector cannot start, with its cure.
type Problem struct { //nolint:errname // the word of every list of what keeps a start from happening
	What string
	Cure string
	// Err is the failure behind it, nil where there is none.
	Err error
}

// Error says what is wrong.
func (p *Problem) Error() string {
	if p.Err != nil {
		return p.What + ": " + p.Err.Error()
	}
	return p.What
}

// Hint says what a person can do about it.
func (p *Problem) Hint() string { return p.Cure }

// Unwrap gives the failure behind the problem.
func (p *Problem) Unwrap() error { return p.Err }

// Start asks the platform for its version, the user's rights and the markings,
// and registers the connector. It reports all problems at once, joined; each is a
// [*Problem]. A platform that cannot be reached, or is not ready, is no Problem
// but an [*Error] to be tried again.
func (p *Platform) Start(ctx context.Context) (Registration, error) {
	var reg Registration
	var problems []error
	version, err := p.version(ctx)
	if err != nil {
		return reg, startError("ask the platform for its version", err)
	}
	reg.Version = version
	if !supported(version) {
		problems = append(problems, &Problem{
			What: fmt.Sprintf("platform version %q is not supported", clip(version)),
			Cure: "upgrade the platform to " + oldestVersion + " or newer",
		})
	}
	user, err := p.me(ctx)
	if err != nil {
		return reg, startError("ask the platform who we are", err)
	}
	reg.UserName, reg.MaxConfidence = user.Name, user.maxConfidence()
	reg.Lacking, reg.CanRead, reg.CanAttach = user.optional()
	problems = append(problems, user.problems()...)
	found, missing, err := p.lookUpMarkings(ctx, user)
	if err != nil {
		return reg, startError("look up the markings", err)
	}
	problems = append(problems, missing...)
	if reg.CanRead {
		problems = append(problems, p.otherType(ctx)...)
	}
	if len(problems) > 0 {
		return reg, errors.Join(problems...)
	}
	answer, err := p.register(ctx)
	if err != nil {
		return reg, startError("register the connector", err)
	}
	reg.Reset = answer.Reset
	reg.State = answer.state()
	p.mu.Lock()
	p.canRead, p.markings = reg.CanRead, found
	p.expectReset, p.voidForeign = answer.Reset, answer.Reset
	p.mu.Unlock()
	p.setVersion(version)
	p.logStart(ctx, reg)
	p.tryBroker(ctx)
	p.warnWeaker(ctx)
	return reg, nil
}

// otherType is the problem of an id that already is that of another kind of
// connector: to register under it would take that one's place. What keeps the
// platform from telling is left to the registration that follows.
func (p *Platform) otherType(ctx context.Context) []error {
	c, err := p.known(ctx)
	if err != nil || c == nil || c.Type == p.config.Type {
		return nil
	}
	return []error{&Problem{
		What: fmt.Sprintf("CONNECTOR_ID is that of another connector: %s, of type %s", clip(c.Name), clip(c.Type)),
		Cure: "make a UUID of your own with uuidgen, and set CONNECTOR_ID to it",
	}}
}

// tryBroker dials the broker once, so that who starts the connector hears of a way
// that is shut before the first message has to go. Nothing depends on it.
func (p *Platform) tryBroker(ctx context.Context) {
	if p.config.ThroughAPI {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, firstDial)
	defer cancel()
	err := p.carrier.open(ctx)
	if err == nil || ClassOf(err) == Cancelled {
		return
	}
	attrs := []slog.Attr{slog.Any("err", err)}
	if e, ok := errors.AsType[*Error](err); ok && e.Hint() != "" {
		attrs = append(attrs, slog.String("hint", e.Hint()))
	}
	p.config.Log.LogAttrs(ctx, slog.LevelWarn, "the broker cannot be reached yet", attrs...)
}

// firstDial is how long a start waits for the broker. A firewall that drops packets
// would hold it up for half a minute.
const firstDial = 5 * time.Second

func (p *Platform) logStart(ctx context.Context, reg Registration) {
	log := p.config.Log
	log.InfoContext(ctx, "connector registered",
		slog.String("connector_id", p.config.ConnectorID), slog.String("platform_version", clip(reg.Version)), slog.Bool("state_reset", reg.Reset))
	for _, r := range reg.Lacking {
		log.WarnContext(ctx, "right is missing", slog.String("right", r.Name), slog.String("lost", r.Lost))
	}
	if !reg.CanRead {
		log.ErrorContext(ctx, "nothing can be read back: the broker's confirm counts as the receipt, and what the platform refuses stays unseen")
	}
}

// startError makes a Problem of what a person has to cure and leaves what may
// pass by itself.
func startError(what string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || (e.Class != Unauthorized && e.Class != Permanent) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return &Problem{What: what, Cure: e.Hint(), Err: err}
}
