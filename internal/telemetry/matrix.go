package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"

	"github.com/rs/zerolog"
)

// MatrixLog is the logger to hand to the Matrix library. It passes on, at level
// info, which request was made and how it ended, and which session or device a
// cryptographic step was about; it never passes on bodies, queries or error texts,
// which may quote what was said. With debug off it passes nothing on.
func MatrixLog(log *slog.Logger, debug bool) zerolog.Logger {
	if !debug {
		return zerolog.Nop()
	}
	return zerolog.New(&matrixLog{log: log.With(slog.String("component", "matrix library"))}).Level(zerolog.DebugLevel)
}

type matrixLog struct{ log *slog.Logger }

// passed are the library's fields that may be shown, under the names that they
// have in our lines.
var passed = map[string]string{
	"action": "action", "db_section": "action", "method": "method", "status_code": "status", "duration": "duration_ms", "count": "count",
	"event_type": "event_type", "device_id": "device_id", "room_id": "room_id", "event_id": "event_id", "session_id": "session_id",
}

// Write takes one line of the library. It never fails: a log is no reason to.
func (m *matrixLog) Write(line []byte) (int, error) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return len(line), nil
	}
	var attrs []slog.Attr
	for key, value := range fields {
		switch value.(type) {
		case string, float64, bool:
			if name, ok := passed[key]; ok {
				attrs = append(attrs, slog.Any(name, value))
			}
		}
	}
	if s, ok := fields["url"].(string); ok {
		if u, err := url.Parse(s); err == nil {
			attrs = append(attrs, slog.String("path", u.Path))
		}
	}
	if _, failed := fields["error"]; failed {
		attrs = append(attrs, slog.Bool("failed", true))
	}
	if s, ok := fields["message"].(string); ok {
		attrs = append(attrs, slog.String("step", s))
	}
	slices.SortFunc(attrs, func(a, b slog.Attr) int {
		switch {
		case a.Key < b.Key:
			return -1
		case a.Key > b.Key:
			return 1
		}
		return 0
	})
	m.log.LogAttrs(context.Background(), slog.LevelInfo, "matrix library", attrs...)
	return len(line), nil
}
