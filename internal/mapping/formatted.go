package mapping

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/matrix-connector/matrix-connector/internal/markup"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// Bounds of what a formatted text becomes for so many bytes of HTML: more is left
// out, as the content says all of its words.
const (
	formattedExpansion = 8
	formattedAllowance = 1 << 10
)

// formatted is the HTML of a post as Markdown, empty where that says nothing beside
// its text.
func formatted(post timeline.Post) string {
	if post.HTML == "" {
		return ""
	}
	markdown := Formatted(markup.Parse(post.HTML))
	if len(markdown) > formattedExpansion*len(post.HTML)+formattedAllowance {
		return ""
	}
	shape, said := bareShape(markdown), bareShape(Inert(post.Text))
	if shape == said || post.Kind == timeline.KindEmote && strings.HasSuffix(said, shape) {
		return ""
	}
	return markdown
}

// otherwise is what a post says in other ways than its text, as quotes, so that no line
// of them can be taken for one of ours: with its forms, and in plain text where that
// says something else than what people were shown.
func otherwise(post timeline.Post) string {
	text := ""
	if markdown := formatted(post); markdown != "" {
		text += "\n\nFormatted:\n\n" + quoted(markdown)
	}
	if post.Body != "" && post.HTML != "" {
		text += "\n\nIn plain text, which says something else:\n\n" + quoted(Inert(post.Body))
	}
	return text
}

func quoted(markdown string) string {
	var page markup.Page
	page.Within("> ", "> ", func() {
		for line := range strings.SplitSeq(markdown, "\n") {
			page.Line(line)
		}
	})
	return page.String()
}

// bareShape is a Markdown without what is a matter of taste in it: blanks, which sign
// of several was used and how often.
func bareShape(markdown string) string {
	var b strings.Builder
	b.Grow(len(markdown))
	last := ' '
	for _, r := range markdown {
		switch r {
		case '\\':
			continue
		case '_':
			r = '*'
		case '+':
			r = '-'
		}
		if unicode.IsSpace(r) || r == last && strings.ContainsRune("*-#`=", r) {
			continue
		}
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

// Formatted writes a document as Markdown that a GFM renderer shows with its headings,
// lists, quotes, tables and code, and is as inert as [Inert] is: no image, no link but
// an address whose text is its target, nothing that vanishes. A renderer without GFM
// shows the lines of tables as they are.
//
// Styles are shown where Markdown has a sign for them that cannot be misread; a text
// that is bold in the middle of a word before a bracket, or beside an address, is not
// bold.
func Formatted(document markup.Document) string {
	var f formatter
	f.blocks(document.Blocks)
	return f.page.String()
}

// formatter writes Markdown.
type formatter struct{ page markup.Page }

func (f *formatter) blocks(blocks []markup.Block) {
	other := false // the list is to have other marks than the list before it
	for i, block := range blocks {
		if i > 0 {
			f.page.Blank()
			other = block.Kind == markup.List && blocks[i-1].Kind == markup.List && !other
		}
		f.block(block, other)
	}
}

func (f *formatter) block(block markup.Block, other bool) {
	switch block.Kind {
	case markup.Paragraph:
		f.paragraphs(block.Lines)
	case markup.Heading:
		if p := newStyled(block.Lines, inHeading); p != nil {
			f.page.Line(strings.Repeat("#", block.Level) + " " + p.lines()[0])
		}
	case markup.Code:
		f.code(block)
	case markup.Quote:
		f.within("> ", "> ", block.Blocks)
	case markup.List:
		for i, item := range block.Items {
			f.within(mark(block, i, other), strings.Repeat(" ", len(mark(block, i, other))), item)
		}
	case markup.Table:
		f.table(block.Rows)
	case markup.Rule:
		f.page.Line("___") // no mark of a list can join it
	}
}

// mark stands before an item. Lists that follow each other are told apart by it.
func mark(list markup.Block, item int, other bool) string {
	switch {
	case list.Ordered && other:
		return strconv.Itoa(list.Start+item) + ") "
	case list.Ordered:
		return strconv.Itoa(list.Start+item) + ". "
	case other:
		return "+ "
	}
	return "- "
}

func (f *formatter) within(marker, indent string, blocks []markup.Block) {
	f.page.Within(marker, indent, func() {
		before := f.page.Len()
		f.blocks(blocks)
		if f.page.Len() == before {
			f.page.Line(string(nbsp)) // an empty item could join others to a rule
		}
	})
}

// paragraphs writes lines, and a paragraph of its own after each empty one.
func (f *formatter) paragraphs(lines []markup.Line) {
	written := false
	for len(lines) > 0 {
		end := 0
		for end < len(lines) && len(lines[end]) > 0 {
			end++
		}
		if p := newStyled(lines[:end], inParagraph); p != nil {
			if written {
				f.page.Blank()
			}
			f.write(p.lines())
			written = true
		}
		lines = lines[min(end+1, len(lines)):]
	}
}

// write writes the lines of a paragraph. Two blanks before a line's end make the
// break.
func (f *formatter) write(lines []string) {
	for i, line := range lines {
		if i < len(lines)-1 {
			line += "  "
		}
		f.page.Line(line)
	}
}

// code writes code between fences that it does not hold itself.
func (f *formatter) code(block markup.Block) {
	lines := make([]string, len(block.Lines))
	longest := 2
	for i, line := range block.Lines {
		lines[i] = strings.TrimRightFunc(strings.Map(func(r rune) rune {
			if hidden(r) && r != '\t' {
				return -1
			}
			return r
		}, line.Plain()), unicode.IsSpace)
		longest = max(longest, longestTicks(lines[i]))
	}
	fence := strings.Repeat("`", longest+1)
	f.page.Line(fence + block.Language)
	for _, line := range lines {
		f.page.Line(line)
	}
	f.page.Line(fence)
}

// longestTicks is the length of the longest run of backticks.
func longestTicks(text string) int {
	longest, run := 0, 0
	for i := range len(text) {
		if text[i] != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// table writes a table, with its first row as the head.
func (f *formatter) table(rows [][]markup.Line) {
	columns := 0
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	lines := make([]string, 0, len(rows)+1)
	for i, row := range rows {
		var b strings.Builder
		for _, cell := range row {
			b.WriteString("| ")
			if p := newStyled([]markup.Line{cell}, inCell); p != nil {
				b.WriteString(p.lines()[0])
				b.WriteByte(' ')
			}
		}
		if i == 0 {
			b.WriteString(strings.Repeat("| ", columns-len(row)))
		}
		b.WriteByte('|')
		lines = append(lines, b.String())
		if i == 0 {
			lines = append(lines, strings.Repeat("| --- ", columns)+"|")
		}
	}
	f.write(lines)
}
