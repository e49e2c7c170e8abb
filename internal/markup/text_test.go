package markup_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/markup"
)

// cases are HTML texts as clients send them, and worse, with what they say.
var cases = []struct{ name, html, want string }{
	{"words in styles are words", "a <b>bold</b>, <i>leaning</i> and <code>coded</code> <u>text</u>", "a bold, leaning and coded text"},
	{"blanks and line breaks of the source count once", "a\n  b\t<b> c</b> d", "a b c d"},
	{"a line break breaks the line", "a<br>b<br/>c</br>d", "a\nb\nc\nd"},
	{"two line breaks are an empty line", "a<br><br><br>b", "a\n\nb"},
	{"paragraphs stand apart", "<p>a</p><p>b</p>c", "a\n\nb\n\nc"},
	{"paragraphs need no end", "<p>a<p>b<div>c</div>d", "a\n\nb\n\nc\n\nd"},
	{"headings are lines", "<h1>Title</h1>text<h6>low<br>er</h6>", "Title\n\ntext\n\nlow er"},
	{"a list has marks", "<ul><li>a</li><li>b</li></ul>", "- a\n- b"},
	{"a numbered list has numbers", "<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"},
	{"numbers begin where they are said to", `<ol start="9"><li>a</li><li>b</li></ol>`, "9. a\n10. b"},
	{"a number out of turn counts", `<ol><li>a</li><li value="7">b</li><li>c</li></ol>`, "1. a\n\n7. b\n8. c"},
	{"absurd numbers are bounded", `<ol start="-9223372036854775808"><li>x</ol><ol start="99999999999999999999"><li>y</ol>`, "0. x\n\n1. y"},
	{"lists lie in lists", "<ul><li>a<ol><li>b</li></ol></li><li>c</li></ul>", "- a\n  1. b\n- c"},
	{"a list lies in a list without an item of its own", "<ul><li>a</li><ul><li>b</li></ul></ul>", "- a\n  - b"},
	{"items need no end", "<ul><li>a<li>b<ul><li>c</ul><li>d</ul>e", "- a\n- b\n  - c\n- d\n\ne"},
	{"an item without a list is a line", "<li>a</li><li>b</li>", "a\n\nb"},
	{"an item can be empty", "<ul><li></li><li>b</li></ul>", "- \n- b"},
	{"an item can hold paragraphs", "<ul><li><p>a</p><p>b</p></li></ul>", "- a\n\n  b"},
	{"a quote is marked", "<blockquote>a<br>b</blockquote>c", "> a\n> b\n\nc"},
	{"quotes lie in quotes", "<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b"},
	{"code keeps its lines and blanks", "<pre><code class=\"language-go\">func f() {\n\n\n\treturn\n}\n</code></pre>", "func f() {\n\n\n\treturn\n}"},
	{"code keeps what is nested in it", "<pre>a\n<b>b</b><br>c</pre>d", "a\nb\nc\n\nd"},
	{"a table has columns", "<table><thead><tr><th>Host</th><th>IP</th></tr></thead><tbody><tr><td>a</td><td>1.2.3.4</td></tr></tbody></table>", "Host | IP\na | 1.2.3.4"},
	{"cells and rows need no end", "<table><tr><td>a<td>b<tr><td>c</table>d", "a | b\nc\n\nd"},
	{"a cell without a row has one", "<table><td>a<td>b</table>", "a | b"},
	{"text beside cells stands before the table", "<table><caption>c</caption>x<tr><td>a</td></tr></table>", "c\n\nx\n\na"},
	{"a table that holds more than lines falls apart", "<table><tr><td>a</td><td><ul><li>b</li></ul></td></tr></table>", "a\n\n- b"},
	{"a table lies in a table", "<table><tr><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>", "a | b"},
	{"a rule is a line", "a<hr>b", "a\n\n---\n\nb"},
	{"what names details is a line", "<details><summary>s</summary>more</details>", "s\n\nmore"},
	{"what was struck out is marked", "we do <del>not</del> trust <s>x<b>y</b></s>", "we do ~~not~~ trust ~~xy~~"},
	{"high and low text is marked", "10<sup>6</sup> H<sub>2</sub>O x<sup>a b</sup> <sup></sup>", "10^6 H_2O x^(a b)"},

	{"a link with other words tells its target", `<a href="https://evil.example/x">bank</a>!`, "bank (https://evil.example/x)!"},
	{"a link that looks like another tells its target", `<a href="https://evil.example/">https://bank.example</a>`, "https://bank.example (https://evil.example/)"},
	{"a link that names its target does not repeat it", `<a href="https://x.example/">x.example</a> <a href="mailto:a@b.example">a@b.example</a> <a href="HTTPS://X.example/Y">https://x.example/Y</a>`, "x.example a@b.example https://x.example/Y"},
	{"the path of a target counts", `<a href="https://x.example/Y">x.example/y</a>`, "x.example/y (https://x.example/Y)"},
	{"a link of a kind that nobody follows is its text", `<a href="javascript:alert(1)">x</a> <a href="data:text/html,x">y</a> <a href="//z">z</a> <a>w</a>`, "x y z w"},
	{"other kinds of targets are told", `<a href="magnet:?xt=urn:btih:1">a</a> <a href="ftp://x/y">b</a> <a href="mailto:c@d.example">c</a>`, "a (magnet:?xt=urn:btih:1) b (ftp://x/y) c (mailto:c@d.example)"},
	{"a target cannot leave its brackets", "<a href=\"https://x.example/> not\n a&#x202e; target\">x</a>", "x (https://x.example/%3E%20not%20a%E2%80%AE%20target)"},
	{"an empty link is its target", `<a href="https://x.example"></a>`, "(https://x.example)"},
	{"parentheses of a target that do not match are encoded", `<a href="https://x.example/a_(b)">x</a> <a href="https://x.example/a)b">y</a>`, "x (https://x.example/a_(b)) y (https://x.example/a%29b)"},
	{"a link in a link ends it", `<a href="https://a.example">a<a href="https://b.example">b</a>`, "a (https://a.example)b (https://b.example)"},
	{"a mention says whom it means", `<a href="https://matrix.to/#/@alice:example.org">Alice</a>: hi`, "Alice (@alice:example.org): hi"},
	{"a mention by id says it once", `<a href="https://matrix.to/#/%40alice%3Aexample.org">@alice:example.org</a>`, "@alice:example.org"},
	{"a mention by matrix address", `<a href="matrix:u/alice:example.org?action=chat">Alice</a> in <a href="matrix:r/room:example.org">Room</a>`, "Alice (@alice:example.org) in Room (#room:example.org)"},
	{"a room and an event in it", `<a href="https://matrix.to/#/!r:example.org/$e?via=example.org">this</a> <a href="matrix:roomid/r:x/e/ev">that</a>`, "this (!r:example.org/$e) that (!r:x/$ev)"},
	{"what is no mention is a link", `<a href="https://matrix.to/#/nobody">x</a> <a href="https://matrix.to/#/@a:b/$c">y</a>`, "x (https://matrix.to/#/nobody) y (https://matrix.to/#/@a:b/$c)"},

	{"a picture is what it is said to show", `<img src="mxc://a/b" alt="cat"> <img data-mx-emoticon src="mxc://a/c" alt=":party:" title=":p:"><img src="http://x/y.png"><img title="t">`, "cat :party:t"},
	{"a spoiler is marked and kept", `<span data-mx-spoiler>Rosebud</span> <span data-mx-spoiler="film &amp; end">it was <b>him</b></span>`, "[spoiler: Rosebud] [spoiler (film & end): it was him]"},
	{"maths are shown once", `<span data-mx-maths="x^2"><code>x^2</code></span> <span data-mx-maths="\frac12">one half</span> <div data-mx-maths="y"></div>`, "x^2 one half [maths: \\frac12]\n\ny"},
	{"the quote before an answer is dropped", "<mx-reply><blockquote>old</blockquote></mx-reply>new", "new"},
	{"a quote before nothing is what was said", "<mx-reply>old</mx-reply> ", "> old"},
	{"a quote before an answer that never ends stays", "<mx-reply>old", "> old"},
	{"a quote in the middle stays", "a<mx-reply>b</mx-reply>", "a\n\n> b"},
	{"references are characters", "&lt;b&gt; &amp;amp; &#65;&#x1F600; &nbsp;&copy &nope;", "<b> &amp; A😀 \u00a0© &nope;"},
	{"scripts, styles and comments are not seen", "a<script>b<b></script><style>c</style><!-- d --><!doctype e><?f?>g", "ag"},
	{"a script without an end hides what a browser hides", "a<script>b", "a"},
	{"drawings have other rules", "<svg><style/>a</svg><svg><![CDATA[b]]></svg><math><script/>c</math><svg/>d", "abcd"},
	{"beside drawings no style hides what follows", "<svg><style></svg>a&amp;</style>b<style>c</style>", "</svg>a&bc"},
	{"a tag without an end is text", "a <b", "a <b"},
	{"what is no tag is text", "1 < 2 > 0 <3", "1 < 2 > 0 <3"},
	{"unknown elements are their text", "<blink>a</blink><x-y>b</x-y>", "ab"},
	{"end tags without a beginning end nothing", "a</b></li></td></a></blockquote>b</ul>c", "abc"},
	{"a crossed end ends both", "<blockquote><b>a</blockquote>b</b>c", "> a\n\nbc"},
	{"breaks beyond ASCII break lines", "a\u2028b\u0085c\vd", "a\nb\nc\nd"},
	{"nothing says nothing", "<p></p><b> </b><ul></ul><table></table>", ""},
}

func TestHTMLInPlainText(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, markup.Parse(c.html).Text(1<<16)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.html, diff)
			}
		})
	}
}

func TestWhatIsNestedTooDeeplyKeepsItsText(t *testing.T) {
	for _, name := range []string{"b", "span", "div", "blockquote", "ul><li", "table><tr><td", "a href=x", "sup", "h1", "font", "pre"} {
		end, _, _ := strings.Cut(name, " ")
		end = "</" + strings.Join(reversed(strings.Split(end, "><")), "></") + ">"
		for _, depth := range []int{99, 100, 101, 1000, 5000} {
			source := strings.Repeat("<"+name+">x", depth) + "deep" + strings.Repeat(end, depth) + " after"
			text := markup.Parse(source).Text(1 << 20)
			if got := strings.Count(text, "x"); got != depth || !strings.Contains(text, "deep") || !strings.HasSuffix(text, "after") {
				t.Errorf("%d times <%s>: %d of %d texts, %d bytes", depth, name, got, depth, len(text))
			}
		}
	}
}

func reversed(list []string) []string {
	var all []string
	for _, one := range list {
		all = append([]string{one}, all...)
	}
	return all
}

// TestNoTextGrows: matrix.md's 250 quotes of 8,000 lines made 4 MB of a library's
// output; these and their like stay small, and would take
// minutes if they took more than time in proportion.
func TestNoTextGrows(t *testing.T) {
	for name, source := range map[string]string{
		"quotes around many lines": strings.Repeat("<blockquote>", 250) + strings.Repeat("x<br>", 8000),
		"quotes around code":       strings.Repeat("<blockquote>", 250) + "<pre>" + strings.Repeat("x\n", 30000),
		"lists around code":        strings.Repeat("<ol start=999999><li>", 60) + "<pre>" + strings.Repeat("x\n", 30000),
		"styles without an end":    strings.Repeat("<b a=1><i b=2>", 2000) + strings.Repeat("<p>x", 8000),
		"a ragged table":           "<table><tr>" + strings.Repeat("<td>", 5000) + strings.Repeat("<tr><td>x", 5000),
		"many links":               strings.Repeat("<a href=http://a>", 4000),
		"a link around all":        "<a href=http://a>" + strings.Repeat("<sup>x", 10000),
		"scripts in scripts":       strings.Repeat("<sup>x ", 9000),
		"items":                    "<ol>" + strings.Repeat("<li value=5>", 5000),
		"spoilers":                 strings.Repeat("<span data-mx-spoiler>", 3000),
		"end tags":                 strings.Repeat("<b>", 99) + strings.Repeat("</ul>", 12000),
		"references":               strings.Repeat("&ngE;", 13000),
		"tags without an end":      strings.Repeat("<", 65000) + "<a " + strings.Repeat("b ", 3000),
	} {
		document := markup.Parse(source)
		text := document.Text(1 << 30)
		if most := 4*len(source) + 1<<10; len(text) > most || len(document.All()) > most {
			t.Errorf("%s: %d bytes of %d", name, len(text), len(source))
		}
	}
}

func TestMore(t *testing.T) {
	for _, c := range []struct {
		text, than string
		want       bool
	}{
		{"", "", false},
		{"bold text", "**bold** text", false},
		{"bold text", "text bold", true},
		{"no no", "no", true},
		{"Alice (@alice:x)", "Alice", true},
		{"1. a", "a", true},
		{"grün", "grun", true},
		{"😀", "", true},
		{"!?", "", false},
	} {
		if got := markup.More(c.text, c.than); got != c.want {
			t.Errorf("More(%q, %q) = %t", c.text, c.than, got)
		}
	}
}
