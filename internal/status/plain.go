package status

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Plain makes a text of strangers fit to be shown: one line, at most so many
// characters, without control, direction and other invisible characters. It is still
// to be escaped.
func Plain(text string, most int) string {
	var b strings.Builder
	n, blank := 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			blank = true
			continue
		case r == utf8.RuneError, unicode.Is(unicode.C, r), isInvisible(r):
			continue
		}
		// A letter carries some marks in every script; a tower of them covers other rows.
		if blank && n > 0 {
			b.WriteByte(' ')
			n++
		}
		blank = false
		if n >= most {
			return strings.TrimSpace(b.String()) + "…"
		}
		b.WriteRune(r)
		n++
	}
	return untowered(b.String())
}

// isInvisible reports whether a character takes no room or fills it with nothing,
// beside those of the category Other.
func isInvisible(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0:
		return true
	}
	return false
}

// marks is how many combining marks one letter may carry.
const marks = 3

func untowered(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if !unicode.Is(unicode.M, r) {
			n = 0
			return r
		}
		if n++; n > marks {
			return -1
		}
		return r
	}, s)
}

// span is a duration as a person says it: its largest unit or two.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "under 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		if minutes := d % time.Hour / time.Minute; minutes > 0 && d < 10*time.Hour {
			return fmt.Sprintf("%d h %d min", d/time.Hour, minutes)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
