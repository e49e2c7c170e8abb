package mapping_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
)

// rendered is one text in each way in which the platform's front end calls its
// renderer.
type rendered map[string]string

// render shows Markdown with the renderer of the platform's front end. It fails
// under CI, and skips elsewhere, where that is not installed.
func render(t *testing.T, texts []string) []rendered {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		const cure = "run `npm ci` in internal/mapping/testdata/renderer (Node 20 or newer)"
		if os.Getenv("CI") != "" { //nolint:forbidigo // a test has no settings
			t.Fatalf("%s is missing: %s", what, cure)
		}
		t.Skipf("%s is missing: %s", what, cure)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("node")
	}
	if _, err := os.Stat("testdata/renderer/node_modules/react-markdown"); err != nil {
		missing("react-markdown")
	}
	var input bytes.Buffer
	encoder := json.NewEncoder(&input)
	for _, text := range texts {
		if err := encoder.Encode(text); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), node, "render.mjs")
	command.Dir = "testdata/renderer"
	command.Stdin = &input
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		t.Fatalf("render: %v\n%s", err, problems.String())
	}
	var all []rendered
	scanner := bufio.NewScanner(bytes.NewReader(output))
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var one rendered
		if err := json.Unmarshal(scanner.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		if len(one) != 3 {
			t.Fatalf("rendered in %d ways, want 3", len(one))
		}
		all = append(all, one)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(texts) {
		t.Fatalf("%d texts rendered, want %d", len(all), len(texts))
	}
	return all
}

// page is what a reader sees of a rendered text.
type page struct {
	text     strings.Builder
	problems []string
}

// read walks over rendered HTML. strict allows nothing but paragraphs, breaks,
// addresses and signs written as code; otherwise only what loads, runs or misleads
// is a problem.
func read(t *testing.T, source string, strict bool) *page {
	t.Helper()
	context := &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body}
	nodes, err := html.ParseFragment(strings.NewReader(source), context)
	if err != nil {
		t.Fatal(err)
	}
	var p page
	paragraphs := 0
	for _, node := range nodes {
		if node.Type == html.TextNode && strings.TrimSpace(node.Data) == "" {
			continue
		}
		if paragraphs++; paragraphs > 1 {
			p.text.WriteString("\n\n")
		}
		if strict && node.DataAtom != atom.P {
			p.problem("block that is no paragraph: " + node.Data)
		}
		p.walk(node, strict)
	}
	return &p
}

func (p *page) problem(text string) { p.problems = append(p.problems, text) }

var (
	harmless = map[atom.Atom]bool{atom.P: true, atom.Br: true, atom.A: true, atom.Code: true}
	// What a text that was cut in an unlucky place may still turn into.
	bearable = map[atom.Atom]bool{
		atom.Em: true, atom.Strong: true, atom.Del: true, atom.Ul: true, atom.Ol: true, atom.Li: true, atom.Pre: true, atom.Hr: true,
		atom.Blockquote: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Mark: true,
		atom.Table: true, atom.Thead: true, atom.Tbody: true, atom.Tr: true, atom.Th: true, atom.Td: true,
	}
	onlySigns = regexp.MustCompile(`^={2,}$`)
)

func (p *page) walk(node *html.Node, strict bool) {
	switch node.Type {
	case html.TextNode:
		p.text.WriteString(node.Data)
		return
	case html.ElementNode:
	default:
		p.problem("node that is neither element nor text")
		return
	}
	if !harmless[node.DataAtom] && (strict || !bearable[node.DataAtom]) {
		p.problem("element " + node.Data)
	}
	for _, attribute := range node.Attr {
		if node.DataAtom != atom.A || attribute.Key != "href" {
			if strict || attribute.Key != "class" && attribute.Key != "style" {
				p.problem("attribute " + attribute.Key + " of " + node.Data)
			}
		}
	}
	switch node.DataAtom {
	case atom.Br:
		p.text.WriteByte(0) // told apart from a line break that HTML swallows
	case atom.A:
		text := textOf(node)
		var target string
		for _, attribute := range node.Attr {
			target = attribute.Val
		}
		if !names(text, target) {
			p.problem("link " + text + " leads to " + target)
		}
	case atom.Code:
		if strict && !onlySigns.MatchString(textOf(node)) {
			p.problem("code " + textOf(node))
		}
	default: // judged above
	}
	for child := node.FirstChild; child != nil; child = child.NextSibling {
		p.walk(child, strict)
	}
}

func textOf(node *html.Node) string {
	if node.Type == html.TextNode {
		return node.Data
	}
	var b strings.Builder
	for child := node.FirstChild; child != nil; child = child.NextSibling {
		b.WriteString(textOf(child))
	}
	return b.String()
}

// names reports whether a link's text is its target, but for the scheme that GFM
// adds and for percent-encoding.
func names(text, target string) bool {
	text, target = unescape(text), unescape(target)
	return text == target || "http://"+text == target || "mailto:"+text == target
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func unescape(text string) string {
	return percent.ReplaceAllStringFunc(text, func(code string) string {
		var b byte
		for _, c := range strings.ToLower(code[1:]) {
			b = b<<4 | byte(strings.IndexRune("0123456789abcdef", c))
		}
		return string([]byte{b})
	})
}

// lines is what was seen, with no-break spaces as blanks.
func (p *page) lines() string {
	text := strings.ReplaceAll(p.text.String(), "\x00\n", "\x00")
	if strings.Contains(strings.ReplaceAll(text, "\n\n", ""), "\n") {
		p.problem("line break that HTML swallows")
	}
	text = strings.ReplaceAll(text, "\x00", "\n")
	return strings.ReplaceAll(text, "\u00a0", " ")
}

// seen is what a person can see of a message: the rules that [mapping.Inert] states,
// written down a second time.
func seen(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = regexp.MustCompile("\r\n|[\r\n\v\f\u0085\u2028\u2029]").ReplaceAllString(text, "\n")
	text = regexp.MustCompile("[\\x00-\\x08\\x0e-\\x1f\\x7f-\u0084\u0086-\u009f\ufeff\u202a-\u202e\u2066-\u2069]").ReplaceAllString(text, "")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\t", "    "), "\u00a0", " ")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
		if strings.TrimFunc(line, unicode.IsSpace) == "" {
			lines[i] = ""
		}
	}
	text = regexp.MustCompile(`\n{3,}`).ReplaceAllString(strings.Join(lines, "\n"), "\n\n")
	return strings.Trim(text, "\n")
}

// nasty are fragments of everything that a renderer of this family acts on.
var nasty = []string{
	"![x](http://evil.example/x.png)", "![", "!", "[", "]", "](", "(", ")", "[a](http://evil.example)", "[a][b]", "[a]: http://x.example", "[a]:", "[^1]", "[^1]: note",
	"*", "**", "***", "_", "__", "~", "~~", "~~~", "`", "``", "```", "```go", "=", "==", "===", "====", "=r=", "==x==",
	"#", "## ", "# x", "#x", "-", "--", "---", "- ", "- - -", "* * *", "+ ", "1.", "1. ", "12) ", "2024. ", ">", "> ", ">>> ",
	"|", "| a | b |", "|-|-|", "|---|:-:|", ":-", "a | b", "--|--", ":--", "\\", "\\\\", "\\*", "\\|", "&", "&amp;", "&#65;", "&#x41;", "&copy", "&lt;b&gt;", ";",
	"<", ">", "<b>", "</b>", "<!--", "-->", "<?php", "<![CDATA[", "<!DOCTYPE html>", "<img src=x onerror=alert(1)>", "<script>", "<http://x.example/a_b>", "<a@b.example>", "<div", "<pre>", "<3",
	"http://x.example", "https://x.example/a_b/_c_/*d*", "HTTPS://X.EXAMPLE/?a=1&b=2", "http://x.example/?q=YWJj==&r=ZGVm==", "http://x.example/a(b)c", "http://x.example/~u/~v",
	"http://x.example/\\_", "http://x.example/`a`", "http://x.example/<b>", "http://x.example/&lt;", "http://", "<https://x.example/a>", "<http://x.example/_a_>.", "www.x.example/_a_", "www.", "ahttp://x.example", "ftp://x.example/_a_",
	"a@b.example", "a_b@c.example", "_a_@b.example", "mailto:a@b.example", "xmpp:a@b.example/c", "javascript:alert(1)", "data:text/html,x", "hxxp://evil[.]com/a", "evil[.]com", "1.2.3[.]4",
	"C:\\x\\y", "\\\\server\\share", "snake_case_name", "_x_", "*.exe", "*.dll", "a*b*c", "2*3", "x == y", "a==b==c", "YWJj==", "{}", "$x$", "\"q\"", "'", "(c)", ":smile:", "@alice:example.org",
	"\n", "\n\n", "\n\n\n", "\r\n", "\r", "\t", " ", "  ", "    ", "     x", "\u00a0", "\u2028", "\u0000", "\u0001", "\u001b[31m", "\ufeff", "\u200b", "\u200d", "\u202e", "\u2066",
	"é", "世界", "😀", "👨‍👩‍👧", "ß", "İ", "ʰ", "«", "»", "€", "ا", "\U000E0041", "\ufffd", "\ufffe", "x", "word", "two words", "x1", "9", "Z",
}

// corpus are texts worth naming; the fuzzed ones come on top.
var corpus = []string{
	"", " ", "\n", "hello", "hello  world", "  indented\n\tcode()\n  more", "line one\nline two\n\nline four\n\n\n\nline eight  \n",
	"![p](http://x/y.png)", "![x][r]\n\n[r]: http://x/y.png", "!\\[x](http://x/y.png)", "[bank](http://evil.example)", "[x]: http://evil.example \"t\"", "[x]:\n<http://evil.example>", "[multi\nline]: /x",
	"[^1] and\n\n[^1]: hidden note", "# not a heading", "#channel", "1. one\n2. two", "1986. A great year", "- a\n- b", "+ a", "* a", "> quoted\nnot quoted", "Heading\n=======", "Heading\n---", "a\n=\nb", "***", "_ _ _",
	"| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n--|--", "a\n:-", "a\n-:", "    code", "```\ncode\n```", "~~~\ncode\n~~~", "``` a ` b", "`code`", "`` ` ``", "a ` b ` c ` d", "\\`a`", "*em* **strong** _em_ __strong__ ~~del~~ ~d~",
	"snake_case_name and _private and __init__.py", "*.exe and *.dll", "a*b*c*d", "5 * 3 * 2", "**/*.go", "~/bin and ~/lib", "~5 to ~7", "C:\\x\\y\\_z", "\\\\server\\share\\*", "end\\", "end\\\nnext", "\\# \\* \\\\",
	"&amp; &#65; &#x41; &nope; &copy &copy;", "AT&T; x", "<b>bold</b>", "<!-- hidden -->", "<!--\nhidden\n-->", "<script>alert(1)</script>", "<http://a.example/b>", "<a@b.example>", "a < b > c", "<3", "<-", "->", "<div>\n\n*x*\n</div>",
	"http://x.example/a_b_c", "see https://x.example/_a_/b*c*, and (http://y.example/z).", "http://x.example/?a=1&b=2&copy=3;", "http://x.example/?q=YWJj==&r=ZGVm==", "www.x.example/_a_b_", "www.example", "a_b@c.example, _a_@c.example",
	"hxxp://evil[.]com/path[.]php?x=1", "hxxps[:]//evil[.]com", "1[.]2[.]3[.]4 evil(.)com evil{.}com", "http://x.example/\\_a", "http://x.example/a\\", "http://x.example/<b>&lt;", "http://x.example/`a` `b`", "http://www.x.example/http://y_.example/_",
	"if (a==b && c==d) return", "==marked==", "=r=red==", "======", "a\n======\nb", "====\n====", "YWJj==\nZGVm==", "x == y and y == z", "`==a==`", "==`a`==", "a\\==b==", "=x= ==", "http://x.example/?a==b==c",
	"password: `hunter2*`", "regex: ^[a-z]+\\.(exe|dll)$ and \\d+\\_x", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "HKLM\\Software\\Microsoft\\*", "\u202egpj.exe", "evil\u202e.com", "a\u2028b\u2029c\u0085d\ve\ff",
	"zero\u200bwidth", "\ufeffbom", "nul\u0000 bell\u0007 esc\u001b[0m", "tab\tinside\t\ttwo", "\u00a0nbsp\u00a0", "\u3000", "a\n\u3000\nb", "العربية *مائل* \u200f", "😀*a*😀", "*😀*", "«*a*»", "a*«b»*c", "€*x*€", "_€_a_", "**€**b", "~€~b",
	"@room: *please* look", "- [ ] task\n- [x] done", "Term\n: definition", "$$\nx\n$$", ":::note\nx\n:::", "---\ntitle: x\n---", "a  \nb\\\nc", "trailing   ", "   leading", "*.exe\n***\n__", "_x\n___", "*\n_\n~\n`\n-\n+\n=\n#\n>\n|", "1)\n2)", "\\", "\\\\", "[", "]", "](", "![](", "!", "&", ";", "|",
}

// More texts, and others, for an hour with nothing better to do.
var (
	seed        = flag.Uint64("seed", 20260318, "seed of the fuzzed texts")
	fuzzedTexts = flag.Int("texts", 5000, "how many fuzzed texts go through the renderer")
)

// fuzzed makes texts of nasty fragments, the same ones for the same seed.
func fuzzed(n int) []string {
	random := rand.New(rand.NewPCG(*seed, 3))
	joints := []string{"", "", "", " ", " ", "\n", "\n\n", "a", "."}
	texts := make([]string, n)
	for i := range texts {
		var b strings.Builder
		for range 1 + random.IntN(14) {
			b.WriteString(nasty[random.IntN(len(nasty))])
			b.WriteString(joints[random.IntN(len(joints))])
		}
		texts[i] = b.String()
	}
	return texts
}

func TestInertTextIsShownAsItWasWritten(t *testing.T) {
	texts := append(append([]string(nil), corpus...), fuzzed(*fuzzedTexts)...)
	inert := make([]string, len(texts))
	for i, text := range texts {
		inert[i] = mapping.Inert(text)
	}
	failures := 0
	for i, ways := range render(t, inert) {
		for way, source := range ways {
			p := read(t, source, true)
			got, want := p.lines(), seen(texts[i])
			if got == want && len(p.problems) == 0 {
				continue
			}
			if failures++; failures <= 12 {
				t.Errorf("%s renders %q\nas Markdown %q\nas HTML     %q\nseen        %q\nwant        %q\nproblems    %q", way, texts[i], inert[i], source, got, want, p.problems)
			}
		}
	}
	if failures > 12 {
		t.Errorf("%d texts are not shown as they were written", failures)
	}
}

// TestCutTextStaysHarmless: lists show the beginning of a content, cut anywhere.
func TestCutTextStaysHarmless(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var cut []string
	for _, text := range append(append([]string(nil), corpus...), fuzzed(1000)...) {
		runes := []rune(mapping.Inert(text))
		if len(runes) > 1 {
			cut = append(cut, string(runes[:1+random.IntN(len(runes)-1)])+"...")
		}
	}
	for i, ways := range render(t, cut) {
		for way, source := range ways {
			if p := read(t, source, false); len(p.problems) > 0 {
				t.Errorf("%s renders %q as %q: %q", way, cut[i], source, p.problems)
			}
		}
	}
}

func TestAnAddressInBracketsCanBeFollowed(t *testing.T) {
	texts := []string{"see <https://x.example/a>", "<https://x.example/a>, and", "(<https://x.example/a>.)\n<https://x.example/a>"}
	inert := make([]string, len(texts))
	for i, text := range texts {
		inert[i] = mapping.Inert(text)
	}
	for i, ways := range render(t, inert) {
		if strings.Count(ways["platform"], `href="https://x.example/a"`) < strings.Count(texts[i], "<")-strings.Count(texts[i], ".)") {
			t.Errorf("%q is shown as %q", texts[i], ways["platform"])
		}
	}
}

// TestRendererIsWorthTesting shows that the renderer does what Inert prevents.
func TestRendererIsWorthTesting(t *testing.T) {
	texts := map[string]string{
		"![p](http://x.example/y.png)":        "element img",
		"[bank](http://evil.example)":         "link bank leads to http://evil.example",
		"*a*":                                 "element em",
		"# a":                                 "block that is no paragraph: h1",
		"a\nb":                                "line break that HTML swallows",
		"| a | b |\n|---|---|\n| 1 | 2 |":     "element table",
		"==a==":                               "element mark",
		"[x]: http://evil.example\n\nvisible": "",
	}
	var list []string
	for text := range texts {
		list = append(list, text)
	}
	for i, ways := range render(t, list) {
		p := read(t, ways["platform"], true)
		lines := p.lines()
		if want := texts[list[i]]; want == "" {
			if lines != "visible" {
				t.Errorf("%q shows %q, want its definition to vanish", list[i], lines)
			}
		} else if !strings.Contains(strings.Join(p.problems, "\n"), want) {
			t.Errorf("%q has the problems %q, want %q", list[i], p.problems, want)
		}
	}
}
