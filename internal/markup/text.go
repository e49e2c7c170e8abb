package markup

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is written for so many bytes of HTML: expansion times them, and
// allowance more.
const (
	expansion = 4
	allowance = 1 << 10
)

// Text is the document in plain text: lists with their marks and numbers, quotes
// with "> ", columns with " | " between them, what was struck out between "~~". Where
// these marks make it longer than limit, or than four times the HTML and a kilobyte,
// those of lists and quotes are left out.
func (d Document) Text(limit int) string {
	text := d.write(writer{})
	if len(text) > limit || len(text) > expansion*d.size+allowance {
		text = d.write(writer{bare: true})
	}
	return text
}

// All is everything that the document says, the languages of code included: for
// telling whether another text says more.
func (d Document) All() string { return d.write(writer{bare: true, languages: true}) }

func (d Document) write(w writer) string {
	w.page = &Page{}
	w.blocks(d.Blocks, false)
	return w.page.String()
}

// writer writes plain text.
type writer struct {
	page      *Page
	bare      bool // without the marks of lists and quotes
	languages bool
}

// blocks writes blocks, with an empty line between them unless they are the parts of
// a tight list.
func (w writer) blocks(blocks []Block, tight bool) {
	for i, block := range blocks {
		if i > 0 && (!tight || block.Kind != List) {
			w.page.Blank()
		}
		w.block(block)
	}
}

func (w writer) block(block Block) {
	switch block.Kind {
	case Paragraph, Heading:
		w.lines(block.Lines)
	case Code:
		if w.languages {
			w.page.Line(block.Language)
		}
		w.lines(block.Lines)
	case Quote:
		w.within("> ", "> ", block.Blocks)
	case List:
		for i, item := range block.Items {
			mark := "- "
			if block.Ordered {
				mark = strconv.Itoa(block.Start+i) + ". "
			}
			w.within(mark, strings.Repeat(" ", len(mark)), item)
		}
	case Table:
		for _, row := range block.Rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = struck(cell)
			}
			w.page.Line(strings.Join(cells, " | "))
		}
	case Rule:
		w.page.Line("---")
	}
}

func (w writer) within(marker, indent string, blocks []Block) {
	if w.bare {
		w.blocks(blocks, true)
		return
	}
	w.page.Within(marker, indent, func() { w.blocks(blocks, true) })
}

func (w writer) lines(lines []Line) {
	for _, line := range lines {
		w.page.Line(struck(line))
	}
}

// struck is a line in which what was struck out is marked: without that it would say
// the opposite.
func struck(line Line) string {
	deleted := false
	for _, span := range line {
		deleted = deleted || span.Style&Deleted != 0
	}
	if !deleted {
		return line.Plain()
	}
	var b strings.Builder
	for i, span := range line {
		is := span.Style&Deleted != 0
		if before := i > 0 && line[i-1].Style&Deleted != 0; is && !before {
			b.WriteString("~~")
		}
		b.WriteString(span.Text)
		if after := i+1 < len(line) && line[i+1].Style&Deleted != 0; is && !after {
			b.WriteString("~~")
		}
	}
	return b.String()
}

// More reports whether a text has a word that another one does not have in the same
// order: whether it says more. Blanks and ASCII punctuation are in no word.
func More(text, than string) bool {
	for {
		var word string
		if word, text = nextWord(text); word == "" {
			return false
		}
		for {
			var other string
			if other, than = nextWord(than); other == "" {
				return true
			}
			if other == word {
				break
			}
		}
	}
}

// nextWord cuts a text after its first word, which is empty if there is none.
func nextWord(text string) (word, rest string) {
	from := strings.IndexFunc(text, inWord)
	if from < 0 {
		return "", ""
	}
	text = text[from:]
	end := strings.IndexFunc(text, func(r rune) bool { return !inWord(r) })
	if end < 0 {
		return text, ""
	}
	return text[:end], text[end:]
}

func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return !unicode.IsSpace(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r)
}
