package markup

// Document is what an HTML text says.
type Document struct {
	Blocks []Block
	size   int // of the source, in bytes
}

// Kind is the kind of a [Block] (closed set).
type Kind int

// The kinds, with the fields that each one uses.
const (
	Paragraph Kind = iota // Lines
	Heading               // Lines, Level
	Code                  // Lines, Language
	Quote                 // Blocks
	List                  // Items, Ordered, Start
	Table                 // Rows
	Rule                  // none
)

// Block is a part of a document that begins on a line of its own.
type Block struct {
	Kind     Kind
	Lines    []Line
	Level    int    // of a heading, 1 to 6
	Language string // of code, as far as it is a plain word
	Blocks   []Block
	Items    [][]Block
	Ordered  bool
	Start    int // number of the first item, 0 to [MaxNumber]
	// Rows are never empty; the first one may be the head. A cell is one line.
	Rows [][]Line
}

// Line is what stands between two line breaks. An empty one is an empty line.
type Line []Span

// Span is text in one style. It holds no line break.
type Span struct {
	Text  string
	Style Style
}

// Style is how a text is set off; a text can have several.
type Style uint8

// The styles.
const (
	Strong Style = 1 << iota
	Emphasis
	Deleted
	Monospace
)

// Limits of what is read. What goes beyond keeps its text and loses its form.
const (
	// MaxNesting is how many elements may lie within one another (Matrix C-S API,
	// "m.room.message msgtypes": clients should limit nesting, 100 is suggested).
	MaxNesting = 100
	// MaxIndent is how many lists and quotes may lie within one another.
	MaxIndent = 8
	// MaxNumber is the highest number at which a list may begin.
	MaxNumber = 999_999
	// MaxColumns is the widest table.
	MaxColumns = 50
)

// Plain is the line without its styles.
func (l Line) Plain() string {
	if len(l) == 1 {
		return l[0].Text
	}
	size := 0
	for _, span := range l {
		size += len(span.Text)
	}
	text := make([]byte, 0, size)
	for _, span := range l {
		text = append(text, span.Text...)
	}
	return string(text)
}
