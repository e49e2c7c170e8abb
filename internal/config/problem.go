package config

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in the settings.
type Problem struct { //nolint:errname // it is told to people as a problem, and one of many
	// Variable is the setting's variable; empty when the mistake is in a file and
	// belongs to no setting.
	Variable string
	// Key is the setting's key in config.yml; empty where it has none.
	Key string
	// Source is where the value came from; empty when there is none.
	Source Source
	// Shape shows the value, or only its length where it is a secret's; empty when
	// there is no value.
	Shape string
	// Wrong completes the sentence "the setting …".
	Wrong string
	// Cure says what to do about it.
	Cure string
}

// Error names the setting, what is wrong, and what the value looks like.
func (p Problem) Error() string {
	var b strings.Builder
	switch {
	case p.Variable != "" && p.Key != "":
		fmt.Fprintf(&b, "%s (%s in %s) ", p.Variable, p.Key, yamlName)
	case p.Variable != "":
		b.WriteString(p.Variable + " ")
	case p.Key != "":
		fmt.Fprintf(&b, "%s in %s ", p.Key, yamlName)
	}
	b.WriteString(p.Wrong)
	var told []string
	if p.Shape != "" {
		told = append(told, p.Shape)
	}
	if p.Source != "" && p.Source != FromDefault {
		told = append(told, "from "+string(p.Source))
	}
	if len(told) > 0 {
		b.WriteString(": " + strings.Join(told, ", "))
	}
	return b.String()
}

// Problems is every mistake that was found: first the settings in the order of
// [Config], then the files; a file that could not be made out comes first.
type Problems []Problem //nolint:errname // see Problem

// Error is one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Warning is something that looks like a mistake and stops nothing.
type Warning struct {
	Variable string
	Says     string // completes the sentence "the setting …"
}

// String is the warning as one sentence.
func (w Warning) String() string { return w.Variable + " " + w.Says }

// shape describes a value without giving away what must stay hidden: of a secret
// its length, of an address with a password in it everything else.
func shape(value string, secret bool) string {
	if secret {
		n := utf8.RuneCountInString(value)
		if n == 1 {
			return "1 character"
		}
		return fmt.Sprintf("%d characters", n)
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		value = u.Redacted()
	} else if err != nil && strings.Contains(value, "@") && strings.Contains(value, "://") {
		return fmt.Sprintf("%d characters", utf8.RuneCountInString(value))
	}
	const most = 60
	if runes := []rune(value); len(runes) > most {
		value = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", value)
}
