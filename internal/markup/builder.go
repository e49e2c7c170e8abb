package markup

import (
	"strings"

	"golang.org/x/net/html"
)

// builder collects what tags and text say.
type builder struct {
	blocks  []Block // outside of every container
	stack   []frame
	beyond  int    // open elements that lie too deep for the stack
	indent  int    // open lists and quotes
	pre     int    // open elements whose blanks and line breaks count
	foreign int    // open svg and math
	unseen  string // the open script or style
	drawn   bool   // there was svg or math
	// verbatim is set within a script or style that is shown.
	verbatim bool
	style    Style

	lines    []Line // of the paragraph that is being read
	blank    bool   // a blank is due before the next text
	between  Style  // of that blank
	fresh    bool   // nothing was read since <pre>
	round    int    // how many paragraphs have ended
	language string
}

// frame is an open element.
type frame struct {
	name   string
	role   role
	style  Style // outside of it
	from   place // where its text begins
	target string
	close  string // text at its end
	maths  string

	ordered bool
	number  int // level of a heading, number of the next item of a list
	first   int
	items   [][]Block
	blocks  []Block     // within it; of a list: the lists before a number that was out of turn
	rows    [][][]Block // of a table: its rows' cells; of a row: its cells as the only row
}

// place is a place in the paragraph that is being read.
type place struct{ round, line, span int }

func (b *builder) here() place {
	if len(b.lines) == 0 {
		return place{b.round, 0, 0}
	}
	last := len(b.lines) - 1
	return place{b.round, last, len(b.lines[last])}
}

// since is the text that was read since a place in the same paragraph; ok is false
// when that has ended.
func (b *builder) since(from place) (text string, ok bool) {
	if from.round != b.round {
		return "", false
	}
	var all strings.Builder
	for i := from.line; i < len(b.lines); i++ {
		line := b.lines[i]
		if i == from.line {
			line = line[from.span:]
		} else {
			all.WriteByte('\n')
		}
		for _, span := range line {
			all.WriteString(span.Text)
		}
	}
	return all.String(), true
}

// container is the innermost element that blocks lie in, nil outside of all.
func (b *builder) container() *frame {
	for i := len(b.stack) - 1; i >= 0; i-- {
		if b.stack[i].role.contains() {
			return &b.stack[i]
		}
	}
	return nil
}

// add adds a block where the reader is.
func (b *builder) add(block Block) {
	if b.unseen != "" {
		return
	}
	for i := len(b.stack) - 1; i >= 0; i-- {
		f := &b.stack[i]
		switch f.role { //nolint:exhaustive // the others are passed through
		case roleQuote, roleItem, roleCell, roleTable:
			f.blocks = append(f.blocks, block)
			return
		case roleList:
			if len(f.items) == 0 {
				f.items = append(f.items, nil)
				f.number++
			}
			last := len(f.items) - 1
			f.items[last] = append(f.items[last], block)
			return
		}
	}
	b.blocks = append(b.blocks, block)
}

// line is the line that is being read.
func (b *builder) line() *Line {
	if len(b.lines) == 0 {
		b.lines = append(b.lines, nil)
	}
	return &b.lines[len(b.lines)-1]
}

func (b *builder) span(text string) {
	line := b.line()
	*line = append(*line, Span{Text: text, Style: b.style})
}

// space writes the blank that is due.
func (b *builder) space() {
	if b.blank && len(b.lines) > 0 && len(*b.line()) > 0 {
		line := b.line()
		*line = append(*line, Span{Text: " ", Style: b.between & b.style})
	}
	b.blank = false
}

func (b *builder) breakLine() {
	if b.unseen != "" {
		return
	}
	b.line()
	b.lines = append(b.lines, nil)
	b.blank, b.fresh = false, false
}

// text reads text: blanks in a row count as one, but in pre.
func (b *builder) text(text string) {
	if b.unseen != "" || text == "" {
		return
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	if b.pre > 0 {
		text = breaks.Replace(text)
		if b.fresh {
			text = strings.TrimPrefix(text, "\n")
		}
		for i, part := range strings.Split(text, "\n") {
			if i > 0 {
				b.breakLine()
			}
			if part != "" {
				b.span(part)
			}
		}
		b.fresh = false
		return
	}
	from := -1
	for i, r := range text {
		blank := r == ' ' || r == '\t' || r == '\n' || r == '\f' || r == '\r'
		hard := r == '\v' || r == '\u0085' || r == '\u2028' || r == '\u2029'
		switch {
		case !blank && !hard:
			if from < 0 {
				b.space()
				from = i
			}
			continue
		case from >= 0 && r == ' ' && i+1 < len(text) && text[i+1] > ' ' && text[i+1] < 0x7f:
			continue // one blank between words needs nothing
		case from >= 0:
			b.span(text[from:i])
			from = -1
		}
		if blank && !b.blank {
			b.blank, b.between = true, b.style
		}
		if hard {
			b.breakLine()
		}
	}
	if from >= 0 {
		b.span(text[from:])
	}
}

// breaks are what counts as a line break where line breaks count.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// picture is an image: what it is said to show. Nothing is said of where it lies.
func (b *builder) picture(token html.Token) {
	alt, _ := attribute(token, "alt")
	if strings.TrimSpace(alt) == "" {
		alt, _ = attribute(token, "title")
	}
	b.text(alt)
}

// flush ends the paragraph that is being read.
func (b *builder) flush() {
	b.blank = false
	if len(b.lines) == 0 {
		return
	}
	lines := tidy(b.lines, b.pre > 0)
	b.lines = nil
	b.round++
	switch {
	case len(lines) == 0:
	case b.pre > 0:
		b.add(Block{Kind: Code, Lines: lines, Language: b.language})
		b.language = ""
	default:
		b.add(Block{Kind: Paragraph, Lines: lines})
	}
}

// tidy joins neighbours of one style, and drops empty lines at the ends and, unless
// they are code, beside one another.
func tidy(lines []Line, code bool) []Line {
	all := lines[:0]
	empty := true // so far, or the line before
	for _, line := range lines {
		line = joined(line)
		if len(line) == 0 && empty && (!code || len(all) == 0) {
			continue
		}
		empty = len(line) == 0
		all = append(all, line)
	}
	for len(all) > 0 && len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return all
}

// joined is a line with neighbours of one style as one, nil if it shows nothing.
func joined(line Line) Line {
	seen := false
	all := line[:0]
	for i := 0; i < len(line); {
		end, size := i, 0
		for end < len(line) && line[end].Style == line[i].Style {
			size += len(line[end].Text)
			end++
		}
		span := line[i]
		if end > i+1 {
			span.Text = line[i:end].Plain()
		}
		if size > 0 {
			seen = seen || strings.TrimSpace(span.Text) != ""
			all = append(all, span)
		}
		i = end
	}
	if !seen {
		return nil
	}
	last := len(all) - 1
	if all[last].Text = strings.TrimRight(all[last].Text, " "); all[last].Text == "" {
		all = all[:last]
	}
	return all
}

// finish ends everything.
func (b *builder) finish() []Block {
	b.unseen = ""
	b.unwind(0)
	b.flush()
	return b.blocks
}
