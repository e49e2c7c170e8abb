package matrixtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// oauth is a client of the service that does what it is told, right or wrong.
type oauth struct {
	t      *testing.T
	server *matrixtest.Server
	now    time.Time
	client string
}

func newOAuth(t *testing.T, o matrixtest.Service) *oauth {
	t.Helper()
	c := &oauth{t: t, server: start(t, matrixtest.Options{Service: &o}), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	c.server.SetClock(func() time.Time { return c.now })
	c.client = c.register(`{"client_name":"a","client_uri":"https://example.org/","application_type":"native",` +
		`"grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token"],"token_endpoint_auth_method":"none"}`)
	return c
}

// send posts a body, and gives status and answer.
func (c *oauth) send(path, kind, body, token string) (int, map[string]any) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.server.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, answer
}

func (c *oauth) register(body string) string {
	c.t.Helper()
	_, answer := c.send("/oauth2/registration", "application/json", body, "")
	client, _ := answer["client_id"].(string)
	return client
}

// form posts pairs of names and values, with the client id.
func (c *oauth) form(path string, pairs ...string) (int, map[string]any) {
	c.t.Helper()
	f := url.Values{"client_id": {c.client}}
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return c.send(path, "application/x-www-form-urlencoded", f.Encode(), "")
}

const goodScope = "urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ"

func (c *oauth) code() (device, user string) {
	c.t.Helper()
	_, answer := c.form("/oauth2/device", "scope", goodScope)
	device, _ = answer["device_code"].(string)
	user, _ = answer["user_code"].(string)
	return device, user
}

func (c *oauth) poll(device string) (int, map[string]any) {
	c.t.Helper()
	return c.form("/oauth2/token", "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", device)
}

func (c *oauth) refresh(token any) (int, map[string]any) {
	c.t.Helper()
	name, _ := token.(string)
	return c.form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", name)
}

// login is the tokens of a login as the bot.
func (c *oauth) login() map[string]any {
	c.t.Helper()
	device, user := c.code()
	if err := c.server.Approve(user, c.server.Account("bot", "x")); err != nil {
		c.t.Fatal(err)
	}
	status, tokens := c.poll(device)
	if status != http.StatusOK {
		c.t.Fatalf("status %d: %v", status, tokens)
	}
	return tokens
}

// known reports whether the homeserver knows an access token.
func (c *oauth) known(token any) bool {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.server.URL()+"/_matrix/client/v3/account/whoami", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	name, _ := token.(string)
	req.Header.Set("Authorization", "Bearer "+name)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func TestTheServiceRotatesRefreshTokens(t *testing.T) {
	c := newOAuth(t, matrixtest.Service{})
	first := c.login()
	if !c.known(first["access_token"]) {
		t.Error("the first access token is not known")
	}
	_, second := c.refresh(first["refresh_token"])
	if c.known(first["access_token"]) {
		t.Error("an access token outlives its renewal")
	}
	// The answer is lost: the old refresh token is good for another one.
	status, third := c.refresh(first["refresh_token"])
	if status != http.StatusOK || c.known(second["access_token"]) {
		t.Errorf("status %d; the lost access token is known: %v", status, third)
	}
	if !c.known(third["access_token"]) {
		t.Error("the third access token is not known")
	}
	wellUsed(t, c.server)
	// It has arrived, as its use shows: whoever comes with the old one has stolen it.
	status, answer := c.refresh(first["refresh_token"])
	if status != http.StatusBadRequest || answer["error"] != "invalid_grant" || c.known(third["access_token"]) {
		t.Errorf("status %d: %v", status, answer)
	}
	if v := c.server.Violations(); len(v) != 1 || !strings.Contains(v[0], "refresh token that was used") {
		t.Errorf("violations %q", v)
	}
}

func TestAccessTokensOfTheServiceRunOut(t *testing.T) {
	c := newOAuth(t, matrixtest.Service{TokenLife: time.Minute})
	tokens := c.login()
	if tokens["expires_in"] != 60.0 {
		t.Errorf("expires in %v", tokens["expires_in"])
	}
	c.now = c.now.Add(time.Minute)
	if c.known(tokens["access_token"]) {
		t.Error("an access token outlives its time")
	}
	_, tokens = c.refresh(tokens["refresh_token"])
	if !c.known(tokens["access_token"]) {
		t.Error("a renewed access token is not known")
	}
	if status, _ := c.form("/oauth2/revoke", "token", tokens["refresh_token"].(string), "token_type_hint", "refresh_token"); status != http.StatusOK {
		t.Errorf("revocation: status %d", status)
	}
	if devices := c.server.DeviceIDs(c.server.UserID("bot")); c.known(tokens["access_token"]) || len(devices) > 0 {
		t.Errorf("after the revocation there are the devices %v", devices)
	}
	wellUsed(t, c.server)
}

func TestWhatAPollIsAnswered(t *testing.T) {
	c := newOAuth(t, matrixtest.Service{CodeLife: time.Minute})
	is := func(device string, status int, want string) {
		t.Helper()
		c.now = c.now.Add(5 * time.Second)
		if got, answer := c.poll(device); got != status || answer["error"] != want {
			t.Errorf("status %d, %v, want %d %s", got, answer["error"], status, want)
		}
	}
	device, _ := c.code()
	is(device, http.StatusForbidden, "authorization_pending")
	c.now = c.now.Add(time.Minute)
	is(device, http.StatusForbidden, "expired_token")
	device, user := c.code()
	if err := c.server.Deny(user); err != nil {
		t.Fatal(err)
	}
	is(device, http.StatusForbidden, "access_denied")
	wellUsed(t, c.server)
}

func TestMisuseOfTheServiceIsWrittenDown(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		name string
		do   func(c *oauth)
		want string
	}{
		{"a poll before its time", func(c *oauth) {
			device, _ := c.code()
			c.poll(device)
			c.now = c.now.Add(4 * time.Second)
			c.poll(device)
		}, "1s too early"},
		{"a poll after slow_down as if nothing had been said", func(c *oauth) {
			device, user := c.code()
			_ = c.server.SlowDown(user)
			c.poll(device)
			c.now = c.now.Add(5 * time.Second)
			c.poll(device)
		}, "5s too early"},
		{"a code for no device", func(c *oauth) { c.form("/oauth2/device", "scope", "urn:matrix:client:api:*") }, "a code for the scope"},
		{"a code for two devices", func(c *oauth) {
			c.form("/oauth2/device", "scope", goodScope+" urn:matrix:client:device:KLMNOPQRST")
		}, "a code for the scope"},
		{"a code for a device of few characters", func(c *oauth) {
			c.form("/oauth2/device", "scope", "urn:matrix:client:api:* urn:matrix:client:device:SHORT")
		}, "a code for the scope urn:matrix:client:device:SHORT"},
		{"a code for more than the API", func(c *oauth) { c.form("/oauth2/device", "scope", goodScope+" openid") }, "openid"},
		{"a code with a parameter too many", func(c *oauth) { c.form("/oauth2/device", "scope", goodScope, "login_hint", "x") }, "login_hint"},
		{"a parameter that is there twice", func(c *oauth) { c.form("/oauth2/device", "scope", goodScope, "scope", goodScope) }, "2 times"},
		{"a code as JSON", func(c *oauth) { c.send("/oauth2/device", "application/json", "{}", "") }, "without a form"},
		{"an access token for the service", func(c *oauth) {
			c.send("/oauth2/device", form, url.Values{"client_id": {c.client}, "scope": {goodScope}}.Encode(), "secret")
		}, "shown to the authentication service"},
		{"a grant type of another flow", func(c *oauth) { c.form("/oauth2/token", "grant_type", "password") }, `grant type "password"`},
		{"a refresh token out of thin air", func(c *oauth) { c.refresh("mcr_guess") }, "never issued"},
		{"another client's refresh token", func(c *oauth) {
			tokens := c.login()
			c.client = c.register(`{"client_name":"b","client_uri":"https://example.net/","application_type":"native",` +
				`"grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token"],"token_endpoint_auth_method":"none"}`)
			c.refresh(tokens["refresh_token"])
		}, "of another client"},
		{"a client with an address in the clear", func(c *oauth) {
			c.register(`{"client_name":"a","client_uri":"http://example.org/"}`)
		}, "has to be https"},
		{"a client that wants no refresh tokens", func(c *oauth) {
			c.register(`{"client_name":"a","client_uri":"https://example.org/","application_type":"native","token_endpoint_auth_method":"none",` +
				`"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}`)
		}, "for the grant types"},
		{"a client with a secret", func(c *oauth) {
			c.register(`{"client_name":"a","client_uri":"https://example.org/","application_type":"native","token_endpoint_auth_method":"client_secret_basic"}`)
		}, "public client"},
		{"a logout in place of a revocation", func(c *oauth) {
			c.send("/_matrix/client/v3/logout", "application/json", "{}", c.login()["access_token"].(string))
		}, "revokes it itself"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newOAuth(t, matrixtest.Service{})
			wellUsed(t, c.server)
			c.t = t
			test.do(c)
			if got := strings.Join(c.server.Violations(), "\n"); !strings.Contains(got, test.want) {
				t.Errorf("violations %q, want one with %q", got, test.want)
			}
		})
	}
}
