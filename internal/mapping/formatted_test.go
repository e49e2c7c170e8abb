package mapping_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/matrix-connector/matrix-connector/internal/mapping"
	"github.com/matrix-connector/matrix-connector/internal/markup"
)

func TestFormatted(t *testing.T) {
	for source, want := range map[string]string{
		"a <b>bold</b> <i>word</i>, <del>gone</del> <code>x_y</code>": "a **bold** *word*, ~~gone~~ `x_y`",
		"<b> a </b>b":                                      "**a** b",
		"a<b>(b)</b>c":                                     "a(b)c",
		"<b>snake_case</b> *star* _a_":                     `**snake_case** \*star\* \_a\_`,
		"<b>a</b><i>b</i>":                                 "**a**b",
		"<b>http://x.example/a</b>":                        "http://x.example/a",
		"<code>a`b</code>, <code>`</code>":                 "``a`b``, `` ` ``",
		"<h2># a #</h2>b":                                  "## \\# a \\#\n\nb",
		"a<br>b<br><br># c":                                "a  \nb\n\n\\# c",
		"<ul><li>a<ol start=7><li>b</ol><li>[ ] c</ul>":    "- a\n\n  7. b\n- \\[ ] c",
		"<ul><li>a</ul><ul><li>b</ul><ul><li>c</ul>":       "- a\n\n+ b\n\n- c",
		"<ul><li></ul>":                                    "- \u00a0",
		"<blockquote>a<br>b<pre>c\n\nd</pre></blockquote>": "> a  \n> b\n>\n> ```\n> c\n> \n> d\n> ```",
		"<pre><code class=language-go>``` ![a](http://x)</code></pre>":                "````go\n``` ![a](http://x)\n````",
		"<table><tr><th>a|b<th><code>c</code><tr><td>![x](http://y.example/)</table>": "| a\\|b | `c` |  \n| --- | --- |  \n| !\\[x]\\(http://y.example/) |",
		"a<hr>b":                       "a\n\n___\n\nb",
		"<img src=http://x/y alt=cat>": "cat",
		"<code>![a](b)</code> and <code>c</code>": `!\[a]\(b) and ` + "`c`",
		"<b>a == b</b> ==c==":                     "a `==` b `==`c`==`",
	} {
		if got := mapping.Formatted(markup.Parse(source)); got != want {
			t.Errorf("%s gives %q, want %q", source, got, want)
		}
	}
}

// tags are what the fuzzed HTML is made of, with the nasty texts of Markdown.
var tags = []string{
	"<b>", "</b>", "<i>", "</i>", "<del>", "</del>", "<code>", "</code>", "<u>", "</u>", "<sup>", "</sup>", "<h1>", "</h1>", "<h3>", "</h3>", "<p>", "</p>", "<br>", "<br>", "<hr>",
	"<ul>", "</ul>", "<ol>", "<ol start=9>", "</ol>", "<li>", "<li>", "</li>", "<li value=3>", "<blockquote>", "</blockquote>", "<pre>", "</pre>", "<pre><code class=language-go>", "</code></pre>",
	"<table>", "</table>", "<tr>", "<td>", "<th>", "</td>", "</tr>", "<details><summary>", "</summary>", "</details>", "<a href=\"https://x.example/_a_?b=*c*\">", "<a href='https://matrix.to/#/@a_b:c.example'>", "</a>",
	"<span data-mx-spoiler>", "<span data-mx-spoiler='*why*'>", "</span>", "<img src='http://evil.example/x.png' alt='![a](http://evil.example/x.png)'>", "<script>", "</script>", "<mx-reply>", "</mx-reply>", "<div>", "</div>",
	"&nbsp;", "&lt;", "&amp;", "&#91;", "&#33;", "&#42;", "&#96;", "&#x202e;", "&#13;", "<b", "<!--", "-->", "<svg>", "</svg>",
}

// fuzzedHTML makes HTML texts, the same ones for the same seed.
func fuzzedHTML(n int) []string {
	random := rand.New(rand.NewPCG(*seed, 9))
	texts := make([]string, n)
	for i := range texts {
		var b strings.Builder
		for range 1 + random.IntN(22) {
			if random.IntN(5) < 3 {
				b.WriteString(tags[random.IntN(len(tags))])
			} else {
				text := nasty[random.IntN(len(nasty))]
				if random.IntN(2) == 0 {
					text = html.EscapeString(text)
				}
				b.WriteString(text)
			}
			b.WriteString([]string{"", "", " ", "a", "\n"}[random.IntN(5)])
		}
		texts[i] = b.String()
	}
	return texts
}

func TestFormattedTextIsHarmlessAndWhole(t *testing.T) {
	texts := fuzzedHTML(*fuzzedTexts / 4)
	around := []string{"b", "i", "del", "code", "h2", "li", "ul><li", "blockquote", "pre", "table><tr><td"}
	for i, text := range append(append([]string(nil), corpus...), fuzzed(*fuzzedTexts/20)...) {
		tag := around[i%len(around)]
		texts = append(texts, "<"+tag+">"+html.EscapeString(text), "a<"+tag+">"+html.EscapeString(text)+"</"+tag+">b")
	}
	markdown := make([]string, len(texts))
	want := make([]string, len(texts))
	for i, text := range texts {
		document := markup.Parse(text)
		markdown[i] = mapping.Formatted(document)
		var b strings.Builder
		said(&b, document.Blocks)
		want[i] = b.String()
	}
	failures := 0
	for i, ways := range render(t, markdown) {
		for way, source := range ways {
			p := readFormatted(t, source, way != "commonmark")
			got := unseen(p.text.String())
			if len(p.problems) == 0 && (got == unseen(want[i]) || way == "commonmark" && holds(got, unseen(want[i]))) {
				continue
			}
			if failures++; failures <= 8 {
				t.Errorf("%s renders %q\nas Markdown %q\nas HTML     %q\nseen        %q\nwant        %q\nproblems    %q", way, texts[i], markdown[i], source, got, unseen(want[i]), p.problems)
			}
		}
	}
	if failures > 8 {
		t.Errorf("%d texts are not shown as they should be", failures)
	}
}

// TestCutFormattedTextStaysHarmless: as with [TestCutTextStaysHarmless], a text may be
// shown up to any place.
func TestCutFormattedTextStaysHarmless(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 11))
	texts := fuzzedHTML(*fuzzedTexts / 5)
	for _, text := range append(append([]string(nil), nasty...), corpus...) {
		texts = append(texts, "<code>"+html.EscapeString(text)+"</code> and <b>more</b>")
	}
	var cut []string
	for _, text := range texts {
		if runes := []rune(mapping.Formatted(markup.Parse(text))); len(runes) > 1 {
			cut = append(cut, string(runes[:1+random.IntN(len(runes)-1)])+"...")
		}
	}
	for i, ways := range render(t, cut) {
		for way, source := range ways {
			p := readFormatted(t, source, false)
			p.problems = slices.DeleteFunc(p.problems, func(problem string) bool { // the platform's marker, which is bearable
				return problem == "element mark" || strings.HasPrefix(problem, "attribute class of mark") || problem == "attribute style of mark"
			})
			if len(p.problems) > 0 {
				t.Errorf("%s renders %q as %q: %q", way, cut[i], source, p.problems)
			}
		}
	}
}

// said is the text of blocks, without the marks that a renderer makes of its own.
func said(b *strings.Builder, blocks []markup.Block) {
	for _, block := range blocks {
		for _, line := range block.Lines {
			b.WriteString(line.Plain() + "\n")
		}
		for _, row := range block.Rows {
			for _, cell := range row {
				b.WriteString(cell.Plain() + "\n")
			}
		}
		said(b, block.Blocks)
		for _, item := range block.Items {
			said(b, item)
		}
	}
}

// unseen leaves out what cannot be seen, blanks included.
func unseen(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == 0 {
			return -1
		}
		return r
	}, seen(text))
}

// holds reports whether a text has the characters of another one in their order.
func holds(text, other string) bool {
	for _, r := range other {
		i := strings.IndexRune(text, r)
		if i < 0 {
			return false
		}
		text = text[i+len(string(r)):]
	}
	return true
}

// readFormatted walks over rendered HTML. Of what the platform could show it allows
// what [mapping.Formatted] means to write.
func readFormatted(t *testing.T, source string, gfm bool) *page {
	t.Helper()
	nodes, err := html.ParseFragment(strings.NewReader(source), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		t.Fatal(err)
	}
	var p page
	for _, node := range nodes {
		p.walkFormatted(node, gfm, false)
	}
	return &p
}

func (p *page) walkFormatted(node *html.Node, gfm, code bool) {
	if node.Type == html.TextNode {
		p.text.WriteString(node.Data)
		said := node.Data
		if node.PrevSibling != nil {
			said = strings.TrimPrefix(said, "\n") // after a break or a block
		}
		if gfm && !code && strings.TrimSpace(said) != "" && strings.Contains(said, "\n") {
			p.problem("line break that HTML swallows in " + node.Data)
		}
		return
	}
	if node.Type != html.ElementNode || !harmless[node.DataAtom] && !bearable[node.DataAtom] || node.DataAtom == atom.Mark {
		p.problem("element " + node.Data)
	}
	for _, attribute := range node.Attr {
		switch {
		case node.DataAtom == atom.A && attribute.Key == "href":
			if text := textOf(node); !names(text, attribute.Val) {
				p.problem("link " + text + " leads to " + attribute.Val)
			}
		case node.DataAtom == atom.Ol && attribute.Key == "start", node.DataAtom == atom.Code && attribute.Key == "class":
		default:
			p.problem("attribute " + attribute.Key + " of " + node.Data)
		}
	}
	for child := node.FirstChild; child != nil; child = child.NextSibling {
		p.walkFormatted(child, gfm, code || node.DataAtom == atom.Pre)
	}
}
