package image

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Instruction is one instruction of a Dockerfile: FROM, RUN and so on.
type Instruction struct {
	Name string // in capitals
	Rest string // on one line
}

// Parse reads a Dockerfile.
func Parse(text string) []Instruction {
	var list []Instruction
	var open strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		part, goesOn := strings.CutSuffix(line, `\`)
		open.WriteString(strings.TrimSpace(part) + " ")
		if goesOn {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(open.String()), " ")
		list = append(list, Instruction{Name: strings.ToUpper(name), Rest: strings.TrimSpace(rest)})
		open.Reset()
	}
	return list
}

// words splits an instruction's rest and leaves out its flags, which are returned
// by name.
func (i Instruction) words() (words []string, flags map[string]string) {
	flags = map[string]string{}
	for w := range strings.FieldsSeq(i.Rest) {
		if flag, ok := strings.CutPrefix(w, "--"); ok && len(words) == 0 {
			name, value, _ := strings.Cut(flag, "=")
			flags[name] = value
			continue
		}
		words = append(words, w)
	}
	return words, flags
}

// list reads the JSON form of an instruction: ["program", "argument"].
func (i Instruction) list() ([]string, error) {
	_, rest, ok := strings.Cut(i.Rest, "[")
	if !ok {
		return nil, fmt.Errorf("%s %s: not a list; an image without a shell has no other form", i.Name, i.Rest)
	}
	var list []string
	if err := json.Unmarshal([]byte("["+rest), &list); err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return list, nil
}

// ignored reads a .dockerignore file. It tells whether a path, relative and with
// slashes, is kept from the build.
func ignored(text string) func(path string) bool {
	var patterns []*regexp.Regexp
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSpace(line), "/")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		expression := regexp.QuoteMeta(line)
		expression = strings.ReplaceAll(expression, `\*\*/`, `(.*/)?`)
		expression = strings.ReplaceAll(expression, `\*`, `[^/]*`)
		// What lies in a folder that is left out is left out with it.
		patterns = append(patterns, regexp.MustCompile("^"+expression+"(/.*)?$"))
	}
	return func(path string) bool {
		for _, p := range patterns {
			if p.MatchString(path) {
				return true
			}
		}
		return false
	}
}
