package markup_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/matrix-connector/matrix-connector/internal/markup"
)

// hostile are HTML texts that broke, or slow down, other readers.
var hostile = []string{
	`<ol start="-9223372036854775808"><li>x`, `<ol start=1e9><li value=9999999999>x`, "<table><td><table><tr><li>a</table>b", "<a href=\"https://x/\x00>\">y</a", "<pre>\n\na\r\n&#13;b</pre>",
	strings.Repeat("<blockquote>", 600) + "x", strings.Repeat("<b><i>", 300) + "<p>x</b>y", "<svg><title><b>x</svg><![CDATA[a]]>", "<mx-reply><blockquote>a</mx-reply>b", "<frameset>a<noframes>b", "<select><option>a<table>b",
	"<script>a</script>b<style>c", "<textarea><b>a</textarea>b", "<plaintext><b>a", "<template>a</template>b", "<math><mtext><style>a</style></mtext></math>b", "&#x110000;&#0;&#xD800;&ngE;&notit;", "<a href=javascript:x>a<a href=matrix:u/a:b>c", "\xff<b\xff>a", "</\x00",
}

// FuzzParse holds what [markup.Document.Text] promises against another reader: every
// word that a browser's tree of the HTML has is there, and it does not grow.
func FuzzParse(f *testing.F) {
	for _, c := range cases {
		f.Add(c.html)
	}
	for _, source := range hostile {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		document := markup.Parse(source)
		text := document.Text(1 << 30)
		if most := 4*len(source) + 1<<10; len(text) > most {
			t.Fatalf("%d bytes of %q", len(text), source)
		}
		if !utf8.ValidString(text) {
			t.Fatalf("%q gives %q", source, text)
		}
		if again := markup.Parse(source).Text(1 << 30); again != text {
			t.Fatalf("%q gives %q and %q", source, text, again)
		}
		check(t, document.Blocks, 0)
		if strings.Contains(strings.ToLower(source), "mx-reply") || strings.Contains(source, "\x00") {
			return // what is dropped there is dropped from the source; NULs the other reader shows
		}
		// It takes bytes that are no text as they are, too.
		tree, err := html.Parse(strings.NewReader(strings.ToValidUTF8(source, "\uFFFD")))
		if err != nil {
			return // it gives up at 512 elements
		}
		have := make(map[rune]int)
		for _, r := range text {
			have[r]++
		}
		for _, r := range visible(tree) {
			if have[r]--; have[r] < 0 && !unicode.IsSpace(r) && !unicode.IsControl(r) {
				t.Fatalf("%q gives %q, without a %q of %q", source, text, r, visible(tree))
			}
		}
	})
}

// check holds a document to its limits.
func check(t *testing.T, blocks []markup.Block, indent int) {
	t.Helper()
	if indent > markup.MaxIndent {
		t.Fatalf("%d lists and quotes lie in one another", indent)
	}
	for _, block := range blocks {
		for _, line := range block.Lines {
			checkLine(t, line)
		}
		for _, row := range block.Rows {
			if len(row) == 0 || len(row) > markup.MaxColumns {
				t.Fatalf("a row of %d cells", len(row))
			}
			for _, cell := range row {
				checkLine(t, cell)
			}
		}
		if block.Start < 0 || block.Start > markup.MaxNumber {
			t.Fatalf("a list begins at %d", block.Start)
		}
		if block.Kind == markup.Heading && (block.Level < 1 || block.Level > 6 || len(block.Lines) != 1) {
			t.Fatalf("a heading of level %d and %d lines", block.Level, len(block.Lines))
		}
		if len(block.Blocks) > 0 {
			check(t, block.Blocks, indent+1)
		}
		for _, item := range block.Items {
			if len(item) > 0 {
				check(t, item, indent+1)
			}
		}
	}
}

func checkLine(t *testing.T, line markup.Line) {
	t.Helper()
	for _, span := range line {
		if strings.ContainsAny(span.Text, "\n\r\v\f\u0085\u2028\u2029") {
			t.Fatalf("a line break in %q", span.Text)
		}
	}
}

// visible is the text of a tree as far as a browser shows it.
func visible(node *html.Node) string {
	switch {
	case node.Type == html.TextNode:
		return node.Data
	case node.Type == html.ElementNode && (node.Data == "script" || node.Data == "style"):
		return ""
	}
	var b strings.Builder
	for child := node.FirstChild; child != nil; child = child.NextSibling {
		b.WriteString(visible(child))
	}
	return b.String()
}
