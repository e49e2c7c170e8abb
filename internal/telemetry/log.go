package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// LogConfig says how a log is written.
type LogConfig struct {
	// Out receives one write a line.
	Out io.Writer
	// Level is the least level that is written; nil means info.
	Level slog.Leveler
	// JSON writes the lines of OpenCTI's connectors; else plain text.
	JSON bool
	// Name is the name of the connector.
	Name string
	// Hide are secrets to replace wherever they would be written. Those of less than
	// eight bytes are left alone: they would take ordinary words away.
	Hide []string
}

// NewLog makes a logger.
func NewLog(c LogConfig) *slog.Logger {
	if c.Level == nil {
		c.Level = slog.LevelInfo
	}
	s := &sink{config: c, hide: Hide(c.Hide)}
	options := &slog.HandlerOptions{Level: c.Level, ReplaceAttr: withoutHead}
	if c.JSON {
		return slog.New(&handler{sink: s, attributes: slog.NewJSONHandler(&s.buffer, options)})
	}
	return slog.New(&handler{sink: s, attributes: slog.NewTextHandler(&s.buffer, options)})
}

// sink is what a logger and those derived from it share.
type sink struct {
	config LogConfig
	hide   *strings.Replacer

	mu     sync.Mutex   // owns buffer and the order of writes
	buffer bytes.Buffer // where attributes render a record's attributes
}

// handler puts the head of a line in front of the attributes, which slog's own
// handlers render.
type handler struct {
	sink       *sink
	attributes slog.Handler // writes into sink.buffer
}

// Enabled reports whether a record of the level is written.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attributes.Enabled(ctx, level)
}

// Handle writes one line.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	s := h.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffer.Reset()
	if err := h.attributes.Handle(ctx, r); err != nil {
		return fmt.Errorf("render log attributes: %w", err)
	}
	attributes := strings.TrimSpace(s.buffer.String())
	line := s.plain(r, attributes)
	if s.config.JSON {
		line = s.json(r, attributes)
	}
	if _, err := io.WriteString(s.config.Out, s.hide.Replace(line)+"\n"); err != nil {
		return fmt.Errorf("write log line: %w", err)
	}
	return nil
}

// WithAttrs adds attributes to every record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{sink: h.sink, attributes: h.attributes.WithAttrs(attrs)}
}

// WithGroup puts the attributes that follow into a group.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{sink: h.sink, attributes: h.attributes.WithGroup(name)}
}

// json is the line as pycti writes it, its keys in pycti's order.
func (s *sink) json(r slog.Record, attributes string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"timestamp":"%s","level":"%s","name":%s,"message":%s`,
		r.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), levelName(r.Level), quote(s.config.Name), quote(r.Message))
	if attributes != "{}" {
		b.WriteString(`,"attributes":` + attributes)
	}
	b.WriteByte('}')
	return b.String()
}

// plain is the line for a person.
func (s *sink) plain(r slog.Record, attributes string) string {
	line := fmt.Sprintf("%s %-7s %s", r.Time.Local().Format(time.TimeOnly), levelName(r.Level), r.Message)
	if attributes != "" {
		line += "  " + attributes
	}
	return line
}

// levelName is Python's name of the level.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}

// withoutHead takes away what stands in the head of the line.
func withoutHead(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}

// Hide replaces the secrets by [redacted], as they are and as JSON writes them.
func Hide(secrets []string) *strings.Replacer {
	const least = 8
	var pairs []string
	for _, secret := range secrets {
		if len(secret) < least {
			continue
		}
		pairs = append(pairs, secret, "[redacted]")
		if q := quote(secret); q != `"`+secret+`"` {
			pairs = append(pairs, q[1:len(q)-1], "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// quote is the text as a JSON string.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string into memory: cannot go wrong
	return strings.TrimSuffix(b.String(), "\n")
}
