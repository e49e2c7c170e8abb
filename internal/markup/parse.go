package markup

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// Parse reads an HTML text. There is no text that it does not read.
func Parse(source string) Document {
	d := Document{size: len(source)}
	source = withoutFallback(source)
	var b builder
	z := html.NewTokenizer(strings.NewReader(source))
	for at := 0; ; {
		z.AllowCDATA(b.foreign > 0)
		kind := z.Next()
		if kind == html.ErrorToken {
			// A tag without an end is where a text was cut, or a "<" that meant no tag.
			b.text(source[at:])
			break
		}
		at += len(z.Raw())
		token := z.Token()
		b.verbatim = b.verbatim && kind == html.TextToken
		switch kind { //nolint:exhaustive // comments and doctypes are not seen
		case html.TextToken:
			if b.verbatim {
				token.Data = html.UnescapeString(token.Data)
			}
			b.text(token.Data)
		case html.EndTagToken:
			b.end(token.Data)
		case html.StartTagToken:
			b.start(token)
		case html.SelfClosingTagToken:
			// Only within svg and math the slash means something.
			foreign := b.foreign > 0
			if foreign {
				z.NextIsNotRawText()
				if roles[token.Data] == roleUnseen {
					continue
				}
			}
			b.start(token)
			if foreign || roles[token.Data] == roleForeign {
				b.end(token.Data)
			}
		}
	}
	d.Blocks = b.finish()
	return d
}

const (
	fallbackStart = "<mx-reply>"
	fallbackEnd   = "</mx-reply>"
)

// withoutFallback is the source without the quote that clients put before an answer
// until Matrix v1.13. What would be left empty is the sender's own quote and stays.
func withoutFallback(source string) string {
	rest := strings.TrimLeft(source, " \t\r\n\f")
	if len(rest) < len(fallbackStart) || !strings.EqualFold(rest[:len(fallbackStart)], fallbackStart) {
		return source
	}
	_, rest, found := strings.Cut(rest, fallbackEnd)
	if !found || strings.TrimSpace(rest) == "" {
		return source
	}
	return rest
}

func attribute(token html.Token, key string) (value string, ok bool) {
	for _, a := range token.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

// number reads where a list, or one of its items, begins to count; fallback for
// anything else than a whole number.
func number(token html.Token, key string, fallback int) int {
	value, ok := attribute(token, key)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		return fallback
	}
	return min(max(n, 0), MaxNumber)
}

var language = regexp.MustCompile(`(?:^|\s)language-([A-Za-z0-9][A-Za-z0-9+#._-]{0,31})(?:\s|$)`)

// start is a start tag.
func (b *builder) start(token html.Token) {
	kind := roles[token.Data]
	switch kind { //nolint:exhaustive // the others are paired
	case roleBreak:
		b.breakLine()
	case rolePicture:
		b.picture(token)
	case roleRule:
		b.flush()
		b.add(Block{Kind: Rule})
	case roleBlock:
		b.flush()
	case roleUnseen:
		// Beside drawings only a tree would tell what of it can be seen: all is shown.
		b.verbatim = b.drawn
		if !b.drawn {
			b.unseen = token.Data
		}
	}
	if !kind.pairs() {
		return
	}
	b.imply(kind)
	if kind != roleStyle && kind != roleLink && kind != roleScript && kind != roleForeign && token.Data != "span" {
		b.flush()
	}
	if len(b.stack) >= MaxNesting {
		b.beyond++
		return
	}
	f := frame{name: token.Data, role: kind, style: b.style}
	switch kind { //nolint:exhaustive // the others have nothing to prepare
	case roleHeading:
		f.number = int(token.Data[1] - '0')
	case roleQuote, roleList:
		if b.indent >= MaxIndent {
			f.role = roleFlat
			break
		}
		b.indent++
		f.ordered = token.Data == "ol"
		f.number = 1
		if f.ordered {
			f.number = number(token, "start", 1)
		}
		f.first = f.number
	case roleItem:
		list := b.container()
		if list == nil || list.role != roleList {
			return // an item of no list is a line
		}
		list.count(token)
	case roleRow:
		if table := b.container(); table == nil || table.role != roleTable {
			return
		}
	case roleCell:
		in := b.container()
		if in == nil || in.role != roleTable && in.role != roleRow {
			return
		}
		if in.role == roleTable && len(b.stack) < MaxNesting-1 {
			b.stack = append(b.stack, frame{name: "tr", role: roleRow, style: b.style})
		} else if in.role == roleTable {
			return
		}
	case rolePre:
		b.pre++
		b.fresh = true
	case roleStyle:
		b.style |= styles[token.Data]
		if class, ok := attribute(token, "class"); ok && b.pre > 0 {
			if found := language.FindStringSubmatch(class); found != nil {
				b.language = found[1]
			}
		}
	case roleLink:
		f.target, _ = attribute(token, "href")
	case roleScript:
		b.space()
		b.span("") // is filled when the end is known
	case roleSpan:
		b.special(&f, token)
	case roleSummary:
		b.style |= Strong
	case roleForeign:
		b.foreign++
		b.drawn = true
	}
	f.from = b.here()
	b.stack = append(b.stack, f)
}

// imply ends what a start tag ends without saying so.
func (b *builder) imply(kind role) {
	for i, open := range slices.Backward(b.stack) {
		in := open.role
		switch kind {
		case roleItem, roleLink, roleHeading:
			if in == kind {
				b.unwind(i)
				return
			}
			if in.contains() {
				return
			}
		case roleRow, roleCell:
			if in == kind {
				b.unwind(i)
				return
			}
			if in == roleTable {
				return
			}
		default:
			return
		}
	}
}

// end is an end tag. One that ends nothing is passed over.
func (b *builder) end(name string) {
	kind := roles[name]
	switch {
	case name == b.unseen:
		b.unseen = ""
		return
	case name == "br":
		b.breakLine() // as browsers do
		return
	case kind == roleBlock:
		b.flush()
		return
	case !kind.pairs():
		return
	case b.beyond > 0:
		b.beyond--
		if kind.contains() {
			b.flush()
		}
		return
	}
	for i := len(b.stack) - 1; i >= 0; i-- {
		f := &b.stack[i]
		if f.name == name {
			b.unwind(i)
			return
		}
		switch {
		case f.role == roleTable,
			f.role == roleCell && kind != roleRow && kind != roleTable,
			f.role.contains() && !kind.contains(),
			f.role == roleList && kind == roleItem, f.role == roleFlat && kind == roleItem:
			return
		}
	}
}

// unwind ends the element at i of the stack and all within it.
func (b *builder) unwind(i int) {
	for len(b.stack) > i {
		b.pop()
	}
}
