package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// runCommand imports into a platform until it is told to stop.
type runCommand struct{}

func (c *runCommand) run(ctx context.Context, in *invocation) int {
	settings, ok := in.settings(config.ForPlatform)
	if !ok {
		return exitUsage
	}
	return in.connect(ctx, connector.Config{Settings: settings})
}

// connect runs a connector, with its log on stderr.
func (in *invocation) connect(ctx context.Context, c connector.Config) int {
	s := c.Settings
	asJSON := s.OpenCTI.JSONLogging && !isTerminal(in.stderr)
	level := s.Connector.LogLevel.Level()
	if s.Matrix.Debug {
		level = slog.LevelDebug // at which requests are logged
	}
	c.Log = telemetry.NewLog(telemetry.LogConfig{
		Out: in.stderr, Level: level, JSON: asJSON, Name: string(s.Connector.Name), Hide: s.Secrets(),
	})
	c.Log.InfoContext(ctx, "starting", slog.String("version", version()), slog.String("server", string(s.Matrix.Server)),
		slog.String("user_id", string(s.Matrix.UserID)))
	for _, w := range s.Warnings {
		c.Log.WarnContext(ctx, "a setting looks wrong", slog.String("setting", w.Variable), slog.String("problem", w.Says))
	}
	c.Version = version()
	var err error
	c.Metrics, err = telemetry.NewMetrics(telemetry.MetricsConfig{
		Namespace: string(s.Connector.MetricsNamespace), Subsystem: string(s.Connector.MetricsSubsystem), Version: c.Version,
	})
	var connection *connector.Connector
	if err == nil {
		connection, err = connector.New(c)
	}
	if err == nil {
		err = connection.Run(ctx)
	}
	switch hint := connector.Hint(err); {
	case err == nil:
		return exitFine
	case asJSON:
		attrs := []any{slog.Any("err", err)}
		if hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		c.Log.ErrorContext(ctx, "stopped, because a person has to act", attrs...)
	default:
		hide := telemetry.Hide(s.Secrets())
		in.complain(hide.Replace(err.Error()), hide.Replace(hint))
	}
	return exitFailed
}

// folders are searched for config.yml and .env.
func folders() []string {
	list := []string{"."}
	if binary, err := os.Executable(); err == nil {
		list = append(list, filepath.Dir(binary))
	}
	return list
}

// isTerminal reports whether a person reads what is written to w.
func isTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Environ is the environment of this process. Variables that hold secrets are
// taken out of the process by it, so that nothing the process might start inherits
// them.
func Environ() []string {
	environ := os.Environ()
	for _, name := range config.SecretVariables() {
		_ = os.Unsetenv(name) // fails for impossible names alone
	}
	return environ
}

// aside is the connector of a command that may have to do its work, where none is running.
// Its log tells of what goes wrong alone.
func (in *invocation) aside(s *config.Config) connector.Config {
	return connector.Config{Settings: s, Log: telemetry.NewLog(telemetry.LogConfig{
		Out: in.stderr, Level: slog.LevelWarn, Name: string(s.Connector.Name), Hide: s.Secrets(),
	})}
}
