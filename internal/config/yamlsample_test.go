package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// sampleHead stands above everything in config.yml.sample.
const sampleHead = `# Copy this file to config.yml, beside the program or in its working directory, and
# replace each ChangeMe. Where there is a config.yml, .env is not read; a variable in
# the environment wins over both. What is not commented out shows the default. A value
# that starts with @, !, # or * stands in quotes.
#
# Made by go test ./internal/config -update from the comments of internal/config.
`

// sampleRules are the rules that README.md and config.yml.sample show.
const sampleRules = `  rooms:
    - room: "#hr:example.org"
      skip: true
    - room: ["#ops-*:example.org", "!abc:example.org"]
      tlp: RED
      labels: [phishing, ops]
      import_start_date: P1Y
`

// comment wraps a text into lines of a comment below 90 columns.
func comment(indent, text string) string {
	var b strings.Builder
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 88 {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// yamlValue is a value as YAML: a list where the setting is one.
func yamlValue(t *testing.T, r row, text string) string {
	t.Helper()
	quoted := func(s string) string {
		out, err := yaml.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(s[:1], "@!#*") {
			return `"` + s + `"`
		}
		return strings.TrimSpace(string(out))
	}
	if r.kind.Kind() == reflect.Slice && strings.Contains(text, ",") {
		var items []string
		for item := range strings.SplitSeq(text, ",") {
			items = append(items, quoted(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	// A word that YAML would take for something else than text is meant as that.
	if r.kind.Kind() != reflect.Slice && regexp.MustCompile(`^(true|false|[0-9]+)$`).MatchString(text) {
		return text
	}
	return quoted(text)
}

// yamlSample is config.yml.sample.
func yamlSample(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(sampleHead)
	section := ""
	for _, r := range rows(t) {
		if r.key == "" {
			continue // a variable only
		}
		name, key, _ := strings.Cut(r.key, ".")
		if name != section {
			section = name
			b.WriteString("\n" + section + ":\n")
		}
		b.WriteString(comment("  ", r.meaning))
		switch {
		case r.variable == "":
			for line := range strings.Lines(sampleRules) {
				b.WriteString("  # " + strings.TrimPrefix(line, "  "))
			}
		case r.need != "":
			b.WriteString("  " + key + ": ChangeMe" + hint(t, r, key) + "\n")
		case r.def != "":
			b.WriteString("  " + key + ": " + yamlValue(t, r, r.def) + "\n")
		case r.secret && r.example == "":
			b.WriteString("  # " + key + "_file: /run/secrets/" + strings.ToLower(r.variable) + "\n")
		default:
			value := r.def
			if value == "" {
				value = r.example
			}
			if value == "" {
				t.Errorf("%s has neither a default nor an example", r.variable)
				continue
			}
			b.WriteString("  # " + key + ": " + yamlValue(t, r, value) + "\n")
		}
	}
	return b.String()
}

// hint says how else a setting is given that has to be.
func hint(t *testing.T, r row, key string) string {
	t.Helper()
	switch {
	case r.secret:
		return " # or " + key + "_file: /run/secrets/" + strings.ToLower(r.variable)
	case r.example != "":
		return " # " + yamlValue(t, r, r.example)
	}
	return ""
}

func TestTheSampleOfYAMLShowsAllSettings(t *testing.T) {
	same(t, "config.yml.sample", yamlSample(t))
}

// same compares a generated file with what is there, or writes it.
func same(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, readRoot(t, name)); diff != "" {
		t.Errorf("%s differs from the settings; run go test ./internal/config -update\n%s", name, diff)
	}
}

// commented is a line of the sample that is a setting out of force.
var commented = regexp.MustCompile(`^  # ([a-z_]+):( .*)?\n$`)

// With everything that is commented out in force, every key is known as well. A secret's
// file is one that exists.
func TestWhatTheSampleOfYAMLCommentsOutIsKnown(t *testing.T) {
	secret := filepath.Join(folder(t, "secret", "a secret of some length"), "secret")
	var b strings.Builder
	seen, rules := 0, false
	for line := range strings.Lines(filled(t, readRoot(t, "config.yml.sample"), answers...)) {
		m := commented.FindStringSubmatch(line)
		switch {
		case m == nil, m[1] == "access_token_file": // instead of the password
		case m[1] == "rooms" && m[2] == "":
			rules = true // instead of a list
		case strings.HasSuffix(m[1], "_file"):
			line = "  " + m[1] + ": " + secret + "\n"
			seen++
		default:
			line = strings.Replace(line, "# ", "", 1)
			seen++
		}
		b.WriteString(line)
	}
	c := mustLoad(t, config.Input{Folders: []string{folder(t, "config.yml", b.String())}})
	if seen < 25 || !rules {
		t.Errorf("%d settings are commented out, rules: %t", seen, rules)
	}
	if c.MQ.Port != 5671 || len(c.Matrix.Rooms) != 2 || c.Connector.ConfidenceLevel.Level != 75 || c.Matrix.StoreKey.Reveal() != "a secret of some length" {
		t.Errorf("commented settings were not read: %+v", c)
	}
	for _, w := range c.Warnings {
		if !strings.Contains(w.Says, "no effect in this version") {
			t.Errorf("warning %s", w)
		}
	}
}

func TestTheRulesOfTheManualHold(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete(), Folders: []string{folder(t, "config.yml", "matrix:\n"+sampleRules)}})
	if len(c.Matrix.RoomRules) != 2 || !c.Matrix.RoomRules[0].Skip || c.Matrix.RoomRules[1].TLP != config.TLPRed || len(c.Warnings) != 0 {
		t.Errorf("rules %+v, warnings %v", c.Matrix.RoomRules, c.Warnings)
	}
}
