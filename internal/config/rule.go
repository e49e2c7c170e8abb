package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// RoomRule says what holds for some rooms in the place of the settings for all. It
// stands in config.yml alone, as an entry of matrix.rooms. Of several rules that fit
// a room the first one holds, and only it; what it does not say is as for all rooms.
type RoomRule struct {
	// The rooms that the rule is for: one id, main alias or pattern, or a list of them.
	Rooms RoomPatterns `key:"room"`
	// Import nothing of these rooms. What the bot sees of them is kept, so that they can be taken in later.
	Skip bool `key:"skip"`
	// Marking of what is imported from these rooms.
	TLP TLP `key:"tlp"`
	// Labels of every message of these rooms, twenty at most.
	Labels Labels `key:"labels"`
	// How far back these rooms are imported.
	ImportStartDate *Start `key:"import_start_date"`
	// The largest file that is fetched; `0` fetches none.
	AttachmentMaxSize *Bytes `key:"attachment_max_size"`
	// Media types of the files that are fetched; `*/*` for all.
	AttachmentTypes MediaPatterns `key:"attachment_types"`
	// What becomes of messages that are deleted in Matrix.
	Redactions Redactions `key:"redactions"`
}

// Labels are words that the platform shows beside an object.
type Labels []string

// The bounds of labels: what the platform shows without breaking its lists.
const (
	maxLabels = 20
	maxLabel  = 100 // characters
)

// UnmarshalText splits the list and drops what stands twice, whatever its case: the
// platform keeps labels in lower case.
func (l *Labels) UnmarshalText(text []byte) error {
	var list []string
	for _, label := range split(text) {
		if utf8.RuneCountInString(label) > maxLabel || strings.ContainsFunc(label, func(r rune) bool { return r < ' ' }) {
			return malformed("has an entry that is no label", "write labels of one line and 100 characters at most")
		}
		if !slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, label) }) {
			list = append(list, label)
		}
	}
	if len(list) > maxLabels {
		return malformed(fmt.Sprintf("has %d labels", len(list)), fmt.Sprintf("keep %d of them", maxLabels))
	}
	*l = list
	return nil
}

// ruleKeys are the keys of a rule in their order.
func ruleKeys() []string {
	t := reflect.TypeFor[RoomRule]()
	list := make([]string, 0, t.NumField())
	for f := range t.Fields() {
		list = append(list, f.Tag.Get("key"))
	}
	return list
}

// isRules reports whether the value of matrix.rooms is a list of rules, not of rooms.
func isRules(value *yaml.Node) bool {
	return value.Kind == yaml.SequenceNode && slices.ContainsFunc(value.Content, func(n *yaml.Node) bool {
		return resolve(n).Kind == yaml.MappingNode
	})
}

// readRules reads the list of rules.
func (y *yamlReader) readRules(key string, value *yaml.Node) {
	for i, node := range value.Content {
		node, place := resolve(node), fmt.Sprintf("%s, rule %d", key, i+1)
		if node.Kind != yaml.MappingNode {
			y.problem(place, "is a room among rules", `write it as a rule of its own: - room: "#ops:example.org"`)
			continue
		}
		y.rules = append(y.rules, y.rule(place, node))
	}
}

func (y *yamlReader) rule(place string, node *yaml.Node) (rule RoomRule) {
	fields := map[string]reflect.Value{}
	v := reflect.ValueOf(&rule).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		fields[tag.Get("key")] = v.Field(i)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, body := node.Content[i].Value, resolve(node.Content[i+1])
		key := place + ", " + name
		field, known := fields[name]
		switch {
		case !known:
			cure := "a rule may say " + strings.Join(ruleKeys(), ", ")
			if near := nearest(name, ruleKeys()); near != "" {
				cure = "did you mean " + near + "?"
			}
			y.problem(key, "is no setting of a rule", cure)
			continue
		case seen[name]:
			y.problem(key, fmt.Sprintf("stands twice, the second time in line %d", node.Content[i].Line), "remove one of them")
			continue
		}
		seen[name] = true
		text, ok := y.text(key, body)
		if !ok || text == "" {
			continue
		}
		s := setting{env: []string{""}, key: key, field: field}
		if err := s.set(text); err != nil {
			y.problems = append(y.problems, s.problem(value{text: text, source: FromYAML}, err))
		}
	}
	if len(rule.Rooms) == 0 && !slices.ContainsFunc(y.problems, func(p Problem) bool { return p.Key == place+", room" }) {
		y.problem(place, "does not say which room it is for", `give it a room: "#ops:example.org", "!abc:example.org" or a pattern such as "#ops-*:example.org"`)
	}
	return rule
}

// unreached warns of rules that no room can come to, because earlier ones take them
// all.
func unreached(rules []RoomRule) []Warning {
	var warnings []Warning
	taken := map[string]int{}
	for i, rule := range rules {
		by, all := 0, len(rule.Rooms) > 0
		for _, pattern := range rule.Rooms {
			earlier, ok := taken["*"]
			if !ok {
				earlier, ok = taken[pattern]
			}
			all = all && ok
			by = max(by, earlier)
		}
		if all {
			warnings = append(warnings, Warning{rulesKey, fmt.Sprintf("has a rule %d that never holds: rule %d takes its rooms", i+1, by)})
		}
		for _, pattern := range rule.Rooms {
			if _, ok := taken[pattern]; !ok {
				taken[pattern] = i + 1
			}
		}
	}
	return warnings
}
