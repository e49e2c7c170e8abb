package internal_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// alarms are the messages of the warnings and errors that a file logs, as far as they
// are written out where they are logged.
func alarms(f file) (list []string) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		message := 1
		switch method.Sel.Name {
		case "WarnContext", "ErrorContext":
		case "LogAttrs":
			level, ok := call.Args[1].(*ast.SelectorExpr)
			if !ok || level.Sel.Name != "LevelWarn" && level.Sel.Name != "LevelError" {
				return true
			}
			message = 2
		default:
			return true
		}
		of := call.Args[message]
		if sum, ok := of.(*ast.BinaryExpr); ok {
			of = sum.X
		}
		if text, ok := of.(*ast.BasicLit); ok && text.Kind == token.STRING {
			if plain, err := strconv.Unquote(text.Value); err == nil {
				list = append(list, plain)
			}
		}
		return true
	})
	return list
}

func TestEachWarningAndErrorIsExplained(t *testing.T) {
	_, manual, ok := strings.Cut(read(t, "../docs/operations.md"), "\n## When the log says …\n")
	if !ok {
		t.Fatal("docs/operations.md has no table of log lines")
	}
	manual, _, _ = strings.Cut(manual, "\n## ")
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(manual, -1) {
		explained = append(explained, row[1])
	}
	seen := 0
	for _, f := range sources(t) {
		for _, line := range alarms(f) {
			seen++
			found := false
			for _, e := range explained {
				found = found || strings.HasPrefix(line, e)
			}
			if !found {
				t.Errorf("%s logs %q, which docs/operations.md does not explain", f.name, line)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d warnings and errors were seen", seen)
	}
}
