package matrixtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
)

// accessToken and refreshToken are what a login by the service acts with. Server.mu
// guards them.
type accessToken struct {
	session *oauthSession
	expires time.Time // zero: it does not, until it is told to
	revoked bool
	used    bool
}

type refreshToken struct {
	session *oauthSession
	access  *accessToken
	next    *refreshToken // what it was exchanged for
	revoked bool
}

// useAccess notes that an access token is used; not nil: why it is refused.
func (s *Server) useAccess(token string) map[string]any {
	at, ok := s.oauth.access[token]
	switch {
	case !ok:
		return nil
	case at.revoked || at.session.ended:
		return map[string]any{"soft_logout": false}
	case !at.expires.IsZero() && !s.clock().Before(at.expires):
		return map[string]any{"soft_logout": s.opts.Service.SoftLogout}
	}
	at.used = true
	return nil
}

// ofService reports whether the call's token is one of the service's.
func (s *Server) ofService(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.oauth.access {
		if at.session.device == c.device && !at.session.ended {
			return true
		}
	}
	return false
}

// Expire makes the access tokens of a device run out before their time.
func (s *Server) Expire(uid id.UserID, did id.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.oauth.access {
		if at.session.device.user.id == uid && at.session.device.id == did {
			at.expires = s.clock()
		}
	}
}

// EndLogin ends the login of a device, as its owner does on the service's page or an
// administrator: no token of it is good any more, and the device is gone.
func (s *Server) EndLogin(uid id.UserID, did id.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endSessions(uid, did)
	s.revoke(uid, did, false)
}

func (s *Server) endSessions(uid id.UserID, did id.DeviceID) {
	for _, rt := range s.oauth.refresh {
		if d := rt.session.device; d.user.id == uid && d.id == did {
			rt.session.ended = true
		}
	}
}

func (s *Server) oauthToken(c *call) {
	switch parsed, _ := url.ParseQuery(string(c.body)); parsed.Get("grant_type") {
	case grantCode:
		if f, ok := s.form(c, "grant_type", "device_code"); ok {
			s.exchangeCode(c, f)
		}
	case grantRefresh:
		if f, ok := s.form(c, "grant_type", "refresh_token"); ok {
			s.exchangeRefresh(c, f)
		}
	default:
		s.violate("a token for the grant type %q", parsed.Get("grant_type"))
		c.refuseOAuth(http.StatusBadRequest, "unsupported_grant_type", "")
	}
}

// exchangeCode answers a poll (RFC 8628 §3.4, §3.5). The service's statuses are those
// of the Matrix Authentication Service.
func (s *Server) exchangeCode(c *call, f url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, ok := s.oauth.codes[f.Get("device_code")]
	now := s.clock()
	switch {
	case !ok || code.client != f.Get("client_id"):
		s.violateLocked("a poll for a code of nobody, or of another client")
		c.refuseOAuth(http.StatusBadRequest, "invalid_grant", "")
	case !slices.Contains(s.oauth.clients[code.client], grantCode):
		c.refuseOAuth(http.StatusUnauthorized, "unauthorized_client", "")
	case code.spent:
		c.refuseOAuth(http.StatusBadRequest, "invalid_grant", "")
	case !now.Before(code.expires):
		c.refuseOAuth(http.StatusForbidden, "expired_token", "")
	case code.denied:
		c.refuseOAuth(http.StatusForbidden, "access_denied", "")
	case now.Before(code.next):
		if code.next.Sub(now) <= code.interval {
			s.violateLocked("a poll %s too early", code.next.Sub(now))
		}
		code.interval += 5 * time.Second
		code.next = now.Add(code.interval)
		c.refuseOAuth(http.StatusForbidden, "slow_down", "")
	case code.approved == "":
		code.next = now.Add(code.interval)
		c.refuseOAuth(http.StatusForbidden, "authorization_pending", "")
	default:
		code.spent = true
		user := s.account(code.approved)
		s.endSessions(user.id, code.wanted) // a device has one login
		token := s.issue(user, code.wanted, "")
		s.answerTokens(c, &oauthSession{client: code.client, device: s.tokens[token]}, token)
	}
}

// answerTokens issues a refresh token beside an access token; mu is held.
func (s *Server) answerTokens(c *call, session *oauthSession, token string) *refreshToken {
	at := &accessToken{session: session}
	answer := map[string]any{
		"access_token": token, "token_type": "Bearer",
		"scope": fmt.Sprintf("urn:matrix:client:api:* urn:matrix:client:device:%s", session.device.id),
	}
	if life := or(s.opts.Service.TokenLife, 5*time.Minute); life > 0 {
		at.expires = s.clock().Add(life)
		answer["expires_in"] = int(life.Seconds())
	}
	rt := &refreshToken{session: session, access: at}
	name := fmt.Sprintf("mcr_%s_%d", session.device.user.id.Localpart(), s.nextSerial())
	s.oauth.access[token], s.oauth.refresh[name] = at, rt
	answer["refresh_token"] = name
	c.ok(answer)
	return rt
}

// exchangeRefresh gives new tokens for a refresh token. The one that was used stays
// good until one of the new tokens is used, in case that they did not arrive; after
// that, its use shows that somebody has stolen it, and ends the login (Matrix C-S API,
// "Refresh token grant").
func (s *Server) exchangeRefresh(c *call, f url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rt, ok := s.oauth.refresh[f.Get("refresh_token")]
	switch {
	case !ok:
		s.violateLocked("a refresh token that was never issued")
		c.refuseOAuth(http.StatusBadRequest, "invalid_grant", "")
		return
	case rt.session.client != f.Get("client_id"):
		s.violateLocked("a refresh token of another client")
		c.refuseOAuth(http.StatusBadRequest, "invalid_grant", "")
		return
	case rt.session.ended || rt.revoked:
		c.refuseOAuth(http.StatusBadRequest, "invalid_grant", "")
		return
	case rt.next != nil && (rt.next.access.used || rt.next.next != nil):
		s.violateLocked("a refresh token that was used, and its successor, too")
		rt.session.ended = true
		c.refuseOAuth(http.StatusBadRequest, "invalid_grant", "")
		return
	}
	if rt.next != nil {
		rt.next.revoked, rt.next.access.revoked = true, true
	}
	rt.access.revoked = true
	token := s.issue(rt.session.device.user, rt.session.device.id, "")
	rt.next = s.answerTokens(c, rt.session, token)
}

// oauthRevoke ends the login of a token (RFC 7009).
func (s *Server) oauthRevoke(c *call) {
	f, ok := s.form(c, "token", "token_type_hint")
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var session *oauthSession
	if rt, ok := s.oauth.refresh[f.Get("token")]; ok {
		session = rt.session
	} else if at, ok := s.oauth.access[f.Get("token")]; ok {
		session = at.session
	}
	if session != nil && !session.ended {
		session.ended = true
		s.revoke(session.device.user.id, session.device.id, false)
	}
	c.empty()
}
