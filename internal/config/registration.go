package config

import (
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// ConnectorID is the UUID that the platform knows the connector by.
type ConnectorID string

// UnmarshalText checks the UUID. The platform splits the ids of works at their
// underscores, so that the connector's own may have none.
func (c *ConnectorID) UnmarshalText(text []byte) error {
	id, err := uuid.Parse(string(text))
	if err != nil || len(text) != 36 || id == uuid.Nil {
		return malformed("is no UUID", "make one with uuidgen, and keep it")
	}
	*c = ConnectorID(id.String())
	return nil
}

// ConnectorType is the kind of connector, always EXTERNAL_IMPORT.
type ConnectorType string

func (ConnectorType) choices() []string { return []string{"EXTERNAL_IMPORT"} }

// UnmarshalText refuses any other kind.
func (c *ConnectorType) UnmarshalText(text []byte) error {
	if !strings.EqualFold(string(text), "EXTERNAL_IMPORT") {
		return malformed("is not EXTERNAL_IMPORT", "remove it, or set it to EXTERNAL_IMPORT")
	}
	*c = "EXTERNAL_IMPORT"
	return nil
}

// ConnectorName is the name shown in the platform.
type ConnectorName string

// UnmarshalText refuses what the platform would: less than two characters.
func (c *ConnectorName) UnmarshalText(text []byte) error {
	if utf8.RuneCount(text) < 2 {
		return malformed("is too short for the platform", "give the connector a name of two characters or more")
	}
	*c = ConnectorName(text)
	return nil
}

// List is a list of words, written with commas between them.
type List []string

// UnmarshalText splits the list.
func (l *List) UnmarshalText(text []byte) error {
	*l = split(text)
	return nil
}

// String joins the list with commas.
func (l List) String() string { return strings.Join(l, ",") }

// split gives the parts between commas, trimmed, without empty ones.
func split(text []byte) []string {
	var list []string
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// LogLevel is the least level that is logged; a [slog.Leveler].
type LogLevel slog.Level

// Level is the level for slog.
func (l LogLevel) Level() slog.Level { return slog.Level(l) }

func (LogLevel) choices() []string { return []string{"debug", "info", "warning", "error"} }

// UnmarshalText takes pycti's names, in any case.
func (l *LogLevel) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "debug":
		*l = LogLevel(slog.LevelDebug)
	case "info":
		*l = LogLevel(slog.LevelInfo)
	case "warn", "warning":
		*l = LogLevel(slog.LevelWarn)
	case "error", "critical", "fatal":
		*l = LogLevel(slog.LevelError)
	default:
		return malformed("is no log level", "write debug, info, warning or error")
	}
	return nil
}

// Confidence is a confidence level, where one is set.
type Confidence struct {
	Level int // 0 to 100
	Set   bool
}

// UnmarshalText takes 0 to 100, of which 1 to 4 are the steps that the platform
// once had: nobody means one percent.
func (c *Confidence) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 || n > 100 {
		return malformed("is no confidence level", "write a whole number from 0 to 100")
	}
	if 1 <= n && n <= 4 {
		n = [...]int{15, 50, 75, 85}[n-1]
	}
	*c = Confidence{Level: n, Set: true}
	return nil
}
