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
)

var update = flag.Bool("update", false, "rewrite the table of settings in README.md")

// The marks between which the table stands.
const (
	tableStart = "<!-- settings: go test ./internal/config -update -->\n"
	tableEnd   = "<!-- end of settings -->\n"
)

// row is one setting of the table.
type row struct{ variable, key, def, meaning, need string }

// rows reads the comments and tags of Config's fields.
func rows(t *testing.T) []row {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]*ast.StructType{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if group, ok := spec.Type.(*ast.StructType); ok {
				groups[spec.Name.Name] = group
			}
		}
		return true
	})
	tagOf := func(f *ast.Field) reflect.StructTag {
		if f.Tag == nil {
			return ""
		}
		return reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
	}
	var list []row
	for _, section := range groups["Config"].Fields.List {
		name, ok := section.Type.(*ast.Ident)
		if !ok || groups[name.Name] == nil {
			continue
		}
		prefix := tagOf(section).Get("section")
		for _, f := range groups[name.Name].Fields.List {
			tag := tagOf(f)
			variable, _, _ := strings.Cut(tag.Get("env"), ",")
			meaning := strings.Join(strings.Fields(f.Doc.Text()), " ")
			if meaning == "" {
				t.Errorf("%s has no comment", variable)
			}
			r := row{variable: variable, def: tag.Get("default"), meaning: meaning, need: tag.Get("need")}
			if prefix != "" {
				r.key = prefix + "." + strings.ToLower(strings.TrimPrefix(variable, strings.ToUpper(prefix)+"_"))
			}
			if name, ok := f.Type.(*ast.Ident); ok && (name.Name == "Secret" || name.Name == "Headers") {
				r.meaning += " *Secret.*"
			}
			if tag.Get("later") != "" {
				r.meaning += " *Checked, and of no effect in this version.*"
			}
			list = append(list, r)
		}
	}
	return list
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
			def, key := "–", "–"
			switch {
			case r.need == "always":
				def = "**required**"
			case r.need == "platform":
				def = "**required**, not for `export`"
			case r.need == "login":
				def = "**required**, or an access token"
			case r.def != "":
				def = "`" + r.def + "`"
			}
			if r.key != "" {
				key = "`" + r.key + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.variable, key, def, strings.ReplaceAll(r.meaning, "|", `\|`))
		}
	}
	return b.String()
}

func TestTheReadmeShowsAllSettings(t *testing.T) {
	text := readRoot(t, "README.md")
	before, rest, ok := strings.Cut(text, tableStart)
	shown, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks the marks of the table of settings")
	}
	want := "\n" + table(rows(t)) + "\n"
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
