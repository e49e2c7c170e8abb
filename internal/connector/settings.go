package connector

import (
	"fmt"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// markingOf is the marking of a level.
func markingOf(level config.TLP) (stix.ID, error) {
	tlp, err := stix.ParseTLP(string(level))
	if err != nil {
		return "", fmt.Errorf("look up marking: %w", err)
	}
	return tlp.MarkingID(), nil
}

// newMapper makes the mapper of the settings.
func newMapper(s *config.Config, r *rules) (*mapping.Mapper, error) {
	markings, err := r.markings()
	if err != nil {
		return nil, err
	}
	c := mapping.Config{
		Marking: markings[0], Rule: r.mapping,
		PermalinkBase: string(s.Matrix.PermalinkBase), AutoImport: s.Matrix.AutoImportFiles,
	}
	if s.Connector.ConfidenceLevel.Set {
		c.Confidence = &s.Connector.ConfidenceLevel.Level
	}
	return mapping.New(c), nil
}

// platformConfig is what the settings say about the platform.
func (c *Connector) platformConfig() (opencti.Config, error) {
	s := c.config.Settings
	markings, err := newRules(s, time.Time{}).markings()
	if err != nil {
		return opencti.Config{}, err
	}
	o := opencti.Config{
		URL: string(s.OpenCTI.URL), Token: s.OpenCTI.Token.Reveal(),
		ConnectorID: string(s.Connector.ID), Name: string(s.Connector.Name), Scope: s.Connector.Scope,
		Type:       string(s.Connector.Type),
		Markings:   markings,
		AutoImport: s.Matrix.AutoImportFiles,
		Log:        c.log, Clock: c.now,
		MQ: opencti.MQ{
			Host: s.MQ.Host, Port: s.MQ.Port, VHost: s.MQ.VHost, User: s.MQ.User, Password: s.MQ.Pass.Reveal(), UseSSL: s.MQ.UseSSL,
		},
	}
	return o, c.reach(&o)
}
