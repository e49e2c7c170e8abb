package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// settingsLines tells every mistake in the settings, and what looks odd.
func settingsLines(c Config) []Line {
	var lines []Line
	if problems, ok := errors.AsType[config.Problems](c.Problems); ok {
		for _, p := range problems {
			l := failed(Settings, p.Error(), p.Cure)
			if p.Variable != "" {
				l = l.with("variable", p.Variable)
			}
			lines = append(lines, l)
		}
		return lines
	}
	if c.Problems != nil || c.Settings == nil {
		return []Line{failed(Settings, fmt.Sprintf("cannot be read: %v", c.Problems), "")}
	}
	lines = append(lines, count(c.Settings))
	for _, w := range c.Settings.Warnings {
		lines = append(lines, warning(Settings, w.String(), "").with("variable", w.Variable))
	}
	return lines
}

// count says how many settings are set, and where.
func count(s *config.Config) Line {
	order := []config.Source{config.FromEnvironment, config.FromFile, config.FromYAML, config.FromDotenv}
	number := map[config.Source]int{}
	set := 0
	for _, name := range config.Variables() {
		if from := s.Source(name); from != config.FromDefault && from != "" {
			number[from]++
			set++
		}
	}
	var parts []string
	sources := map[string]any{}
	for _, from := range order {
		if n := number[from]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d from %s", n, named(from)))
			sources[string(from)] = n
		}
	}
	return fine(Settings, fmt.Sprintf("%d set: %s", set, strings.Join(parts, ", "))).with("set", set).with("sources", sources)
}

func named(s config.Source) string {
	switch s {
	case config.FromEnvironment:
		return "the environment"
	case config.FromFile:
		return "files of secrets"
	default:
		return string(s)
	}
}
