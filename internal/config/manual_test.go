package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

var update = flag.Bool("update", false, "rewrite what is generated from the settings")

// The marks between which the table stands.
const (
	tableStart = "<!-- settings: go test ./internal/config -update -->\n"
	tableEnd   = "<!-- end of settings -->\n"
)

// row is one setting of the manual.
type row struct {
	variable, key, def, meaning, need string
	example, section                  string
	kind                              reflect.Type
	min, max                          string
	secret                            bool
}

// comments are those of the fields of config's structs, by struct and field.
func comments(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range []string{"config.go", "rule.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if group, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range group.Fields.List {
					for _, field := range f.Names {
						found[spec.Name.Name+"."+field.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return true
		})
	}
	return found
}

// rowOf is the row of a field; false for a field that is no setting.
func rowOf(t *testing.T, comments map[string]string, group reflect.Type, section string, f reflect.StructField) (row, bool) {
	t.Helper()
	variable, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	r := row{
		variable: variable, key: f.Tag.Get("key"), def: f.Tag.Get("default"), need: f.Tag.Get("need"),
		kind: f.Type, section: section, example: f.Tag.Get("example"),
		min: f.Tag.Get("min"), max: f.Tag.Get("max"), meaning: comments[group.Name()+"."+f.Name],
	}
	if variable == "" && r.key == "" {
		return row{}, false
	}
	if r.meaning == "" {
		t.Errorf("%s.%s has no comment", group.Name(), f.Name)
	}
	r.secret = f.Type == reflect.TypeFor[config.Secret]() || f.Type == reflect.TypeFor[config.Headers]()
	if section != "" && r.key == "" {
		r.key = section + "." + strings.ToLower(strings.TrimPrefix(variable, strings.ToUpper(section)+"_"))
	}
	return r, true
}

// rows are the settings in their order.
func rows(t *testing.T) []row {
	t.Helper()
	comments := comments(t)
	var list []row
	for group := range reflect.TypeFor[config.Config]().Fields() {
		if group.Type.Kind() != reflect.Struct {
			continue
		}
		for f := range group.Type.Fields() {
			if r, ok := rowOf(t, comments, group.Type, group.Tag.Get("section"), f); ok {
				list = append(list, r)
			}
		}
	}
	return list
}

// ruleRows are the settings of a room rule in their order.
func ruleRows(t *testing.T) []row {
	t.Helper()
	comments := comments(t)
	var list []row
	rule := reflect.TypeFor[config.RoomRule]()
	for f := range rule.Fields() {
		if r, ok := rowOf(t, comments, rule, "", f); ok {
			list = append(list, r)
		}
	}
	return list
}

// told is the meaning with what the reader of a table has to know besides.
func (r row) told() string {
	meaning := r.meaning
	if r.secret {
		meaning += " *Secret.*"
	}
	return strings.ReplaceAll(meaning, "|", `\|`)
}

// table is the settings as Markdown, those that have to be set first.
func table(list []row) string {
	var b strings.Builder
	b.WriteString("| variable | in `config.yml` | default | meaning |\n|---|---|---|---|\n")
	for _, needed := range []bool{true, false} {
		for _, r := range list {
			if (r.need != "") != needed {
				continue
			}
			def := "–"
			switch {
			case r.need == "always":
				def = "**required**"
			case r.need == "platform":
				def = "**required**, not for `export`"
			case r.need == "login":
				def = "**required**, or an access token, or [`login`](#commands)"
			case r.def != "":
				def = "`" + r.def + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(r.variable), code(r.key), def, r.told())
		}
	}
	return b.String()
}

// code is a word as code, or a dash for none.
func code(word string) string {
	if word == "" {
		return "–"
	}
	return "`" + word + "`"
}

// ruleTable is what a room rule may say.
func ruleTable(list []row) string {
	var b strings.Builder
	b.WriteString("| in a rule | meaning |\n|---|---|\n")
	for _, r := range list {
		fmt.Fprintf(&b, "| %s | %s |\n", code(r.key), r.told())
	}
	return b.String()
}

// manual is all that stands between the marks of README.md.
func manual(t *testing.T) string {
	t.Helper()
	return "\n" + table(rows(t)) + `
A rule of ` + "`matrix.rooms`" + ` says what holds for some rooms. The first rule that fits a room holds, and only it; what it does not
say is as for all rooms. ` + "`MATRIX_ROOMS` and `MATRIX_ROOMS_EXCLUDE`" + ` decide first whether a room is imported at all.

` + "```yaml" + `
matrix:
` + sampleRules + "```" + `

` + ruleTable(ruleRows(t)) + "\n"
}

func TestTheReadmeShowsAllSettings(t *testing.T) {
	text := readRoot(t, "README.md")
	before, rest, ok := strings.Cut(text, tableStart)
	shown, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks the marks of the table of settings")
	}
	want := manual(t)
	if *update {
		if err := os.WriteFile(root+"README.md", []byte(before+tableStart+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("README.md shows other settings; run go test ./internal/config -update\n%s", diff)
	}
}
