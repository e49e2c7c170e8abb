package mapping

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// delimiters escapes runs of a marker that could open emphasis (or be struck
// through): those with a run behind them that could close it (CommonMark 6.2, GFM
// 6.5). A single star or underscore is left alone.
func (p *paragraph) delimiters(marker rune) {
	var openers []span
	closer := -1
	for i := 0; i < len(p.text); i++ {
		if p.text[i] != marker {
			continue
		}
		end := p.run(i)
		open, shut := p.flanks(i, end)
		if open {
			openers = append(openers, span{i, end})
		}
		if shut {
			closer = i
		}
		i = end
	}
	for _, opener := range openers {
		if opener.from < closer {
			p.escape(opener.from, opener.to)
		}
	}
}

// flanks reports whether a run of delimiters could open and could close.
func (p *paragraph) flanks(from, to int) (open, shut bool) {
	before, after := p.at(from-1), p.at(to)
	for _, b := range classes(before) {
		for _, a := range classes(after) {
			o := a == word || a == punct && b != word || isDelimiter(after)
			s := b == word || b == punct && a != word || isDelimiter(before)
			if p.text[from] == '_' {
				o, s = o && (b != word || !s), s && (a != word || !o)
			}
			open, shut = open || o, shut || s
		}
	}
	return open, shut
}

func isDelimiter(r rune) bool { return r == '*' || r == '_' || r == '~' }

// class is what the rule of flanking delimiters knows of a character.
type class int

const (
	blank class = iota
	word
	punct
)

// classes gives the classes that renderers give a character. Beyond the basic plane
// they disagree: some see halves of a UTF-16 pair, which are neither blank nor
// punctuation.
func classes(r rune) []class {
	switch {
	case unicode.IsSpace(r):
		return []class{blank}
	case r > 0xFFFF:
		return []class{word, punct}
	case unicode.IsPunct(r), unicode.IsSymbol(r):
		if r > unicode.MaxASCII {
			return []class{word, punct} // as does CommonMark before 0.31
		}
		return []class{punct}
	}
	return []class{word}
}

// markers finds signs that the platform would take for the ends of marked text,
// ==so== or =r=so==, and swallow: it does that to plain text, after escapes are
// gone. Where a pair can arise, runs of signs are written as code, which it leaves
// alone.
func (p *paragraph) markers() {
	if !p.marked() {
		return
	}
	for i := 0; i < len(p.text); i++ {
		if p.text[i] != '=' {
			continue
		}
		end := p.run(i)
		if end-i >= 2 {
			p.codes = append(p.codes, span{i, end})
			for j := i; j < end; j++ {
				p.coded[j] = true
			}
		}
		i = end
	}
}

// marked reports whether a pair can arise.
func (p *paragraph) marked() bool {
	closing := strings.LastIndex(p.said, "==")
	if closing < 0 {
		return false
	}
	last := utf8.RuneCountInString(p.said[:closing]) // index of the last "=="
	for i, r := range p.text {
		if r != '=' {
			continue
		}
		var end int
		switch {
		case p.at(i+1) == '=':
			end = i + 2
		case p.at(i+1) >= 'a' && p.at(i+1) <= 'z' && p.at(i+2) == '=':
			end = i + 3
		default:
			continue
		}
		// A sign before a blank opens nothing unless only blanks follow up to the
		// closing one; it is not worth telling these apart by more than this.
		if end <= last && (p.at(end) == '\n' || !unicode.IsSpace(p.at(end)) || p.emptyMarker(end)) {
			return true
		}
	}
	return false
}

// emptyMarker reports whether only blanks stand between an opening sign that ends
// at i and a closing one.
func (p *paragraph) emptyMarker(i int) bool {
	for unicode.IsSpace(p.at(i)) && i < len(p.text) {
		i++
	}
	return p.at(i) == '=' && p.at(i+1) == '='
}
