package connector

import (
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// What follows is what a connector of the settings would work with, for those who
// look at the same things without running one.

// PlatformConfig is what the settings say about the platform.
func PlatformConfig(s *config.Config) (opencti.Config, error) {
	return (&Connector{config: Config{Settings: s}}).platformConfig()
}

// SkipRoom gives the reason why a room is not imported, "" where it is.
func SkipRoom(s *config.Config) func(timeline.Room) string {
	return newRules(s, time.Time{}).skipRoom
}

// InviteConfig says which invites are accepted.
func InviteConfig(s *config.Config) matrix.InviteConfig {
	return newRules(s, time.Time{}).invites()
}

// CarriesAnother reports whether a Channel that was found under a room's id carries
// another room, so that the room gets one of its own.
func CarriesAnother(found stix.Found, room, key string) bool { return foreignRoom(found, room, key) }
