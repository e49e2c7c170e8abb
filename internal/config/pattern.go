package config

import (
	"regexp"
	"strings"
)

// SenderPatterns are Matrix ids in which * stands for any text: @alice:example.org,
// *:example.org.
type SenderPatterns []string

var senderPattern = regexp.MustCompile(`^(?:@[!-9;-~]+|\*):[0-9A-Za-z.*:\[\]-]+$`)

// UnmarshalText checks each pattern. A bare * is refused: everybody is *:*, which
// nobody writes by accident.
func (p *SenderPatterns) UnmarshalText(text []byte) error {
	return patterns(text, (*[]string)(p), senderPattern, "has an entry that is no Matrix id or pattern",
		"write Matrix ids or patterns with commas between them, like @alice:example.org,*:example.org")
}

// RoomPatterns are room ids and aliases in which * stands for any text:
// !abc:example.org, #ops:example.org, #ops-*:example.org.
type RoomPatterns []string

var roomPattern = regexp.MustCompile(`^[!#*][^\s]*$`)

// UnmarshalText checks each pattern.
func (p *RoomPatterns) UnmarshalText(text []byte) error {
	return patterns(text, (*[]string)(p), roomPattern, "has an entry that is no room id, alias or pattern",
		"write room ids, aliases or patterns with commas between them, like !abc:example.org,#ops-*:example.org")
}

// MediaPatterns are media types in which * stands for any text: image/*.
type MediaPatterns []string

var mediaPattern = regexp.MustCompile(`^[a-z0-9.+*-]+/[a-z0-9.+*-]+$`)

// UnmarshalText checks each pattern and takes it in lower case.
func (p *MediaPatterns) UnmarshalText(text []byte) error {
	return patterns([]byte(strings.ToLower(string(text))), (*[]string)(p), mediaPattern, "has an entry that is no media type or pattern",
		"write media types or patterns with commas between them, like image/*,application/pdf")
}

func patterns(text []byte, to *[]string, valid *regexp.Regexp, wrong, cure string) error {
	list := split(text)
	for _, entry := range list {
		if !valid.MatchString(entry) {
			return malformed(wrong, cure)
		}
	}
	*to = list
	return nil
}
