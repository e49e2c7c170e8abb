package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// codeOf is what stands in a page as code: fenced blocks line by line, and spans.
func codeOf(page string) (lines []string) {
	inside := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
			continue
		}
		if inside {
			lines = append(lines, strings.TrimSpace(line))
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
			lines = append(lines, m[1])
		}
	}
	return lines
}

// command is a call of the program, with what follows.
var command = regexp.MustCompile(`(?:^|[ /])matrix-connector ([a-z]+)(?:$|\s([^|;&#]*))`)

// notOurs are words that follow the program's name where it is something else's
// argument.
var notOurs = regexp.MustCompile(`(?:install|systemctl|--namespace|--unit|create namespace|-t) .*matrix-connector`)

func TestCommandsAndOptionsInTheManualExist(t *testing.T) {
	seen := 0
	for _, page := range pages(t) {
		for _, line := range codeOf(read(t, page)) {
			if notOurs.MatchString(line) {
				continue
			}
			for _, m := range command.FindAllStringSubmatch(line, -1) {
				seen++
				help, err := os.ReadFile(filepath.Join("cli", "help", m[1]+".txt"))
				if m[1] == "help" {
					continue
				}
				if err != nil {
					t.Errorf("%s has %q, and there is no command %s", page, line, m[1])
					continue
				}
				for _, option := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(m[2], -1) {
					if !strings.Contains(string(help), option) {
						t.Errorf("%s has %q, and %s has no option %s", page, line, m[1], option)
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were seen", seen)
	}
}

func TestEachCommandIsInTheReadme(t *testing.T) {
	help, err := filepath.Glob("cli/help/*.txt")
	if err != nil || len(help) < 5 {
		t.Fatalf("%v, %v", help, err)
	}
	_, table, _ := strings.Cut(read(t, "../README.md"), "\n## Commands\n")
	for _, page := range help {
		name := strings.TrimSuffix(filepath.Base(page), ".txt")
		if name != "matrix-connector" && !strings.Contains(table, "`matrix-connector "+name) {
			t.Errorf("the README's table lacks %s", name)
		}
	}
}

func TestTargetsOfMakeInTheManualExist(t *testing.T) {
	makefile := read(t, "../Makefile")
	for _, page := range pages(t) {
		for _, line := range codeOf(read(t, page)) {
			for _, m := range regexp.MustCompile(`(?:^|[ (&])make ([a-z0-9-]+)`).FindAllStringSubmatch(line, -1) {
				if !strings.Contains(makefile, "\n"+m[1]+":") {
					t.Errorf("%s has %q, and there is no target %s", page, line, m[1])
				}
			}
		}
	}
}

// anchors are those of a page's headings, as GitHub makes them: in small letters,
// without punctuation, with a dash for each blank.
func anchors(page string) map[string]bool {
	list := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		list[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsNumber(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, m[1])] = true
	}
	return list
}

func TestLinksIntoPagesLeadToAHeading(t *testing.T) {
	seen := 0
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^):#]*)#([^)]+)\)`).FindAllStringSubmatch(read(t, page), -1) {
			seen++
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), m[1])
			}
			if !anchors(read(t, target))[m[2]] {
				t.Errorf("%s links to #%s of %s, which has no such heading", page, m[2], target)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d links were seen", seen)
	}
}
