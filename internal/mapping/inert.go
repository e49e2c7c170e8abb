package mapping

import (
	"strings"
	"unicode"
)

// tabWidth is how many blanks stand for a tab.
const tabWidth = 4

// nbsp keeps blanks that Markdown or HTML would drop.
const nbsp = '\u00a0'

// Inert writes a text as Markdown that a CommonMark or GFM renderer shows as
// exactly that text: no image, no link but an address whose text is its target, no
// heading, list, table or quote, no line that vanishes, line breaks kept. It adds as
// few characters as that takes, so that what was written (evil[.]com, snake_case,
// C:\x\y, *.exe) reads the same in places that show the Markdown as it is.
//
// Shown is not every character but what a person could see:
//   - line breaks of every kind count as one, runs of empty lines as one empty line,
//     empty lines at either end and blanks at the end of a line are dropped;
//   - a tab is four blanks; blanks at the start of a line and all but the first of
//     a run become no-break spaces, which look the same;
//   - control characters, byte order marks and the bidi controls that can reverse
//     what stands beside them are dropped, so that text shows in its logical order.
//
// The platform also marks text between pairs of "==", and swallows the signs, which
// a backslash cannot prevent: such signs are written as code, and look like code.
func Inert(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/16)
	for i, lines := range paragraphs(text) {
		if i > 0 {
			b.WriteString("\n\n")
		}
		newParagraph(lines).write(&b)
	}
	return b.String()
}

// paragraphs cuts a text into its visible lines, separated where it has empty ones.
func paragraphs(text string) [][]string {
	var all [][]string
	var lines []string
	for line := range strings.Lines(unifyBreaks(text)) {
		line = visible(strings.TrimSuffix(line, "\n"))
		if line != "" {
			lines = append(lines, line)
			continue
		}
		if len(lines) > 0 {
			all = append(all, lines)
			lines = nil
		}
	}
	if len(lines) > 0 {
		all = append(all, lines)
	}
	return all
}

var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func unifyBreaks(text string) string {
	if simple(text, '\n') {
		return text
	}
	return breaks.Replace(strings.ToValidUTF8(text, "\uFFFD"))
}

// simple reports whether a text is printable ASCII and the one more character, which
// is true of most and needs no second look.
func simple(text string, more byte) bool {
	for i := range len(text) {
		if c := text[i]; (c < ' ' || c >= 0x7f) && c != more {
			return false
		}
	}
	return true
}

// tidy reports whether a text is printable ASCII without blanks at its ends or beside
// one another.
func tidy(text string) bool {
	return simple(text, ' ') && !strings.HasPrefix(text, " ") && !strings.HasSuffix(text, " ") && !strings.Contains(text, "  ")
}

// visible is a line as it can be seen. It is empty when nothing can.
func visible(line string) string {
	if tidy(line) {
		return line
	}
	var b strings.Builder
	b.Grow(len(line))
	seen := false // anything but blanks
	run := 0      // blanks in a row
	for _, r := range strings.TrimRight(line, " \t") {
		switch {
		case r == '\t':
			for range tabWidth {
				writeBlank(&b, seen, run)
				run++
			}
			continue
		case r == ' ':
			writeBlank(&b, seen, run)
			run++
			continue
		case hidden(r):
			continue
		}
		run = 0
		seen = seen || !unicode.IsSpace(r)
		b.WriteRune(r)
	}
	if !seen {
		return ""
	}
	return strings.TrimRight(b.String(), " \u00a0")
}

func writeBlank(b *strings.Builder, seen bool, run int) {
	if seen && run == 0 {
		b.WriteByte(' ')
		return
	}
	b.WriteRune(nbsp)
}

// hidden reports characters that are dropped. The marks U+200E, U+200F and U+061C
// stay: they order punctuation in Arabic and Hebrew and reach no further.
func hidden(r rune) bool {
	return unicode.IsControl(r) || r == '\ufeff' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// OneLine is a text for a name or title, which the platform shows as it is: on one
// line, blanks in a row as one, nothing invisible at its ends, at most limit
// characters.
func OneLine(text string, limit int) string {
	if len(text) <= limit && tidy(text) {
		return text
	}
	var b strings.Builder
	count, blank := 0, false
	for _, r := range unifyBreaks(text) {
		if unicode.IsSpace(r) {
			blank = b.Len() > 0
			continue
		}
		if hidden(r) {
			continue
		}
		need := 1
		if blank {
			need = 2
		}
		if count+need > limit {
			return strings.TrimRight(cutRune(b.String(), count+1-limit), " ") + "…"
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		b.WriteRune(r)
		count += need
	}
	return b.String()
}

// cutRune drops so many characters from the end.
func cutRune(text string, drop int) string {
	runes := []rune(text)
	return string(runes[:len(runes)-max(0, min(drop, len(runes)))])
}
