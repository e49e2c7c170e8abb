package mapping

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// paragraph is a run of visible lines that is to be shown as it is. Emphasis, code
// spans and links end with their paragraph at the latest, so that each one is
// judged alone.
type paragraph struct {
	said  string // lines joined by '\n'
	text  []rune // the same
	mask  []bool // true: a backslash before this character
	codes []span // to be written as code
	coded []bool // true: inside one of codes
	ends  []int  // where a ">" is to be written as a reference, in order
	label int    // where the last "]:" stands, -1 for none
}

type span struct{ from, to int }

func newParagraph(lines []string) *paragraph {
	p := &paragraph{said: strings.Join(lines, "\n")}
	p.text = []rune(p.said)
	p.mask = make([]bool, len(p.text))
	p.coded = make([]bool, len(p.text))
	p.label = -1
	for i, r := range p.text {
		if r == ']' && p.at(i+1) == ':' {
			p.label = i
		}
	}
	p.markers()
	p.lineStarts()
	p.ticks()
	for _, marker := range []rune{'*', '_', '~'} {
		p.delimiters(marker)
	}
	p.brackets()
	p.singles()
	p.addresses()
	p.bracketed()
	return p
}

// write writes the Markdown. Two blanks before a line's end make the break; unlike
// a backslash they cannot be seen.
func (p *paragraph) write(b *strings.Builder) {
	if len(p.codes) == 0 && len(p.ends) == 0 && !slices.Contains(p.mask, true) {
		b.WriteString(strings.ReplaceAll(p.said, "\n", "  \n"))
		return
	}
	codes := p.codes
	for i, r := range p.text {
		if len(codes) > 0 && i == codes[0].from {
			b.WriteByte('`')
		}
		switch {
		case r == '\n':
			b.WriteString("  \n")
		case p.ended(i):
			b.WriteString(endReference)
		case p.mask[i]:
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
		if len(codes) > 0 && i == codes[0].to-1 {
			b.WriteByte('`')
			codes = codes[1:]
		}
	}
}

// at is the character at i, '\n' beyond either end.
func (p *paragraph) at(i int) rune {
	if i < 0 || i >= len(p.text) {
		return '\n'
	}
	return p.text[i]
}

// run is the end of the run of the character at i.
func (p *paragraph) run(i int) int {
	end := i + 1
	for end < len(p.text) && p.text[end] == p.text[i] {
		end++
	}
	return end
}

func (p *paragraph) escape(from, to int) {
	for i := from; i < to; i++ {
		p.mask[i] = true
	}
}

// lineStarts escapes what begins a block: every line can, also inside a paragraph.
func (p *paragraph) lineStarts() {
	start := 0
	for start < len(p.text) {
		end := start
		for end < len(p.text) && p.text[end] != '\n' {
			end++
		}
		if begins(p.text[start]) {
			p.lineStart(start, string(p.text[start:end]))
		}
		start = end + 1
	}
}

// begins reports characters that can begin a block.
func begins(r rune) bool {
	return r >= '0' && r <= '9' || r < unicode.MaxASCII && strings.IndexByte("*_>#-+=|:`~[", byte(r)) >= 0
}

var (
	// CommonMark 4.2, 4.1, 5.2: heading, thematic break, list item.
	headingStart = regexp.MustCompile(`^#{1,6}( |$)`)
	bulletStart  = regexp.MustCompile(`^[-+*]( |$)`)
	numberStart  = regexp.MustCompile(`^[0-9]{1,9}[.)]( |$)`)
	themeBreak   = regexp.MustCompile(`^(?:(?:-[ ]*){3,}|(?:\*[ ]*){3,}|(?:_[ ]*){3,})$`)
	// CommonMark 4.3 and GFM 4.10: what turns the line above into a heading or the
	// head of a table.
	underline    = regexp.MustCompile(`^(?:=+|-+)$`)
	tableDivider = regexp.MustCompile(`^[|:-][|: -]*$`)
	// CommonMark 4.5: fence.
	fenceStart = regexp.MustCompile("^(?:`{3,}|~{3,})")
)

func (p *paragraph) lineStart(start int, line string) {
	switch first := line[0]; {
	case strings.IndexByte("*_", first) >= 0 && themeBreak.MatchString(line):
		p.escape(start, p.run(start)) // what is left of a run could close emphasis
	case first == '>',
		first == '#' && headingStart.MatchString(line),
		first == '-' && themeBreak.MatchString(line),
		strings.IndexByte("-+*", first) >= 0 && bulletStart.MatchString(line):
		p.mask[start] = true
	case start > 0 && strings.IndexByte("=-|:", first) >= 0 &&
		(underline.MatchString(line) || strings.Contains(line, "-") && tableDivider.MatchString(line)):
		p.mask[start] = !p.coded[start]
	case strings.IndexByte("`~", first) >= 0 && fenceStart.MatchString(line):
		p.escape(start, p.run(start))
	case first >= '0' && first <= '9' && numberStart.MatchString(line):
		p.mask[start+strings.IndexAny(line, ".)")] = true
	case first == '[' && p.label > start:
		// CommonMark 4.7: a definition is not shown at all, and its label may go on
		// over lines.
		p.mask[start] = true
	}
}

// ticks escapes runs of backticks that could open a code span: those with another
// run of the same length behind them (CommonMark 6.1). Inside a code span a backslash
// is a character, so that each backtick of an escaped run can close one that a
// single backtick opened.
func (p *paragraph) ticks() {
	var runs []span
	for i := 0; i < len(p.text); i++ {
		if p.text[i] == '`' {
			runs = append(runs, span{i, p.run(i)})
			i = runs[len(runs)-1].to
		}
	}
	closers := make(map[int]bool) // lengths of runs that follow
	for _, run := range slices.Backward(runs) {
		length := run.to - run.from
		// Beside signs written as code any backtick could join their fence.
		if closers[length] || len(p.codes) > 0 || p.mask[run.from] {
			p.escape(run.from, run.to)
			length = 1
		}
		closers[length] = true
	}
}

// brackets escapes what makes an image or a link with its target in parentheses
// (CommonMark 6.3, 6.4). Links by reference need a definition, and there is none;
// so [x], [x][y] and [^x] may stay.
func (p *paragraph) brackets() {
	open := false
	for i, r := range p.text {
		switch r {
		case '[':
			open = true
			if p.at(i-1) == '!' {
				p.mask[i] = true
			}
		case ']':
			if open && p.at(i+1) == '(' {
				p.mask[i+1] = true
			}
		}
	}
}

// entity is what a renderer may take for a character reference (CommonMark 2.5).
var entity = regexp.MustCompile(`^&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{0,31});`)

// maxEntity is the most characters that entity matches.
const maxEntity = 34

// singles escapes characters that need no partner: references, tags and addresses
// in angle brackets, and backslashes that would be taken for escapes.
func (p *paragraph) singles() {
	for i, r := range p.text {
		next := p.at(i + 1)
		switch r {
		case '&':
			if entity.MatchString(string(p.text[i:min(i+maxEntity, len(p.text))])) {
				p.mask[i] = true
			}
		case '<':
			if next == '/' || next == '!' || next == '?' || next < unicode.MaxASCII && unicode.IsLetter(next) {
				p.mask[i] = true
			}
		case '\\':
			if asciiPunct(next) {
				p.mask[i] = true
			}
		}
	}
}

// asciiPunct reports what a backslash can escape (CommonMark 2.4).
func asciiPunct(r rune) bool {
	return r > ' ' && r < 0x7F && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// addresses looks after what GFM makes a link by itself. A renderer takes such an
// address as it stands, backslashes included, so one that holds an escape or code
// has its beginning escaped too. Renderers of this family look again at plain text,
// after escapes are gone, and link it all the same.
func (p *paragraph) addresses() {
	dirty := false // an escape or code between here and the end of the address
	for i, r := range slices.Backward(p.text) {
		switch {
		case unicode.IsSpace(r):
			dirty = false
		case r == '<':
			dirty = p.mask[i] // its backslash would belong to the address
		default:
			dirty = dirty || p.mask[i] || p.coded[i]
		}
		if !dirty {
			continue
		}
		for _, begin := range []string{"http", "https", "www"} {
			end := "://"
			if begin == "www" {
				end = "."
			}
			if prefixed(p.text[i:], begin+end) {
				p.mask[i+len(begin)] = true
			}
		}
	}
}

// endReference is a ">" that ends an address.
const endReference = "&gt;"

func (p *paragraph) ended(i int) bool {
	_, found := slices.BinarySearch(p.ends, i)
	return found
}

// bracketed finds addresses in angle brackets, as mails and some clients write them. GFM
// takes the closing one for a part of the address, unless it is a reference.
func (p *paragraph) bracketed() {
	from := -1 // the last "<" of the word
	for i, r := range p.text {
		switch {
		case unicode.IsSpace(r):
			from = -1
		case r == '<':
			from = i
		case r == '>' && from >= 0 && !p.mask[i] && !p.coded[i] && p.wordEnds(i+1):
			rest := p.text[from+1 : i]
			if prefixed(rest, "http://") || prefixed(rest, "https://") || prefixed(rest, "www.") {
				p.ends = append(p.ends, i)
			}
		}
	}
}

// wordEnds reports whether nothing but the punctuation of a sentence follows in the
// word.
func (p *paragraph) wordEnds(i int) bool {
	if strings.ContainsRune(".,:!?", p.at(i)) {
		i++
	}
	return unicode.IsSpace(p.at(i))
}

// prefixed reports whether a text begins so, whatever the case of its ASCII letters.
func prefixed(text []rune, prefix string) bool {
	for i, r := range prefix {
		if i >= len(text) || text[i] != r && (text[i] < 'A' || text[i] > 'Z' || text[i]+'a'-'A' != r) {
			return false
		}
	}
	return true
}
