package mapping_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
)

func TestWhatIsHarmlessReadsAsItWasWritten(t *testing.T) {
	for _, text := range []string{
		"Hello, world", "evil[.]com and 1[.]2[.]3[.]4", "hxxp://evil[.]com/a", `C:\Users\x\y`, "*.exe and *.dll", "snake_case_name", "5 * 3", "__main__", "a_b@c.example",
		"https://x.example/a_b?c=d&e=f#g", "http://x.example/~user/", "see www.x.example.", "AT&T", "a < b > c", "<3", "#channel", "-1", "1.5", "[12:03] hi", "e3b0c442==", "x == y", "~5",
		"(c) [a][b] [^1]", "50% | 3", "a ` b", "!important", "Größe 世界 😀", "$HOME", "regex [a-z]+\\d+\\w",
	} {
		if text == "__main__" {
			continue // two runs make emphasis: one of them must be escaped
		}
		if got := mapping.Inert(text); got != text {
			t.Errorf("Inert(%q) = %q, want it unchanged", text, got)
		}
	}
}

func TestInert(t *testing.T) {
	for text, want := range map[string]string{
		"![p](http://x/y.png)": `!\[p]\(http://x/y.png)`,
		"[bank](http://e.x)":   `[bank]\(http://e.x)`,
		"[x]: http://e.x":      `\[x]: http://e.x`,
		"a\nb":                 "a  \nb",
		"a\n\n\n\nb":           "a\n\nb",
		"\n  a  b\t\n":         "\u00a0\u00a0a \u00a0b",
		"# a":                  `\# a`,
		"1. a":                 `1\. a`,
		"__main__":             `\_\_main__`,
		"`a`":                  "\\`a`",
		"a\n---":               "a  \n\\---",
		"|a|\n|-|":             "|a|  \n\\|-|",
		`\\server\*`:           `\\\server\\*`,
		"&amp;":                `\&amp;`,
		"<b>":                  `\<b>`,
		"http://x.y/_a_":       `http\://x.y/\_a_`,
		"İ HTTPS://X.Y/_a_":    `İ HTTPS\://X.Y/\_a_`,
		"a==b==c":              "a`==`b`==`c",
		"<http://x.y/a>, b":    `\<http://x.y/a&gt;, b`,
		"":                     "",
		" \n\t":                "",
		"\u202egpj.exe\u0000":  "gpj.exe",
		"a\xffb":               "a\ufffdb",
	} {
		if got := mapping.Inert(text); got != want {
			t.Errorf("Inert(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzInert(f *testing.F) {
	for _, text := range corpus {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inert := mapping.Inert(text)
		if !utf8.ValidString(inert) {
			t.Fatalf("Inert(%q) is no UTF-8", text)
		}
		if strings.Contains(inert, "![") {
			t.Fatalf("Inert(%q) = %q may hold an image", text, inert)
		}
		// Taking escapes, code fences and breaks away gives back what was seen.
		var b strings.Builder
		for i := 0; i < len(inert); i++ {
			switch c := inert[i]; {
			case c == '\\' && i+1 < len(inert) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", inert[i+1]) >= 0:
				i++
				b.WriteByte(inert[i])
			case strings.HasPrefix(inert[i:], "&gt;"): // one that was written is escaped
				i += len("&gt;") - 1
				b.WriteByte('>')
			case c == '`' && (strings.HasPrefix(inert[i+1:], "==") || i >= 2 && inert[i-2:i] == "=="):
			default:
				b.WriteByte(c)
			}
		}
		got := strings.ReplaceAll(strings.ReplaceAll(b.String(), "  \n", "\n"), "\u00a0", " ")
		want := seen(text)
		if strings.Contains(text, "`") && strings.Contains(text, "==") {
			return // a backtick beside signs cannot be told from a fence here; the renderer's test can
		}
		if got != want {
			t.Fatalf("Inert(%q) = %q\nshows %q\nwant  %q", text, inert, got, want)
		}
	})
}

func TestOneLine(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"  a \n\t b\u2028c ", 20, "a b c"},
		{"a\u202eb\u0000c", 20, "abc"},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abcde…"},
		{"ab cdefg", 4, "ab…"},
		{"abc defg", 4, "abc…"},
		{"😀😀😀", 2, "😀…"},
		{"", 5, ""},
		{"\n\n", 5, ""},
	} {
		got := mapping.OneLine(test.text, test.limit)
		if got != test.want {
			t.Errorf("OneLine(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
		if utf8.RuneCountInString(got) > test.limit {
			t.Errorf("OneLine(%q, %d) has %d characters", test.text, test.limit, utf8.RuneCountInString(got))
		}
	}
}
