package check

import (
	"strings"
	"unicode"
)

// State is the verdict of a line (closed set).
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // it will run, and something is lost or unsafe
	Failed  State = "failed"  // it will not run, or deliver nothing
	Skipped State = "skipped" // could not be looked at
)

// Line is what was found about one dependency.
type Line struct {
	// Name is one of [Names].
	Name  string `json:"name"`
	State State  `json:"state"`
	// Says is a phrase for a person.
	Says string `json:"says"`
	// Hint is what to do about it; empty where nothing has to be done.
	Hint string `json:"hint,omitempty"`
	// Facts are the same for a program, by names that do not change.
	Facts map[string]any `json:"facts,omitempty"`
}

// The names of lines, in the order of the flow. There may be several lines of
// settings, one for each mistake.
const (
	Settings   = "settings"
	Store      = "store"
	Homeserver = "homeserver"
	Login      = "login"
	Device     = "device"
	Backup     = "backup"
	Keys       = "keys"
	Rooms      = "rooms"
	Platform   = "platform"
	Rights     = "rights"
	Confidence = "confidence"
	Markings   = "markings"
	Registered = "connector"
	Broker     = "broker"
	Queue      = "queue"
	Channels   = "channels"
	Clock      = "clock"
)

// Names are the names of all lines, in their order.
var Names = []string{
	Settings, Store, Homeserver, Login, Device, Backup, Keys, Rooms,
	Platform, Rights, Confidence, Markings, Registered, Broker, Queue, Channels, Clock,
}

// Fine reports whether no line failed.
func Fine(lines []Line) bool {
	for _, l := range lines {
		if l.State == Failed {
			return false
		}
	}
	return true
}

func fine(name, says string) Line { return Line{Name: name, State: OK, Says: says} }

func warning(name, says, hint string) Line {
	return Line{Name: name, State: Warning, Says: says, Hint: hint}
}

func failed(name, says, hint string) Line {
	return Line{Name: name, State: Failed, Says: says, Hint: hint}
}

func skipped(name, says string) Line { return Line{Name: name, State: Skipped, Says: says} }

// with adds a fact.
func (l Line) with(name string, value any) Line {
	if l.Facts == nil {
		l.Facts = map[string]any{}
	}
	l.Facts[name] = value
	return l
}

// clean makes the line fit to be shown: what came over the network cannot steer a
// terminal, and secrets that it repeats are hidden.
func (l Line) clean(hide *strings.Replacer) Line {
	l.Says, l.Hint = cleanText(l.Says, hide), cleanText(l.Hint, hide)
	for name, value := range l.Facts {
		l.Facts[name] = cleanFact(value, hide)
	}
	return l
}

func cleanFact(value any, hide *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return cleanText(v, hide)
	case []string:
		for i := range v {
			v[i] = cleanText(v[i], hide)
		}
	case []map[string]any:
		for _, one := range v {
			for name, value := range one {
				one[name] = cleanFact(value, hide)
			}
		}
	}
	return value
}

// longest is how many characters a text has at most.
const longest = 600

func cleanText(text string, hide *strings.Replacer) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if hide != nil {
		text = hide.Replace(text)
	}
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest]) + "…"
	}
	return text
}
