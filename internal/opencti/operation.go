package opencti

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed graphql/operations.graphql
var operationsText string

//go:embed graphql/since-6.5.7.graphql
var newerText string

// operations are the documents of graphql/operations.graphql by their name, newer
// those that only newer platforms know.
var (
	operations = splitOperations(operationsText)
	newer      = splitOperations(newerText)
)

// splitOperations cuts a file of named operations into one document each. An
// operation starts at the beginning of a line and reaches to the next one.
func splitOperations(text string) map[string]string {
	docs := map[string]string{}
	var name string
	var doc strings.Builder
	flush := func() {
		if name != "" {
			docs[name] = strings.TrimSpace(doc.String())
		}
		doc.Reset()
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, kind := range []string{"query ", "mutation "} {
			if rest, ok := strings.CutPrefix(line, kind); ok {
				flush()
				name, _, _ = strings.Cut(rest, "{")
				name, _, _ = strings.Cut(name, "(")
				name = strings.TrimSpace(name)
			}
		}
		doc.WriteString(line)
	}
	flush()
	return docs
}

// document returns the text of an operation. An unknown name is a mistake of
// ours.
func document(name string) string {
	doc, ok := operations[name]
	if !ok {
		doc, ok = newer[name]
	}
	if !ok {
		panic(fmt.Sprintf("opencti: no operation %q in operations.graphql", name))
	}
	return doc
}
