package matrixtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// Service makes the server have an authentication service, as the Matrix
// Authentication Service is one: the OAuth 2.0 API of the specification (v1.15) with
// the device authorization grant (v1.18). The zero value is one that lets people in
// with a code. Which login types /login offers beside it is up to [Options.Flows].
type Service struct {
	// NoCodes leaves the device authorization grant out; Stale offers it all the same, as
	// homeservers do that remember what their service has said.
	NoCodes, Stale bool
	// Links gives a link with the code in it beside the page. The Matrix Authentication
	// Service gives none, unless told to.
	Links bool
	// Closed refuses to register clients.
	Closed bool
	// TokenLife is the life of an access token; 0 is five minutes. Less than 0: the
	// service does not say, and tokens run out when [Server.Expire] is called.
	TokenLife time.Duration
	// CodeLife is the life of a code; 0 is twenty minutes.
	CodeLife time.Duration
	// Interval is the time between two polls, in whole seconds; 0 is five, and is not
	// said: a client has to know.
	Interval time.Duration
	// SoftLogout marks the refusal of an access token that has run out.
	SoftLogout bool
}

// The grant types.
const (
	grantCode    = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"
)

// oauthState is what the service remembers. Server.mu guards it.
type oauthState struct {
	clients map[string][]string // grant types by client id
	codes   map[string]*oauthCode
	access  map[string]*accessToken
	refresh map[string]*refreshToken
}

func newOAuthState() oauthState {
	return oauthState{
		clients: map[string][]string{}, codes: map[string]*oauthCode{},
		access: map[string]*accessToken{}, refresh: map[string]*refreshToken{},
	}
}

// oauthCode is a device code with what became of it.
type oauthCode struct {
	device, user, client string
	wanted               id.DeviceID
	interval             time.Duration
	expires, next        time.Time // next: polls before it are too early
	approved             id.UserID
	denied, spent        bool
}

// oauthSession is a login by the service.
type oauthSession struct {
	client string
	device *device
	ended  bool
}

func isOAuth(e Endpoint) bool { return strings.HasPrefix(string(e), "oauth_") }

func (s *Server) authMetadata(c *call) {
	o := s.opts.Service
	if o == nil {
		c.fail(http.StatusNotFound, "M_UNRECOGNIZED", "no authentication service")
		return
	}
	base := s.URL() + "/oauth2/"
	grants := []string{"authorization_code", grantRefresh}
	meta := map[string]any{
		"issuer": s.URL() + "/", "authorization_endpoint": s.URL() + "/authorize",
		"token_endpoint": base + "token", "registration_endpoint": base + "registration", "revocation_endpoint": base + "revoke",
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query", "fragment"},
		"code_challenge_methods_supported": []string{"S256"}, "account_management_uri": s.URL() + "/account/",
	}
	if !o.NoCodes || o.Stale {
		grants = append(grants, grantCode)
		meta["device_authorization_endpoint"] = base + "device"
	}
	meta["grant_types_supported"] = grants
	c.ok(meta)
}

// refuseOAuth answers as an authorization server (RFC 6749 §5.2).
func (c *call) refuseOAuth(status int, code, says string) {
	writeJSON(c.w, status, map[string]string{"error": code, "error_description": says})
}

func (s *Server) oauthRegister(c *call) {
	var req struct {
		Name   string   `json:"client_name"`
		URI    string   `json:"client_uri"`
		Type   string   `json:"application_type"`
		Grants []string `json:"grant_types"`
		Method string   `json:"token_endpoint_auth_method"`
	}
	if json.Unmarshal(c.body, &req) != nil || c.r.Header.Get("Content-Type") != "application/json" {
		s.violate("registration is no JSON")
		c.refuseOAuth(http.StatusBadRequest, "invalid_request", "")
		return
	}
	switch {
	case s.opts.Service == nil:
		s.violate("registration where there is no authentication service")
	case s.opts.Service.Closed:
		c.refuseOAuth(http.StatusBadRequest, "invalid_client_metadata", "invalid client_uri")
		return
	case !strings.HasPrefix(req.URI, "https://"):
		s.violate("registration with client_uri %q, which has to be https", req.URI)
	case req.Name == "":
		s.violate("registration without a name: people approve by it")
	case req.Type != "native" || req.Method != "none":
		s.violate("registration as %q with auth method %q, not as a native public client", req.Type, req.Method)
	case !slices.Contains(req.Grants, grantCode) || !slices.Contains(req.Grants, grantRefresh):
		s.violate("registration for the grant types %v", req.Grants)
	}
	grants := req.Grants
	if s.opts.Service.NoCodes {
		grants = slices.DeleteFunc(slices.Clone(grants), func(g string) bool { return g == grantCode })
	}
	s.mu.Lock()
	client := fmt.Sprintf("client%d", s.nextSerial())
	s.oauth.clients[client] = grants
	s.mu.Unlock()
	writeJSON(c.w, http.StatusCreated, map[string]any{
		"client_id": client, "client_name": req.Name, "client_uri": req.URI, "grant_types": grants,
		"application_type": req.Type, "token_endpoint_auth_method": req.Method,
	})
}

// ForgetClients makes the service forget who has registered.
func (s *Server) ForgetClients() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oauth.clients = map[string][]string{}
}

// form reads the form of a request and finds its client; ok is false when it was
// refused. A parameter that is none of allowed is a violation, as is one that is there
// twice (RFC 6749 §3.2).
func (s *Server) form(c *call, allowed ...string) (f url.Values, ok bool) {
	f, err := url.ParseQuery(string(c.body))
	if err != nil || c.r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		s.violate("%s without a form", c.r.URL.Path)
		c.refuseOAuth(http.StatusBadRequest, "invalid_request", "not a form")
		return nil, false
	}
	for name, values := range f {
		switch {
		case len(values) != 1 || values[0] == "":
			s.violate("%s with the parameter %s %d times, or empty", c.r.URL.Path, name, len(values))
		case name != "client_id" && !slices.Contains(allowed, name):
			s.violate("%s with the parameter %s", c.r.URL.Path, name)
		}
	}
	for _, name := range append(allowed, "client_id") {
		if !f.Has(name) && name != "token_type_hint" {
			s.violate("%s without the parameter %s", c.r.URL.Path, name)
			c.refuseOAuth(http.StatusBadRequest, "invalid_request", "")
			return nil, false
		}
	}
	s.mu.Lock()
	_, known := s.oauth.clients[f.Get("client_id")]
	s.mu.Unlock()
	if !known {
		c.refuseOAuth(http.StatusUnauthorized, "invalid_client", "")
	}
	return f, known
}

// deviceScope finds the device in the scope of a login: there has to be exactly one,
// of ten characters and more (Matrix C-S API, "Device ID allocation").
var deviceScope = regexp.MustCompile(`^urn:matrix:client:device:([A-Za-z0-9._~-]{10,})$`)

func (s *Server) oauthCode(c *call) {
	if s.opts.Service == nil || s.opts.Service.NoCodes {
		if s.opts.Service == nil || !s.opts.Service.Stale {
			s.violate("a code is asked for where there is none to be had")
		}
		c.refuseOAuth(http.StatusBadRequest, "invalid_request", "the device authorization grant is disabled")
		return
	}
	f, ok := s.form(c, "scope")
	if !ok {
		return
	}
	var devices []id.DeviceID
	api := false
	for scope := range strings.FieldsSeq(f.Get("scope")) {
		if m := deviceScope.FindStringSubmatch(scope); m != nil {
			devices = append(devices, id.DeviceID(m[1]))
		} else if scope == "urn:matrix:client:api:*" {
			api = true
		} else {
			s.violate("a code for the scope %s", scope)
		}
	}
	if !api || len(devices) != 1 {
		s.violate("a code for the scope %q", f.Get("scope"))
		c.refuseOAuth(http.StatusBadRequest, "invalid_scope", "")
		return
	}
	o := s.opts.Service
	s.mu.Lock()
	n := s.nextSerial()
	code := &oauthCode{
		device: fmt.Sprintf("devicecode-%d", n), user: fmt.Sprintf("CODE-%d", n), client: f.Get("client_id"), wanted: devices[0],
		interval: or(o.Interval, 5*time.Second), expires: s.clock().Add(or(o.CodeLife, 20*time.Minute)), next: s.clock(),
	}
	s.oauth.codes[code.device] = code
	s.mu.Unlock()
	answer := map[string]any{
		"device_code": code.device, "user_code": code.user, "verification_uri": s.URL() + "/link",
		"expires_in": int(or(o.CodeLife, 20*time.Minute).Seconds()),
	}
	if o.Links {
		answer["verification_uri_complete"] = s.URL() + "/link?code=" + code.user
	}
	if o.Interval != 0 {
		answer["interval"] = int(o.Interval.Seconds())
	}
	c.ok(answer)
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Approve confirms a code on the service's page, logged in there as an account.
func (s *Server) Approve(code string, uid id.UserID) error {
	return s.decide(code, func(c *oauthCode) { c.approved = s.account(uid).id })
}

// Deny refuses a code on the service's page.
func (s *Server) Deny(code string) error {
	return s.decide(code, func(c *oauthCode) { c.denied = true })
}

// SlowDown makes the service answer slow_down to the next poll of a code: from then on
// five more seconds have to be between two of them.
func (s *Server) SlowDown(code string) error {
	return s.decide(code, func(c *oauthCode) { c.next = s.clock().Add(24 * time.Hour) })
}

func (s *Server) decide(code string, how func(*oauthCode)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.oauth.codes {
		if c.user == code {
			how(c)
			return nil
		}
	}
	return fmt.Errorf("there is no code %q", code)
}
