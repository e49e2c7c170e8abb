package markup

// role is what an element does to the text within it. Elements that are not named
// here are their text.
type role int

const (
	roleInline  role = iota
	roleBlock        // begins and ends a line, and has nothing else to remember
	roleHeading      // h1 to h6
	roleQuote        // blockquote
	roleList         // ul, ol
	roleItem         // li
	roleTable        // table
	roleRow          // tr
	roleCell         // td, th
	roleFlat         // a quote or list that lies too deep
	rolePre          // pre
	roleStyle        // b, i, del, code and the like
	roleLink         // a
	roleScript       // sub, sup
	roleSpan         // span, div: may be a spoiler or maths
	roleSummary      // summary: a line that names what follows
	roleForeign      // svg, math: other rules for what follows
	roleUnseen       // script, style
	roleBreak        // br
	roleRule         // hr
	rolePicture      // img
	roleVoid         // other elements without content
)

// contains reports the roles that blocks lie in: the end tag of an inline element
// does not reach across them.
func (r role) contains() bool { return r >= roleQuote && r <= roleFlat }

// pairs reports the roles whose start tag is remembered until its end tag comes.
func (r role) pairs() bool { return r > roleBlock && r <= roleForeign }

var roles = map[string]role{
	"h1": roleHeading, "h2": roleHeading, "h3": roleHeading, "h4": roleHeading, "h5": roleHeading, "h6": roleHeading,
	"blockquote": roleQuote, "mx-reply": roleQuote, "ul": roleList, "ol": roleList, "menu": roleList, "dir": roleList, "li": roleItem,
	"table": roleTable, "tr": roleRow, "td": roleCell, "th": roleCell,
	"pre": rolePre, "listing": rolePre, "xmp": rolePre, "plaintext": rolePre, "summary": roleSummary,
	"b": roleStyle, "strong": roleStyle, "i": roleStyle, "em": roleStyle, "cite": roleStyle, "dfn": roleStyle, "var": roleStyle,
	"del": roleStyle, "s": roleStyle, "strike": roleStyle, "code": roleStyle, "tt": roleStyle, "kbd": roleStyle, "samp": roleStyle,
	"a": roleLink, "sub": roleScript, "sup": roleScript, "span": roleSpan, "div": roleSpan, "svg": roleForeign, "math": roleForeign,
	"script": roleUnseen, "style": roleUnseen, "br": roleBreak, "hr": roleRule, "img": rolePicture,
	"area": roleVoid, "base": roleVoid, "col": roleVoid, "embed": roleVoid, "input": roleVoid, "link": roleVoid, "meta": roleVoid,
	"param": roleVoid, "source": roleVoid, "track": roleVoid, "wbr": roleVoid,

	"p": roleBlock, "details": roleBlock, "dl": roleBlock, "dt": roleBlock, "dd": roleBlock, "address": roleBlock, "article": roleBlock,
	"aside": roleBlock, "body": roleBlock, "caption": roleBlock, "center": roleBlock, "dialog": roleBlock, "fieldset": roleBlock, "figcaption": roleBlock,
	"figure": roleBlock, "footer": roleBlock, "form": roleBlock, "head": roleBlock, "header": roleBlock, "hgroup": roleBlock, "html": roleBlock,
	"iframe": roleBlock, "legend": roleBlock, "main": roleBlock, "nav": roleBlock, "noembed": roleBlock, "noframes": roleBlock, "optgroup": roleBlock,
	"option": roleBlock, "search": roleBlock, "section": roleBlock, "select": roleBlock, "tbody": roleBlock, "textarea": roleBlock,
	"tfoot": roleBlock, "thead": roleBlock, "title": roleBlock,
}

// styles are those of the elements with [roleStyle].
var styles = map[string]Style{
	"b": Strong, "strong": Strong, "i": Emphasis, "em": Emphasis, "cite": Emphasis, "dfn": Emphasis, "var": Emphasis,
	"del": Deleted, "s": Deleted, "strike": Deleted, "code": Monospace, "tt": Monospace, "kbd": Monospace, "samp": Monospace,
}
