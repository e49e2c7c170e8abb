package config

import "strings"

// Setting is what holds for one setting, fit to be shown.
type Setting struct {
	Variable string `json:"variable"`
	// Key is its key in config.yml; empty where it has none.
	Key string `json:"key,omitempty"`
	// Value is the text as it was written, "[redacted]" where a secret is set, and
	// empty where nothing is.
	Value  string `json:"value"`
	Source Source `json:"source"`
}

// Effective lists the settings that hold, in their order, with the source of each.
func (c *Config) Effective() []Setting {
	all := settings(c)
	list := make([]Setting, 0, len(all))
	for i := range all {
		s := &all[i]
		list = append(list, Setting{Variable: s.name(), Key: s.key, Source: c.sources[s.name()], Value: c.texts[s.name()]})
	}
	return list
}

// shown is a value as it may be shown.
func (s *setting) shown(text string) string {
	switch {
	case text == "":
		return ""
	case s.secret:
		return redacted
	case strings.HasPrefix(text, "-----BEGIN"):
		first, _, _ := strings.Cut(text, "\n")
		return first + " …"
	}
	return text
}
