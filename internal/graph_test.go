package internal_test

import (
	"fmt"
	"html"
	"strings"
)

// box is one object in the picture.
type box struct {
	class, title string
	rows         []string
	x, y, w, h   int
	outside      bool // not in the bundle: it had landed before
}

const (
	boxWidth  = 310
	rowHeight = 18
	rowChars  = 40 // of the font at 12 pixels, at most, in a box
)

func newBox(class, title string, x, y int, rows ...string) *box {
	b := &box{class: class, title: title, x: x, y: y, w: boxWidth}
	for _, r := range rows {
		if r == "" {
			continue
		}
		if runes := []rune(r); len(runes) > rowChars {
			r = string(runes[:rowChars-1]) + "…"
		}
		b.rows = append(b.rows, r)
	}
	b.h = 34 + rowHeight*len(b.rows)
	return b
}

// draw draws what became of a case: what came with it, and the ends of its relations.
// The same case gives the same bytes.
func draw(g golden) string {
	const left, middle, right, top = 20, 410, 800, 20
	boxes := map[string]*box{}
	var order []*box
	add := func(id string, b *box) *box {
		boxes[id] = b
		order = append(order, b)
		return b
	}
	outside := func(id string, b *box) {
		if boxes[id] == nil {
			add(id, b).outside = true
		}
	}
	var body strings.Builder
	var message *box
	for _, o := range g.of("channel") {
		add(o.ID, newBox("channel", "Channel", left, top, append([]string{"name " + o.Name, "alias " + strings.Join(o.Aliases, ", ")}, lines(o.Description)...)...))
	}
	for _, o := range g.of("media-content") {
		about := []string{"url " + o.URL, "title " + o.Title, "content " + o.Content, "published " + o.Published, "labels " + strings.Join(o.Labels, ", "), "description:"}
		message = add(o.ID, newBox("content", "Media-Content", middle, top, append(about, lines(o.About)...)...))
	}
	low := top + max(message.h, 0) + 70
	for _, o := range g.of("identity") {
		add(o.ID, newBox("person", "Individual", middle, low, append([]string{"name " + o.Name}, lines(o.Description)...)...))
	}
	for i, name := range g.files {
		add("file "+name, newBox("file", "file", right, low+80*i, name))
	}
	var lowChannel, lowContent int
	for _, o := range g.of("relationship") {
		switch {
		case strings.HasPrefix(o.Target, "channel"):
			outside(o.Target, newBox("channel", "Channel", left, low+90*lowChannel, "of the room that is replaced"))
			lowChannel++
		case strings.HasPrefix(o.Target, "media-content"):
			outside(o.Target, newBox("content", "Media-Content", right, top+90*lowContent, "the message that is answered"))
			lowContent++
		}
	}
	for _, o := range g.of("relationship") {
		connect(&body, boxes[o.Source], boxes[o.Target], o.Kind)
	}
	for _, o := range g.of("media-content") {
		connect(&body, boxes[o.ID], boxes[o.Author], "author")
	}
	for _, name := range g.files {
		connect(&body, message, boxes["file "+name], "file")
	}
	height := 0
	for _, b := range order {
		b.write(&body)
		height = max(height, b.y+b.h)
	}
	return fmt.Sprintf(graphPage, right+boxWidth+20, height+20, html.EscapeString(g.comment), right+boxWidth+20, height+20) + body.String() + "</svg>\n"
}

// fieldNames are words that stand before a field's value.
var fieldNames = map[string]bool{"name": true, "alias": true, "url": true, "title": true, "content": true, "published": true, "labels": true}

func (b *box) write(out *strings.Builder) {
	dash := ""
	if b.outside {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(out, "  <rect class=\"%s node\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"8\"%s/>\n", b.class, b.x, b.y, b.w, b.h, dash)
	fmt.Fprintf(out, "  <text class=\"ink bold\" x=\"%d\" y=\"%d\">%s</text>\n", b.x+12, b.y+22, b.title)
	for i, r := range b.rows {
		key, value := "", r
		if k, v, ok := strings.Cut(r, " "); ok && fieldNames[k] {
			key, value = `<tspan class="dim">`+k+"</tspan> ", v
		}
		fmt.Fprintf(out, "  <text class=\"ink\" x=\"%d\" y=\"%d\">%s%s</text>\n", b.x+12, b.y+40+rowHeight*i, key, html.EscapeString(value))
	}
}

// connect draws an arrow from one box to another: to the side where they stand beside
// each other, down where one stands below.
func connect(out *strings.Builder, from, to *box, label string) {
	if from.x == to.x {
		x, y := from.x+from.w/2, (from.y+from.h+to.y)/2
		fmt.Fprintf(out, "  <path class=\"edge\" d=\"M%d %dV%d\" marker-end=\"url(#arrow)\"/>\n", x, from.y+from.h, to.y-2)
		fmt.Fprintf(out, "  <text class=\"dim\" x=\"%d\" y=\"%d\">%s</text>\n", x+8, y+4, label)
		return
	}
	x1, x2 := from.x+from.w, to.x-2
	y1, y2 := from.y+30, to.y+30
	if y2 > from.y+from.h {
		y1 = from.y + from.h - 20
	}
	fmt.Fprintf(out, "  <path class=\"edge\" d=\"M%d %dC%d %d %d %d %d %d\" marker-end=\"url(#arrow)\"/>\n", x1, y1, x1+30, y1, x2-30, y2, x2, y2)
	x, y := (x1+x2)/2, y1-8
	if y1 != y2 {
		x, y = (x1+x2)/2+20, y2+18 // where the curve is not
	}
	fmt.Fprintf(out, "  <text class=\"dim\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, y, label)
}

// graphPage begins the picture; its colours are those of result.svg.
const graphPage = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif" font-size="12">
  <title id="title">%s</title>
  <style>
    .page { fill: #ffffff }
    .ink { fill: #1f2328 }
    .dim { fill: #59636e }
    .bold { font-weight: 600; font-size: 14px }
    .edge { stroke: #59636e; stroke-width: 1.5; fill: none }
    .tip { fill: #59636e }
    .channel { fill: #ddf4ff; stroke: #0969da }
    .person { fill: #fff1e5; stroke: #bc4c00 }
    .content { fill: #dafbe1; stroke: #1a7f37 }
    .file { fill: #fbefff; stroke: #8250df }
    .node { stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 }
      .ink { fill: #f0f6fc }
      .dim { fill: #9198a1 }
      .edge { stroke: #9198a1 }
      .tip { fill: #9198a1 }
      .channel { fill: #0c2d6b; stroke: #4493f8 }
      .person { fill: #5a1e02; stroke: #f0883e }
      .content { fill: #033a16; stroke: #3fb950 }
      .file { fill: #3c1e70; stroke: #ab7df8 }
    }
  </style>
  <defs>
    <marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
      <path class="tip" d="M0 0 10 5 0 10z"/>
    </marker>
  </defs>
  <rect class="page" width="%d" height="%d"/>
`
