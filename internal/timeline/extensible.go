package timeline

import "strings"

// textBlocks are the names under which extensible events carry a text (MSC1767), the
// newest first.
var textBlocks = []string{"m.text", "m.message", "org.matrix.msc1767.message", "org.matrix.msc1767.text"}

// readText is the plain text of an extensible event, or of a block with text in it; empty
// where there is none.
func readText(content fields) string {
	for _, key := range textBlocks {
		if text, ok := content.text(key); ok {
			return text
		}
		for _, raw := range content.list(key, maxTextForms) {
			form, err := readFields(raw)
			if err != nil {
				continue
			}
			kind, given := form.text("mimetype")
			if text, ok := form.text("body"); ok && (!given || isPlain(kind)) {
				return text
			}
		}
	}
	return ""
}

// maxTextForms bounds how many forms of one text are looked at.
const maxTextForms = 16

func isPlain(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/plain")
}
