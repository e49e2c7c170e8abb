package matrix_test

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

func TestPatternsMatchTheWholeText(t *testing.T) {
	cases := []struct {
		pattern matrix.Pattern
		text    string
		want    bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything: at all", true},
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"abc", "Abc", false},
		{"a*c", "ac", true},
		{"a*c", "abcbc", true},
		{"a*c", "abcb", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"#ops-*:x.org", "#ops-eu:x.org", true},
		{"#ops-*:x.org", "#ops:x.org", false},
		{"a.c", "abc", false},
		{"?", "a", false},
		{"**", "", true},
	}
	for _, tc := range cases {
		if got := tc.pattern.Match(tc.text); got != tc.want {
			t.Errorf("%q on %q: %v, want %v", tc.pattern, tc.text, got, tc.want)
		}
	}
	// A pattern of many stars must not take exponential time.
	if matrix.Pattern(strings.Repeat("a*", 200) + "b").Match(strings.Repeat("a", 20_000)) {
		t.Error("matched a text without its last letter")
	}
}

func TestRoomsAreChosenByIDOrAlias(t *testing.T) {
	cases := map[string]struct {
		patterns matrix.RoomPatterns
		room     id.RoomID
		alias    id.RoomAlias
		want     bool
	}{
		"nothing said, everything chosen":     {matrix.RoomPatterns{}, "!a:x", "", true},
		"chosen by id":                        {matrix.RoomPatterns{Only: []matrix.Pattern{"!a:x"}}, "!a:x", "", true},
		"chosen by alias":                     {matrix.RoomPatterns{Only: []matrix.Pattern{"#ops*:x"}}, "!a:x", "#ops:x", true},
		"another room is not chosen":          {matrix.RoomPatterns{Only: []matrix.Pattern{"!a:x"}}, "!b:x", "#a:x", false},
		"left out although chosen":            {matrix.RoomPatterns{Only: []matrix.Pattern{"*"}, Except: []matrix.Pattern{"!a:x"}}, "!a:x", "", false},
		"left out by alias":                   {matrix.RoomPatterns{Except: []matrix.Pattern{"#pub*"}}, "!a:x", "#public:x", false},
		"a star over aliases needs an alias":  {matrix.RoomPatterns{Only: []matrix.Pattern{"#*"}}, "!a:x", "", false},
		"an id without a server is just text": {matrix.RoomPatterns{Only: []matrix.Pattern{"!v12hash"}}, "!v12hash", "", true},
	}
	for name, tc := range cases {
		if got := tc.patterns.Allows(tc.room, tc.alias); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
