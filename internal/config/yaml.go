package config

import (
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// parseYAML reads config.yml into the values of variables: matrix.server becomes
// MATRIX_SERVER. Values stay text, so that there is one way to read a setting,
// wherever it stands. A key that names no setting is a problem: it is a setting
// that somebody believes to be in force.
func parseYAML(text []byte, settings []setting) (place, []Problem) {
	found := place{source: FromYAML}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return found, []Problem{{
			Wrong: yamlName + " is not YAML" + yamlLine(err),
			Cure:  "a value that starts with @, !, #, * or % stands in quotes; indent with blanks, not tabs",
		}}
	}
	if doc.Kind == 0 || len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return found, nil
	}
	y := yamlReader{values: map[string]string{}, keys: map[string]string{}, sections: map[string]bool{}}
	for i := range settings {
		s := &settings[i]
		if s.key == "" {
			continue
		}
		section, _, _ := strings.Cut(s.key, ".")
		y.sections[section] = true
		y.keys[s.key] = s.name()
		if s.secret {
			y.keys[s.key+"_file"] = s.name() + fileSuffix
		}
	}
	y.document(doc.Content[0])
	found.values, found.rules = y.values, y.rules
	return found, y.problems
}

// yamlLine keeps of the library's error the place alone: its text may quote the
// file.
func yamlLine(err error) string {
	if line := regexp.MustCompile(`line \d+`).FindString(err.Error()); line != "" {
		return " (" + line + ")"
	}
	return ""
}

// rulesKey is the one key that may hold mappings: rules, in the place of rooms.
const rulesKey = "matrix.rooms"

type yamlReader struct {
	values   map[string]string
	keys     map[string]string // of config.yml, to the variable
	sections map[string]bool
	rules    []RoomRule
	problems []Problem
}

func (y *yamlReader) document(root *yaml.Node) {
	root = resolve(root)
	if root.Kind != yaml.MappingNode {
		y.problem("", "the top of "+yamlName+" is not a mapping", `start with "matrix:" and indent what belongs to it`)
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		section, body := root.Content[i].Value, resolve(root.Content[i+1])
		switch {
		case !y.sections[section]:
			y.unknown(section, names(y.sections))
		case body.Kind == yaml.MappingNode:
			y.section(section, body)
		case body.Tag != "!!null":
			y.problem(section, "is not a mapping", "indent the settings of "+section+" below it")
		}
	}
}

func (y *yamlReader) section(section string, body *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(body.Content); i += 2 {
		key, value := section+"."+body.Content[i].Value, resolve(body.Content[i+1])
		name, known := y.keys[key]
		switch {
		case seen[key]:
			y.problem(key, fmt.Sprintf("stands twice, the second time in line %d", body.Content[i].Line), "remove one of them")
		case key == rulesKey && isRules(value):
			y.readRules(key, value)
		case known:
			if text, ok := y.text(key, value); ok {
				y.values[name] = text
			}
		case unread[variable(key)] != "":
			y.values[variable(key)] = value.Value // unknownNames warns about it
		default:
			y.unknown(key, names(y.keys))
		}
		seen[key] = true
	}
}

// text is the value of a setting as a variable would hold it; false where it has
// none, which may be a problem.
func (y *yamlReader) text(key string, value *yaml.Node) (string, bool) {
	if tagged(value) {
		y.untagged(key)
		return "", false
	}
	switch value.Kind {
	case yaml.ScalarNode:
		return value.Value, value.Tag != "!!null"
	case yaml.SequenceNode:
		var items []string
		for _, item := range value.Content {
			item = resolve(item)
			if tagged(item) {
				y.untagged(key)
				return "", false
			}
			if item.Kind != yaml.ScalarNode {
				y.problem(key, "holds more than a list of plain values", "write one value, or a list of values")
				return "", false
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), true
	default:
		y.problem(key, "holds a mapping", "write one value, or a list of values")
		return "", false
	}
}

// tagged reports whether YAML took the start of a value for a tag, as it does
// with an unquoted room id.
func tagged(n *yaml.Node) bool {
	return strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!")
}

func (y *yamlReader) untagged(key string) {
	y.problem(key, "has an unquoted !, which means something else in YAML", `put the value in quotes: "!room:example.org"`)
}

func (y *yamlReader) unknown(key string, known []string) {
	cure := "remove it"
	if near := nearest(key, known); near != "" {
		cure = "did you mean " + near + "?"
	}
	y.problem(key, "is no setting", cure)
}

func (y *yamlReader) problem(key, wrong, cure string) {
	y.problems = append(y.problems, Problem{Key: key, Wrong: wrong, Cure: cure, Variable: y.keys[key]})
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// variable is the variable of a key: the two are one name, written in two ways.
func variable(key string) string {
	return strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
