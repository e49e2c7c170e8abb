package opencti

import (
	"context"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Probe asks a platform and its broker what a check wants to know. Nothing of it
// changes anything there but [Probe.Register].
//
// Its methods are called one after the other, [Probe.User] before [Probe.Markings],
// [Probe.Connector] before [Probe.Broker].
type Probe struct {
	platform *Platform
	user     user
	answer   *registered // where the platform told the connector to deliver
}

// NewProbe makes a probe of the configuration that [New] takes. It opens nothing.
func NewProbe(c Config) (*Probe, error) {
	p, err := New(c)
	if err != nil {
		return nil, err
	}
	return &Probe{platform: p}, nil
}

// Close lets go of all connections.
func (p *Probe) Close() error { return p.platform.Close(context.Background()) }

// Version is the platform's version, and whether it is supported.
func (p *Probe) Version(ctx context.Context) (version string, fine bool, err error) {
	version, err = p.platform.version(ctx)
	return clip(version), supported(version), err
}

// OldestVersion is the oldest platform that is supported.
const OldestVersion = oldestVersion

// User is the token's user.
type User struct {
	Name  string
	Admin bool // may do everything
	// Missing are the rights without which nothing works, Lacking those without
	// which something does not.
	Missing, Lacking []Right
	CanRead          bool // objects and works can be read back
	MaxConfidence    int  // -1: none
}

// User asks whose the token is and what the user may do.
func (p *Probe) User(ctx context.Context) (User, error) {
	u, err := p.platform.me(ctx)
	if err != nil {
		return User{}, err
	}
	p.user = u
	out := User{Name: clip(u.Name), MaxConfidence: u.maxConfidence()}
	for _, r := range neededRights {
		if !u.has(r.Name) {
			out.Missing = append(out.Missing, r)
		}
	}
	for _, c := range u.Capabilities {
		out.Admin = out.Admin || c.Name == rightBypass
	}
	out.Lacking, out.CanRead, _ = u.optional()
	return out, nil
}

// Markings looks up the markings of the configuration. It gives the names of those
// that may be used, and a [*Problem] for each other one.
func (p *Probe) Markings(ctx context.Context) (names []string, problems []error, err error) {
	found, problems, err := p.platform.lookUpMarkings(ctx, p.user)
	for _, id := range p.platform.config.Markings {
		if m, ok := found[id]; ok {
			names = append(names, clip(m.Definition))
		}
	}
	return names, problems, err
}

// Registered is a connector as the platform knows it.
type Registered struct {
	Known bool
	Name  string
	Type  string // e.g. EXTERNAL_IMPORT
	// Ours: the token's user has registered it.
	Ours bool
	// State is what the platform keeps for it; nil where it keeps nothing.
	State []byte
}

// Connector asks for the connector of the configuration. It needs the right
// MODULES.
func (p *Probe) Connector(ctx context.Context) (Registered, error) {
	c, err := p.platform.known(ctx)
	if c == nil {
		return Registered{}, err
	}
	if c.Config.Connection.Host != "" {
		p.answer = &c.registered
	}
	return Registered{Known: true, Name: clip(c.Name), Type: clip(c.Type), Ours: c.UserID == p.user.ID, State: c.state()}, nil
}

// Register registers the connector, as every start does: the platform makes its
// queues and tells where the broker is.
func (p *Probe) Register(ctx context.Context) error {
	answer, err := p.platform.register(ctx)
	if err != nil {
		return err
	}
	p.answer = &answer
	return nil
}

// Find is [Platform.Find].
func (p *Probe) Find(ctx context.Context, ids []stix.ID) (map[stix.ID]stix.Found, error) {
	return p.platform.Find(ctx, ids)
}
