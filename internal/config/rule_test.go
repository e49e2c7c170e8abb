package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

func rulesOf(t *testing.T, text string) config.Input {
	t.Helper()
	return config.Input{Environ: complete(), Folders: []string{folder(t, "config.yml", "matrix:\n  rooms:\n"+text)}}
}

func TestRoomRules(t *testing.T) {
	c := mustLoad(t, rulesOf(t, `
    - room: ["#hr:example.org", "!abc:example.org"]
      skip: yes
    - room: "#ops-*:example.org"
      tlp: amber-strict
      labels: [Phishing, " ops ", phishing]
      import_start_date: P1Y
      attachment_max_size: 0
      attachment_types: image/*
    - room: "*"
      labels: a, b
      import_start_date: none
`))
	rules := c.Matrix.RoomRules
	if len(rules) != 3 || len(c.Matrix.Rooms) != 0 {
		t.Fatalf("%d rules and %d rooms, want 3 and none", len(rules), len(c.Matrix.Rooms))
	}
	want := []config.RoomRule{
		{Rooms: config.RoomPatterns{"#hr:example.org", "!abc:example.org"}, Skip: true},
		{
			Rooms: config.RoomPatterns{"#ops-*:example.org"}, TLP: config.TLPAmberStrict, Labels: config.Labels{"Phishing", "ops"},
			AttachmentMaxSize: new(config.Bytes), AttachmentTypes: config.MediaPatterns{"image/*"},
		},
		{Rooms: config.RoomPatterns{"*"}, Labels: config.Labels{"a", "b"}},
	}
	year, none := rules[1].ImportStartDate, rules[2].ImportStartDate
	if year == nil || none == nil || rules[0].ImportStartDate != nil {
		t.Fatal("a start is not what was set")
	}
	rules[1].ImportStartDate, rules[2].ImportStartDate = nil, nil
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
	now := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
	if at, ok := year.Since(now); !ok || !at.Equal(now.AddDate(-1, 0, 0)) {
		t.Errorf("rule 2 starts at %s, %t", at, ok)
	}
	if _, ok := none.Since(now); ok {
		t.Error("rule 3 wants history")
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %v", c.Warnings)
	}
}

func TestAListOfPlainRoomsIsNoRule(t *testing.T) {
	c := mustLoad(t, rulesOf(t, "    - \"#a:x\"\n    - \"!b:x\"\n"))
	if len(c.Matrix.RoomRules) != 0 || len(c.Matrix.Rooms) != 2 {
		t.Errorf("%d rules, rooms %v", len(c.Matrix.RoomRules), c.Matrix.Rooms)
	}
}

func TestVariablesHoldBesideRules(t *testing.T) {
	in := rulesOf(t, "    - room: \"#a:x\"\n      tlp: RED\n")
	in.Environ = append(in.Environ, "MATRIX_ROOMS=#a:x,#b:x")
	c := mustLoad(t, in)
	if len(c.Matrix.RoomRules) != 1 || len(c.Matrix.Rooms) != 2 {
		t.Errorf("%d rules, rooms %v", len(c.Matrix.RoomRules), c.Matrix.Rooms)
	}
}

func TestMistakesInRulesNameTheRuleAndTheKey(t *testing.T) {
	tests := map[string]struct{ text, wrong, cure string }{
		"a key that nobody knows": {
			"    - room: \"#a:x\"\n    - {room: \"#b:x\", tpl: RED}\n", "matrix.rooms, rule 2, tpl in config.yml is no setting of a rule", "did you mean tlp?",
		},
		"a key that is near none": {
			"    - {room: \"#b:x\", colour: RED}\n", "matrix.rooms, rule 1, colour in config.yml is no setting of a rule",
			"a rule may say room, skip, tlp, labels, import_start_date, attachment_max_size, attachment_types, redactions",
		},
		"a value that is none": {
			"    - {room: \"#b:x\", tlp: PURPLE}\n", `matrix.rooms, rule 1, tlp in config.yml is no TLP level: "PURPLE", from config.yml`, "write CLEAR",
		},
		"a bare !": {
			"    - room: !b:x\n", "matrix.rooms, rule 1, room in config.yml has an unquoted !", "quotes",
		},
		"no room": {
			"    - tlp: RED\n", "matrix.rooms, rule 1 in config.yml does not say which room it is for", "give it a room",
		},
		"a room that is none": {
			"    - room: general\n", `matrix.rooms, rule 1, room in config.yml has an entry that is no room id, alias or pattern: "general"`, "!abc:example.org",
		},
		"a room among rules": {
			"    - room: \"#a:x\"\n    - \"#b:x\"\n", "matrix.rooms, rule 2 in config.yml is a room among rules", "- room:",
		},
		"a key that stands twice": {
			"    - room: \"#a:x\"\n      tlp: RED\n      tlp: GREEN\n", "matrix.rooms, rule 1, tlp in config.yml stands twice, the second time in line 5", "remove",
		},
		"a mapping where a value belongs": {
			"    - {room: \"#a:x\", labels: {a: b}}\n", "matrix.rooms, rule 1, labels in config.yml holds a mapping", "list of values",
		},
		"a size that is none": {
			"    - {room: \"#a:x\", attachment_max_size: big}\n", `matrix.rooms, rule 1, attachment_max_size in config.yml is no size: "big"`, "100MiB",
		},
		"a boolean that is none": {
			"    - {room: \"#a:x\", skip: maybe}\n", `matrix.rooms, rule 1, skip in config.yml is neither true nor false: "maybe"`, "true or false",
		},
		"a label that is too long": {
			"    - {room: \"#a:x\", labels: " + strings.Repeat("a", 101) + "}\n", "matrix.rooms, rule 1, labels in config.yml has an entry that is no label", "100 characters",
		},
		"a label with a line break": {
			"    - {room: \"#a:x\", labels: \"a\\nb\"}\n", "matrix.rooms, rule 1, labels in config.yml has an entry that is no label", "one line",
		},
		"too many labels": {
			"    - {room: \"#a:x\", labels: \"" + manyLabels(21) + "\"}\n", "matrix.rooms, rule 1, labels in config.yml has 21 labels", "keep 20",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := problemsOf(t, rulesOf(t, test.text))
			if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), test.wrong) || !strings.Contains(problems[0].Cure, test.cure) {
				t.Errorf("problems %q, cure of the first %q; want one: %s", problems, problems[0].Cure, test.wrong)
			}
		})
	}
}

func manyLabels(n int) string {
	var list []string
	for i := range n {
		list = append(list, "l"+strings.Repeat("x", i))
	}
	return strings.Join(list, ",")
}

func TestRulesThatCannotHoldAreWarnedOf(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"the same room again":            {"    - room: \"#a:x\"\n    - room: \"#a:x\"\n", []string{"matrix.rooms has a rule 2 that never holds: rule 1 takes its rooms"}},
		"after all rooms":                {"    - room: \"*\"\n    - room: \"#a:x\"\n", []string{"matrix.rooms has a rule 2 that never holds: rule 1 takes its rooms"}},
		"one of its rooms is left":       {"    - room: \"#a:x\"\n    - room: [\"#a:x\", \"#b:x\"]\n", nil},
		"all other rooms as a last rule": {"    - room: \"#a:x\"\n    - room: \"*\"\n      skip: true\n", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range mustLoad(t, rulesOf(t, test.text)).Warnings {
				got = append(got, w.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
