package check_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// What is lost or unsafe is a warning: the connector runs all the same.
func TestWhatIsLostIsAWarning(t *testing.T) {
	user := func(change func(*openctitest.User)) openctitest.Config {
		u := openctitest.User{Name: "connector", Token: "canary-token"}
		change(&u)
		return openctitest.Config{Users: []openctitest.User{u, {Name: "other", Token: "canary-other"}}}
	}
	tests := []struct {
		name     string
		platform openctitest.Config
		makes    func(*scene)
		line     string
		holds    []string
	}{
		{
			name: "rights that files and deletions need are missing",
			platform: user(func(u *openctitest.User) {
				u.Capabilities = []string{"CONNECTORAPI", "APIACCESS_USETOKEN", "MODULES", "KNOWLEDGE_KNUPDATE"}
			}),
			line: check.Rights, holds: []string{
				"KNOWLEDGE_KNUPLOAD (attachments are not uploaded)", "KNOWLEDGE_KNUPDATE_KNDELETE (redacted messages cannot be deleted)", "OPENCTI_TOKEN",
			},
		},
		{
			name: "works cannot be read",
			platform: user(func(u *openctitest.User) {
				u.Capabilities = []string{"CONNECTORAPI", "APIACCESS_USETOKEN", "KNOWLEDGE_KNUPDATE", "KNOWLEDGE_KNUPLOAD"}
			}),
			line: check.Registered, holds: []string{"MODULES"},
		},
		{
			name:     "the token is an administrator's",
			platform: user(func(u *openctitest.User) { u.Capabilities = []string{openctitest.Admin} }),
			line:     check.Rights, holds: []string{"administrator", "OPENCTI_TOKEN"},
		},
		{
			name:     "the confidence is above what the user may write",
			platform: user(func(u *openctitest.User) { u.MaxConfidence = 50 }),
			makes:    func(s *scene) { s.env["CONNECTOR_CONFIDENCE_LEVEL"] = "90" },
			line:     check.Confidence, holds: []string{"is 90", "up to 50", "CONNECTOR_CONFIDENCE_LEVEL to 50 or less"},
		},
		{
			name:  "the connector's id bears another name",
			makes: func(s *scene) { s.registers("MITRE ATT&CK", "EXTERNAL_IMPORT", s.env["OPENCTI_TOKEN"]) },
			line:  check.Registered, holds: []string{"MITRE ATT&CK", "CONNECTOR_ID", "uuidgen"},
		},
		{
			name:  "another user has registered the connector",
			makes: func(s *scene) { s.registers("Matrix", "EXTERNAL_IMPORT", "canary-other") },
			line:  check.Registered, holds: []string{"another user", "OPENCTI_TOKEN"},
		},
		{
			name: "no worker reads the queue", makes: func(s *scene) { s.asBefore(); s.broker.workers, s.broker.messages = 0, 3 },
			line: check.Queue, holds: []string{"3 messages wait, and no worker"},
		},
		{
			name: "the clock is a minute off", makes: func(s *scene) { s.now = func() time.Time { return time.Now().Add(time.Minute) } },
			line: check.Clock, holds: []string{"1m0s ahead of the homeserver", "NTP"},
		},
		{
			name: "the key lies beside the store", makes: func(s *scene) { delete(s.env, "MATRIX_STORE_KEY") },
			line: check.Store, holds: []string{"stolen disk", "MATRIX_STORE_KEY"},
		},
		{
			name: "a setting is mistyped", makes: func(s *scene) { s.env["MATRIX_TPL"] = "RED" },
			line: check.Settings, holds: []string{"MATRIX_TPL", "did you mean MATRIX_TLP"},
		},
		{
			name: "the homeserver wants no more logins",
			makes: func(s *scene) {
				s.homeserver.Inject(matrixtest.Fault{On: matrixtest.Login, Status: http.StatusTooManyRequests, Code: "M_LIMIT_EXCEEDED", RetryAfterMS: 90_000})
			},
			line: check.Login, holds: []string{"not verified", "1m30s"},
		},
		{
			name: "the check's own device stays behind",
			makes: func(s *scene) {
				s.homeserver.Inject(matrixtest.Fault{On: matrixtest.Logout, Status: http.StatusInternalServerError})
			},
			line: check.Login, holds: []string{"could not be logged out", "MATRIX_USER_ID"},
		},
		{
			name: "the device was logged out",
			makes: func(s *scene) {
				account := s.starts()
				s.homeserver.Revoke(s.bot, account.DeviceID(), true)
			},
			line: check.Login, holds: []string{"was logged out", "password"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, test.platform)
			if test.makes != nil {
				test.makes(s)
			}
			r := s.checks()
			r.noneFails()
			r.is(test.line, check.Warning, test.holds...)
		})
	}
}

func TestACrossSignedDeviceIsFine(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	account := s.starts()
	signs(t, s, account)
	r := s.checks()
	r.noneFails()
	r.is(check.Device, check.OK, string(account.DeviceID())+" is cross-signed")
}

func TestMessagesThroughThePlatformNeedNoBroker(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.env["CONNECTOR_QUEUE_PROTOCOL"] = "api"
	s.env["MQ_PORT"] = itoa(closedPort(t))
	s.asBefore()
	r := s.checks()
	r.noneFails()
	r.is(check.Broker, check.Skipped, "CONNECTOR_QUEUE_PROTOCOL=api")
	r.is(check.Queue, check.Skipped, "CONNECTOR_QUEUE_PROTOCOL=api")
}

func TestADeadNetworkIsToldInTime(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.patience = 500 * time.Millisecond
	s.env["MATRIX_SERVER"] = "http://127.0.0.1:" + itoa(silent(t))
	s.env["OPENCTI_URL"] = "http://127.0.0.1:" + itoa(silent(t))
	r := s.checks()
	r.is(check.Homeserver, check.Failed, "does not answer", "MATRIX_SERVER", "firewall", "HTTP_PROXY")
	r.is(check.Platform, check.Failed, "does not answer", "OPENCTI_URL", "firewall", "HTTP_PROXY")
	for _, name := range []string{check.Login, check.Device, check.Rooms, check.Rights, check.Markings, check.Broker, check.Clock} {
		r.is(name, check.Skipped)
	}
}
