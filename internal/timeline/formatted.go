package timeline

import (
	"strings"

	"maunium.net/go/mautrix/event"

	"github.com/matrix-connector/matrix-connector/internal/markup"
)

// readWords reads what a message says twice, as plain text and as HTML. People are
// shown the HTML; the sender's client wrote both, and nothing makes them agree.
func readWords(item *Item, body string, content fields) {
	item.Text = clip(body, MaxTextBytes)
	item.HTML = readHTML(content)
	if item.HTML == "" {
		return
	}
	document := markup.Parse(item.HTML)
	formatted := clip(document.Text(MaxTextBytes), MaxTextBytes)
	if strings.TrimSpace(formatted) == "" || !markup.More(formatted, body) {
		return
	}
	item.Text = formatted
	if markup.More(body, document.All()) {
		item.Body = clip(body, MaxTextBytes)
	}
}

// readHTML is the formatted body of a content that has one. The quote of a reply is
// left out by [markup.Parse].
func readHTML(content fields) string {
	if format, _ := content.text("format"); format != string(event.FormatHTML) {
		return ""
	}
	html, _ := content.text("formatted_body")
	return clip(html, MaxTextBytes)
}
