package matrix

import "time"

// grant is what an authentication service has given beside the access token (Matrix
// C-S API v1.15, "OAuth 2.0 API"). It is never changed: a renewal makes another one.
type grant struct {
	Client  string // client id: as the service knows this program
	Refresh string // the refresh token
	// From and Until bound the access token; Until is zero where the service does not
	// say when it runs out.
	From, Until time.Time
}

// due reports whether the access token is to be renewed before it is used: in the
// last quarter of its life, so that a service which is away for a moment does not
// stop anything. A clock that was put back is no reason; the homeserver's refusal is.
func (g *grant) due(now time.Time) bool {
	return !g.Until.IsZero() && now.After(g.From.Add(g.Until.Sub(g.From)*3/4))
}

// over reports whether the access token has run out.
func (g *grant) over(now time.Time) bool { return !g.Until.IsZero() && !now.Before(g.Until) }
