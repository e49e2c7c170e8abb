package markup

import "strings"

// Page writes lines that lie in lists and quotes: each begins with what those put
// before it.
type Page struct {
	b      strings.Builder
	lines  int
	marker string // before the next line, instead of indent
	marked bool
	indent string
}

// Line writes a line.
func (p *Page) Line(text string) {
	p.newline()
	if p.marked {
		p.b.WriteString(p.marker)
		p.marked = false
	} else {
		p.b.WriteString(p.indent)
	}
	p.b.WriteString(text)
}

// Blank writes an empty line, unless it would be the first one.
func (p *Page) Blank() {
	if p.lines == 0 || p.marked {
		return
	}
	p.newline()
	p.b.WriteString(strings.TrimRight(p.indent, " "))
}

func (p *Page) newline() {
	if p.lines > 0 {
		p.b.WriteByte('\n')
	}
	p.lines++
}

// Within writes what lies in a list's item or in a quote: marker stands before its
// first line, indent before the others.
func (p *Page) Within(marker, indent string, write func()) {
	outer := p.indent
	if !p.marked {
		p.marker = p.indent
	}
	p.marker += marker
	p.marked = true
	p.indent += indent
	write()
	if p.marked {
		p.Line("")
	}
	p.indent = outer
}

// String is what was written.
func (p *Page) String() string { return p.b.String() }

// Len is its length in bytes.
func (p *Page) Len() int { return p.b.Len() }
