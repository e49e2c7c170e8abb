package config

import (
	"fmt"
	"strings"
)

// parseDotenv reads a .env file: NAME=value lines, empty lines, lines that start
// with #, and an optional "export " in front of a name.
//
// A value in single quotes is taken literally; in double quotes \n, \", \\ and \$
// are understood; without quotes it ends at " #" and is trimmed. Docker Compose
// reads the same lines the same way, but for one thing: nothing is substituted
// here, so that a $ in a password stays what it is. A problem names the line and
// never shows it, because a broken line is likely a password's.
func parseDotenv(text string) (map[string]string, []Problem) {
	values := map[string]string{}
	var problems []Problem
	text = strings.TrimPrefix(text, "\ufeff")
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || !validName(name) {
			problems = append(problems, Problem{
				Wrong: fmt.Sprintf("line %d of %s is not NAME=value", i+1, dotenvName),
				Cure:  "write one variable a line, or put # in front of a comment",
			})
			continue
		}
		value, ok := unquote(strings.TrimSpace(rest))
		if !ok {
			problems = append(problems, Problem{
				Variable: name,
				Wrong:    fmt.Sprintf("has a quote that does not end on line %d of %s", i+1, dotenvName),
				Cure:     "put the whole value in single quotes, on one line",
			})
			continue
		}
		values[name] = value
	}
	return values, problems
}

func validName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// unquote gives the value of what stands after "=". It reports false when a quote
// is not closed, or something other than a comment follows it.
func unquote(s string) (string, bool) {
	switch {
	case s == "" || s[0] == '#':
		return "", true
	case s[0] == '\'':
		value, rest, ok := strings.Cut(s[1:], "'")
		return value, ok && onlyComment(rest)
	case s[0] == '"':
		return unquoteDouble(s[1:])
	}
	value, _, _ := strings.Cut(s, " #")
	return strings.TrimSpace(value), true
}

func unquoteDouble(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), onlyComment(s[i+1:])
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`"\$`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '\\' && i+1 < len(s) && s[i+1] == 'n':
			i++
			b.WriteByte('\n')
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func onlyComment(s string) bool {
	s = strings.TrimSpace(s)
	return s == "" || s[0] == '#'
}
