package mapping

import (
	"strconv"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// fileWords stand for a file without a caption: what it is and its name, or how long
// somebody spoke.
func fileWords(kind timeline.Kind, file timeline.File) string {
	if file.Voice {
		if seconds := file.Duration.Round(time.Second) / time.Second; seconds > 0 {
			return "[voice message " + strconv.FormatInt(int64(seconds), 10) + " s]"
		}
		return "[voice message]"
	}
	if file.Kind != "" {
		kind = file.Kind
	}
	return "[" + string(kind) + ": " + file.Name + "]"
}

// placeWords are the coordinates of a location; empty where there are none.
func placeWords(post timeline.Post) string {
	place, ok := timeline.ParsePlace(post.Geo)
	if post.Kind != timeline.KindLocation || !ok {
		return ""
	}
	words := "[location: " + place.Latitude + ", " + place.Longitude
	if place.Uncertainty != "" {
		words += " ±" + place.Uncertainty + " m"
	}
	return words + "]"
}

// placeFacts are the parts of a location, and its address as it was sent.
func placeFacts(post timeline.Post) []string {
	place, ok := timeline.ParsePlace(post.Geo)
	if !ok {
		return nil
	}
	fact := "Location: latitude " + place.Latitude + ", longitude " + place.Longitude
	if place.Altitude != "" {
		fact += ", altitude " + place.Altitude + " m"
	}
	if place.Uncertainty != "" {
		fact += ", uncertainty " + place.Uncertainty + " m"
	}
	return []string{fact, "Location as sent: " + post.Geo}
}

// claimFacts say what clients show beside the text, and for which the sender alone
// answers.
func claimFacts(claims *timeline.Claims) []string {
	if claims == nil {
		return nil
	}
	var lines []string
	if name := OneLine(claims.Profile, maxDisplayName); name != "" {
		lines = append(lines, "Shown under a name that the sender chose for this message: "+name)
	}
	var mentioned []string
	if claims.Everybody {
		mentioned = append(mentioned, "everybody in the room")
	}
	for i, user := range claims.Mentions {
		if i == maxNamed {
			mentioned = append(mentioned, strconv.Itoa(len(claims.Mentions)-i)+" more")
			break
		}
		mentioned = append(mentioned, OneLine(user.String(), timeline.MaxIDBytes))
	}
	if len(mentioned) > 0 {
		lines = append(lines, "Mentions: "+strings.Join(mentioned, ", "))
	}
	for _, address := range claims.Previews {
		if address = OneLine(address, maxPreview); address != "" {
			lines = append(lines, "Link with a preview: "+address)
		}
	}
	return lines
}

const maxPreview = 2000
