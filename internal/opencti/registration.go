package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
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
type Problem struct {
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

// home is where the platform told the connector to deliver.
type home struct {
	broker     broker
	exchange   string
	routing    string
	queue      string
	applicant  string
	registered bool
}

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
	if len(problems) > 0 {
		return reg, errors.Join(problems...)
	}
	answer, err := p.register(ctx)
	if err != nil {
		return reg, startError("register the connector", err)
	}
	reg.Reset = answer.Reset
	if s := []byte(answer.State); len(s) > 0 && json.Valid(s) && answer.State != "null" {
		reg.State = s
	}
	p.mu.Lock()
	p.canRead, p.markings = reg.CanRead, found
	p.expectReset, p.voidForeign = answer.Reset, answer.Reset
	p.mu.Unlock()
	p.logStart(ctx, reg)
	return reg, nil
}

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

// registered is the platform's answer to a registration.
type registered struct {
	State  string `json:"connector_state"`
	Reset  bool   `json:"connector_state_reset"`
	UserID string `json:"connector_user_id"`
	Config struct {
		Connection struct {
			Host   string `json:"host"`
			VHost  string `json:"vhost"`
			UseSSL bool   `json:"use_ssl"`
			Port   int    `json:"port"`
			User   string `json:"user"`
			Pass   string `json:"pass"`
		} `json:"connection"`
		Push         string `json:"push"`
		PushRouting  string `json:"push_routing"`
		PushExchange string `json:"push_exchange"`
	} `json:"config"`
}

// register tells the platform about the connector, with what every supported
// version knows of the input, and remembers where to deliver. It is idempotent.
func (p *Platform) register(ctx context.Context) (registered, error) {
	var out struct {
		Answer *registered `json:"registerConnector"`
	}
	err := p.client.do(ctx, opRegister, map[string]any{"input": map[string]any{
		"id":                  p.config.ConnectorID,
		"name":                p.config.Name,
		"type":                p.config.Type,
		"scope":               p.config.Scope,
		"auto":                false,
		"only_contextual":     false,
		"playbook_compatible": false,
	}}, &out)
	if err != nil {
		return registered{}, err
	}
	a := out.Answer
	if a == nil || a.Config.PushExchange == "" || a.Config.PushRouting == "" || a.Config.Push == "" {
		return registered{}, &Error{Class: Temporary, Op: opRegister, Code: "unexpected_shape"}
	}
	h := home{
		broker:     p.config.MQ.override(a),
		exchange:   a.Config.PushExchange,
		routing:    a.Config.PushRouting,
		queue:      a.Config.Push,
		applicant:  p.config.Applicant,
		registered: true,
	}
	if h.applicant == "" {
		h.applicant = a.UserID
	}
	if h.applicant == "" {
		// Workers would import with their own rights, an administrator's.
		return registered{}, &Error{Class: Temporary, Op: opRegister, Code: "no_user"}
	}
	p.queue.target(h.broker)
	p.mu.Lock()
	p.home, p.stale = h, false
	p.mu.Unlock()
	return *a, nil
}

// override puts the operator's settings over what the platform answered.
func (m MQ) override(a *registered) broker {
	c := a.Config.Connection
	b := broker{Host: c.Host, Port: c.Port, VHost: c.VHost, User: c.User, Password: c.Pass, UseSSL: c.UseSSL, TLS: m.TLS}
	if m.Host != "" {
		b.Host = m.Host
	}
	if m.Port != 0 {
		b.Port = m.Port
	}
	if m.VHost != "" {
		b.VHost = m.VHost
	}
	if m.User != "" {
		b.User = m.User
	}
	if m.Password != "" {
		b.Password = m.Password
	}
	if m.UseSSL != nil {
		b.UseSSL = *m.UseSSL
	}
	return b
}

// ready gives where to deliver, after registering again where the connector has
// become unknown.
func (p *Platform) ready(ctx context.Context) (home, error) {
	p.mu.Lock()
	h, stale := p.home, p.stale
	p.mu.Unlock()
	if h.registered && !stale {
		return h, nil
	}
	if _, err := p.register(ctx); err != nil {
		return home{}, fmt.Errorf("register again: %w", err)
	}
	p.config.Log.InfoContext(ctx, "connector registered again", slog.String("connector_id", p.config.ConnectorID))
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.home, nil
}

// oldestVersion is the oldest platform whose schema and behaviour the operations
// hold to.
const oldestVersion = "6.4.3"

func (p *Platform) version(ctx context.Context) (string, error) {
	var out struct {
		About struct {
			Version string `json:"version"`
		} `json:"about"`
	}
	if err := p.client.do(ctx, opAbout, nil, &out); err != nil {
		return "", err
	}
	return out.About.Version, nil
}

// supported compares the numbers of a version with the oldest one's. What
// follows a hyphen or plus sign does not count.
func supported(version string) bool {
	version, _, _ = strings.Cut(version, "+")
	version, _, _ = strings.Cut(version, "-")
	have := strings.Split(version, ".")
	for i, want := range []int{6, 4, 3} {
		n := 0
		if i < len(have) {
			if _, err := fmt.Sscanf(have[i], "%d", &n); err != nil {
				return false
			}
		}
		if n != want {
			return n > want
		}
	}
	return true
}

// clip keeps a text of the platform short enough for a line.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

func (p *Platform) lookUpMarkings(ctx context.Context, u user) (found map[stix.ID]marking, missing []error, err error) {
	found = map[stix.ID]marking{}
	for _, id := range p.config.Markings {
		var out struct {
			Marking *marking `json:"markingDefinition"`
		}
		err := p.client.do(ctx, opMarking, map[string]any{"id": string(id)}, &out)
		switch {
		case ClassOf(err) == Unauthorized && !u.has("KNOWLEDGE"):
			return found, missing, nil // the right that is lacking is a problem of its own
		case err != nil:
			return nil, nil, err
		case out.Marking == nil:
			missing = append(missing, &Problem{
				What: fmt.Sprintf("marking %s does not exist on the platform", id),
				Cure: "create it there, or set another one: objects with an unknown marking would be imported without any",
			})
		case !u.mayUse(out.Marking.StandardID):
			missing = append(missing, &Problem{
				What: fmt.Sprintf("the token's user may not use the marking %s", out.Marking.Definition),
				Cure: "allow it to a group of the user, or set a lower marking",
			})
		default:
			found[id] = *out.Marking
		}
	}
	return found, missing, nil
}
