package mapping

import "github.com/matrix-connector/matrix-connector/internal/timeline"

// redacted says by whom and when a message was taken back, as far as that is known.
func redacted(r *timeline.Redaction) string {
	text := ""
	if r.By != "" {
		text += " by " + OneLine(r.By.String(), timeline.MaxIDBytes)
	}
	if !r.At.IsZero() {
		text += ", " + moment(r.At)
	}
	return text
}

// redactionFacts say that a message was taken back, and the reason that was given. The
// notice of a message whose text is gone says the rest.
func redactionFacts(post timeline.Post) []string {
	r := post.Redaction
	if r == nil {
		return nil
	}
	var lines []string
	if !post.Masked {
		lines = append(lines, "Deleted in the room"+redacted(r))
	}
	if reason := OneLine(r.Reason, timeline.MaxReasonBytes); reason != "" {
		lines = append(lines, "Reason of the deletion: "+reason)
	}
	return lines
}
