package mapping

import (
	"slices"
	"strings"
	"unicode"

	"github.com/matrix-connector/matrix-connector/internal/markup"
)

// place is where a paragraph stands: other signs mean something there.
type place int

const (
	inParagraph place = iota
	inHeading
	inCell
)

// styled is a paragraph with signs of styles in it. They are put in where they cannot
// be misread; everything in the text that could be taken for one is escaped.
type styled struct {
	*paragraph
	styles []markup.Style
	signs  map[int]string // before the character at an index
	// The backticks around each of paragraph.codes, with a blank where it begins or
	// ends with one.
	fences map[int]string
}

// newStyled is nil when nothing of the lines can be seen.
func newStyled(lines []markup.Line, where place) *styled {
	s := &styled{paragraph: &paragraph{label: -1}, signs: map[int]string{}, fences: map[int]string{}}
	for _, line := range lines {
		s.add(line)
	}
	if len(s.text) == 0 {
		return nil
	}
	s.said = string(s.text)
	s.mask = make([]bool, len(s.text))
	s.coded = make([]bool, len(s.text))
	for i, r := range s.text {
		if r == ']' && s.at(i+1) == ':' {
			s.label = i
		}
	}
	s.markers()
	// Signs for marked text and code beside each other could join.
	if len(s.codes) == 0 {
		s.decorate(where)
	}
	s.lineStarts()
	s.ticks()
	s.marks()
	s.brackets()
	s.singles()
	s.edges(where)
	s.addresses()
	for i := range s.mask {
		s.mask[i] = s.mask[i] && !s.coded[i]
	}
	s.bracketed()
	return s
}

// add adds a line as it can be seen: see [visible].
func (s *styled) add(line markup.Line) {
	before := len(s.text)
	if before > 0 {
		s.text, s.styles = append(s.text, '\n'), append(s.styles, 0)
	}
	from := len(s.text)
	seen, run := false, 0
	for _, span := range line {
		for _, r := range span.Text {
			count := 1
			switch {
			case r == '\t':
				r, count = ' ', tabWidth
			case r != ' ' && hidden(r):
				continue
			}
			for range count {
				put := r
				if r == ' ' {
					if run++; !seen || run > 1 {
						put = nbsp
					}
				} else {
					run = 0
					seen = seen || !unicode.IsSpace(r)
				}
				s.text, s.styles = append(s.text, put), append(s.styles, span.Style)
			}
		}
	}
	end := len(s.text)
	for end > from && (s.text[end-1] == ' ' || s.text[end-1] == nbsp) {
		end--
	}
	if !seen {
		end = before
	}
	s.text, s.styles = s.text[:end], s.styles[:end]
}

// kinds of signs, the one that counts first. A text has one of them.
var signs = []struct {
	style markup.Style
	sign  string
}{
	{markup.Monospace, "`"},
	{markup.Deleted, "~~"},
	{markup.Strong, "**"},
	{markup.Emphasis, "*"},
}

func sign(style markup.Style) string {
	for _, kind := range signs {
		if style&kind.style != 0 {
			return kind.sign
		}
	}
	return ""
}

// decorate finds where signs go.
func (s *styled) decorate(where place) {
	address := s.inAddress()
	last := -1 // where the one before ended
	for i := 0; i < len(s.text); {
		kind := sign(s.styles[i])
		end := i
		for end < len(s.text) && s.text[end] != '\n' && sign(s.styles[end]) == kind {
			end++
		}
		from, to := s.trim(i, end)
		if kind != "" && from < to && from > last && (where != inHeading || kind != "**") {
			switch {
			case slices.Contains(address[from:to], true): // a sign would belong to it
			case kind == "`" && s.code(from, to, where):
				last = to
			case kind != "`" && flanking(s.at(from-1), s.text[from]) && flanking(s.at(to), s.text[to-1]):
				s.signs[from], s.signs[to] = kind, kind
				last = to
			}
		}
		i = max(end, i+1)
	}
}

// trim leaves out blanks at both ends.
func (s *styled) trim(from, to int) (int, int) {
	for from < to && unicode.IsSpace(s.text[from]) {
		from++
	}
	for from < to && unicode.IsSpace(s.text[to-1]) {
		to--
	}
	return from, to
}

// code makes a text code, if it can. Where a list shows the beginning of a text, the
// end of code can be missing, and what it holds is Markdown again: so it holds nothing
// that could then be a picture, a link or a tag.
func (s *styled) code(from, to int, where place) bool {
	text := string(s.text[from:to])
	if strings.ContainsAny(text, "[]<") || where == inCell && strings.Contains(text, "|") { // GFM looks for columns first
		return false
	}
	fence := strings.Repeat("`", longestTicks(text)+1)
	s.fences[from], s.fences[to] = fence, fence
	if text[0] == '`' || text[len(text)-1] == '`' {
		s.fences[from], s.fences[to] = fence+" ", " "+fence
	}
	s.codes = append(s.codes, span{from, to})
	for i := from; i < to; i++ {
		s.coded[i] = true
	}
	return true
}

// flanking reports whether a sign between two characters, of which the second is
// within, opens or closes for every renderer (CommonMark 6.2).
func flanking(outside, inside rune) bool {
	for _, in := range classes(inside) {
		for _, out := range classes(outside) {
			if in == blank || in == punct && out == word {
				return false
			}
		}
	}
	return true
}

// inAddress is what stands in one word with an address that GFM makes a link of.
func (s *styled) inAddress() []bool {
	all := make([]bool, len(s.text))
	for i := 0; i < len(s.text); {
		end, found := i, false
		for end < len(s.text) && !unicode.IsSpace(s.text[end]) {
			rest := s.text[end:]
			found = found || rest[0] == '@' || prefixed(rest, "://") || prefixed(rest, "www.")
			end++
		}
		for j := i; found && j < end; j++ {
			all[j] = true
		}
		i = end + 1
	}
	return all
}

// marks escapes everything that could be emphasis, or struck through: beside signs of
// ours one character alone can be.
func (s *styled) marks() {
	if len(s.signs) == 0 {
		for _, marker := range []rune{'*', '_', '~'} {
			s.delimiters(marker)
		}
		return
	}
	for i := 0; i < len(s.text); i++ {
		switch s.text[i] {
		case '*', '~':
			s.mask[i] = true
		case '_':
			end := s.run(i)
			// Within a word it means nothing.
			if !wordly(s.at(i-1)) || !wordly(s.at(end)) || s.signs[i] != "" || s.signs[end] != "" {
				s.escape(i, end)
			}
			i = end - 1
		}
	}
}

func wordly(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// edges escapes what means something beside our signs, or at the place where the
// paragraph stands.
func (s *styled) edges(where place) {
	for i, r := range s.text {
		switch {
		case r == '\\' && (s.signs[i+1] != "" || s.fences[i+1] != ""):
			s.mask[i] = true
		case r == '|' && where == inCell:
			s.mask[i] = true
		}
	}
	// In a list, GFM 5.3 has a box to tick, and dashes join the item's own to a rule.
	if first, _, _ := strings.Cut(s.said, "\n"); first[0] == '[' || strings.Trim(first, "- ") == "" {
		s.mask[0] = true
	}
	if where == inHeading {
		// CommonMark 4.2: signs at the end of a heading are not shown.
		for i := len(s.text) - 1; i >= 0 && s.text[i] == '#'; i-- {
			s.mask[i] = true
		}
	}
}

// lines are the Markdown of each line.
func (s *styled) lines() []string {
	var all []string
	var b strings.Builder
	codes := s.codes
	for i, r := range s.text {
		// What ends here stands before what begins.
		if len(codes) > 0 && i == codes[0].to {
			codes = s.leave(&b, codes)
		}
		b.WriteString(s.signs[i])
		if len(codes) > 0 && i == codes[0].from {
			b.WriteString(s.fence(i))
		}
		switch {
		case r == '\n':
			all = append(all, b.String())
			b.Reset()
		case s.ended(i):
			b.WriteString(endReference)
		case s.mask[i]:
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	if len(codes) > 0 {
		s.leave(&b, codes)
	}
	b.WriteString(s.signs[len(s.text)])
	return append(all, b.String())
}

func (s *styled) leave(b *strings.Builder, codes []span) []span {
	b.WriteString(s.fence(codes[0].to))
	return codes[1:]
}

// fence is what stands around code: a backtick around signs for marked text.
func (s *styled) fence(i int) string {
	if fence := s.fences[i]; fence != "" {
		return fence
	}
	return "`"
}
