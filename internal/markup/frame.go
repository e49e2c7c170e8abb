package markup

import (
	"strings"

	"golang.org/x/net/html"
)

// special reads what Matrix says by attributes: spoilers and maths (Matrix C-S API,
// "Spoiler messages", "Mathematical messages").
func (b *builder) special(f *frame, token html.Token) {
	f.maths, _ = attribute(token, "data-mx-maths")
	reason, spoiler := attribute(token, "data-mx-spoiler")
	if !spoiler || token.Data != "span" {
		return
	}
	f.close = "]"
	if strings.TrimSpace(reason) == "" {
		b.text("[spoiler: ")
		return
	}
	b.text("[spoiler (")
	b.text(reason)
	b.blank = false
	b.text("): ")
}

// count gives an item its number. One that is out of turn begins a list of its own.
func (f *frame) count(token html.Token) {
	if n := number(token, "value", f.number); f.ordered && n != f.number {
		f.blocks = append(f.blocks, f.list()...)
		f.items, f.first, f.number = nil, n, n
	}
	f.number++
}

// list is the list as far as it has not been put away.
func (f *frame) list() []Block {
	if len(f.items) == 0 {
		return nil
	}
	return []Block{{Kind: List, Items: f.items, Ordered: f.ordered, Start: f.first}}
}

// pop ends the innermost open element.
func (b *builder) pop() {
	last := len(b.stack) - 1
	f := &b.stack[last]
	switch {
	case f.role == roleHeading:
		b.heading(f)
	case f.role.contains(), f.role == rolePre, f.role == roleSummary, f.name == "div":
		b.closing(f)
		b.flush()
	default:
		b.closing(f)
	}
	ended := *f
	b.stack = b.stack[:last]
	b.style = ended.style
	switch ended.role { //nolint:exhaustive // the others leave nothing behind
	case rolePre:
		b.pre--
		b.fresh, b.language = false, ""
	case roleForeign:
		b.foreign--
	case roleQuote:
		b.indent--
		if len(ended.blocks) > 0 {
			b.add(Block{Kind: Quote, Blocks: ended.blocks})
		}
	case roleList:
		b.indent--
		for _, list := range append(ended.blocks, ended.list()...) {
			b.add(list)
		}
	case roleItem:
		list := b.container()
		list.items = append(list.items, ended.blocks)
	case roleCell:
		row := b.container()
		if len(row.rows) == 0 {
			row.rows = [][][]Block{nil}
		}
		row.rows[0] = append(row.rows[0], ended.blocks)
	case roleRow:
		table := b.container()
		table.rows = append(table.rows, ended.rows...)
	case roleTable:
		for _, block := range append(ended.blocks, table(ended.rows)...) {
			b.add(block)
		}
	}
}

// closing writes what an element says at its end.
func (b *builder) closing(f *frame) {
	said, ok := b.since(f.from)
	b.style = f.style
	switch {
	case f.role == roleScript && ok:
		b.script(f, strings.TrimSpace(said))
	case f.role == roleLink:
		if note := leads(strings.TrimSpace(said), f.target); note != "" {
			b.append(note)
		}
	}
	if maths := strings.TrimSpace(f.maths); maths != "" && maths != strings.TrimSpace(said) {
		if strings.TrimSpace(said) == "" {
			b.text(maths)
		} else {
			b.append("[maths: " + maths + "]")
		}
	}
	if f.close != "" {
		b.blank = false
		b.text(f.close)
	}
}

// append writes a remark about the text before it.
func (b *builder) append(remark string) {
	if b.pre > 0 {
		remark = " " + remark
	}
	b.blank, b.between = b.pre == 0, 0
	b.text(remark)
}

// script marks what is set higher or lower: 10^6, H_2O, x^(a b).
func (b *builder) script(f *frame, said string) {
	if said == "" {
		return
	}
	mark := "^"
	if f.name == "sub" {
		mark = "_"
	}
	if strings.ContainsAny(said, " \n\u00a0") {
		mark += "("
		b.blank = false
		b.span(")")
	}
	b.lines[f.from.line][f.from.span-1].Text = mark
}

// heading ends a heading, which is one line.
func (b *builder) heading(f *frame) {
	b.style = f.style
	b.blank = false
	lines := tidy(b.lines, false)
	b.lines = nil
	b.round++
	if len(lines) == 0 {
		return
	}
	b.add(Block{Kind: Heading, Level: f.number, Lines: []Line{oneLine(lines)}})
}

// oneLine joins lines with blanks.
func oneLine(lines []Line) Line {
	var all Line
	for _, line := range lines {
		if len(line) == 0 {
			continue
		}
		if len(all) > 0 {
			all = append(all, Span{Text: " "})
		}
		all = append(all, line...)
	}
	return all
}
