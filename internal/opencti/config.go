package opencti

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Config is what a [Platform] needs. The zero value of a field that is not
// required means the default that its comment names.
type Config struct {
	URL   string // required: base URL of the platform, with its path if it has one
	Token string // required: API token of the connector's user

	ConnectorID string   // required: UUID; without "_", at which the platform splits work ids
	Name        string   // required: two characters at least
	Scope       []string // informative for an import; default "matrix"
	Type        string   // default EXTERNAL_IMPORT

	// Applicant is the user in whose name workers import; default the user that
	// the platform names at registration, who is the token's.
	Applicant string

	// Transport is how requests reach the platform; default the standard library's.
	Transport http.RoundTripper
	// UserAgent names the product; default "matrix-connector".
	UserAgent string

	// ThroughAPI hands messages to the platform instead of its broker, which is
	// weaker; the broker is never dialled then.
	ThroughAPI bool

	MQ MQ // overrides of what the platform answers about its broker

	// Markings are the ids of all markings that bundles will name. One that does
	// not exist, or that the user may not use, stops the start: the platform would
	// import its objects unmarked (opencti.md §4.4).
	Markings []stix.ID

	// AutoImport lets the platform's file importers run on every attachment, also
	// where [stix.File] does not ask for it.
	AutoImport bool

	Log   *slog.Logger     // default: discards
	Clock func() time.Time // default time.Now

	// Timeout is the longest that one call of the API may take, uploads apart;
	// default one minute.
	Timeout time.Duration
	// ConfirmTimeout is how long the broker may take to confirm a batch; default
	// 30 seconds.
	ConfirmTimeout time.Duration
	// StallAfter is how long a work may stand still, with the connector's queue
	// empty, until it counts as lost; default two minutes, longer than the minute
	// that a worker waits after a bad gateway (opencti.md §4.5). For a work that an
	// earlier process began it is 15 seconds at most.
	StallAfter time.Duration
	// SettleGrace is how long an object may be absent after its work is complete
	// until that is believed: works count reports, not objects, so a report given
	// twice completes one too early. Default two seconds.
	SettleGrace time.Duration
	// MaxMessageBytes is the broker's limit for one message; default 16 MiB, what
	// RabbitMQ 4 allows unless it is told otherwise.
	MaxMessageBytes int
}

// MQ overrides the broker's address and credentials that the registration
// answers. A zero field leaves the platform's value.
type MQ struct {
	Host     string
	Port     int
	VHost    string
	User     string
	Password string
	// UseSSL is nil where the platform's value holds.
	UseSSL *bool
	// TLS is how the broker is spoken to where TLS is used, but for its name; nil
	// verifies its certificate against the system's authorities.
	TLS *tls.Config
	// Explain makes more of why the broker cannot be reached; what it gives may say
	// what a person can do (Hint) and whether only a person can (Lasting).
	Explain func(error) error
}

func (c *Config) setDefaults() {
	if len(c.Scope) == 0 {
		c.Scope = []string{"matrix"}
	}
	if c.Type == "" {
		c.Type = "EXTERNAL_IMPORT"
	}
	if c.UserAgent == "" {
		c.UserAgent = "matrix-connector"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.ConfirmTimeout <= 0 {
		c.ConfirmTimeout = 30 * time.Second
	}
	if c.StallAfter <= 0 {
		c.StallAfter = 2 * time.Minute
	}
	if c.SettleGrace <= 0 {
		c.SettleGrace = 2 * time.Second
	}
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = 16 << 20
	}
}

// check reports every mistake that can be seen without asking anyone.
func (c *Config) check() error {
	var errs []error
	if c.Token == "" || strings.EqualFold(c.Token, "changeme") {
		errs = append(errs, errors.New("platform token: not set"))
	}
	if err := uuid.Validate(c.ConnectorID); err != nil || strings.Contains(c.ConnectorID, "_") {
		errs = append(errs, errors.New("connector id: not a UUID"))
	}
	if len([]rune(strings.TrimSpace(c.Name))) < 2 {
		errs = append(errs, errors.New("connector name: shorter than two characters"))
	}
	for _, m := range c.Markings {
		if !strings.HasPrefix(string(m), "marking-definition--") {
			errs = append(errs, fmt.Errorf("marking %q: not the id of a marking definition", m))
		}
	}
	return errors.Join(errs...)
}
