package opencti

import (
	"context"
	"fmt"
	"strings"
)

// oldestVersion is the oldest platform whose schema and behaviour the operations
// hold to.
const oldestVersion = "6.4.3"

func (p *Platform) version(ctx context.Context) (string, error) {
	var out struct {
		About struct {
			Version string `json:"version"`
		} `json:"about"`
	}
	if err := p.client.do(ctx, opAbout, nil, &out); err != nil {
		return "", err
	}
	return out.About.Version, nil
}

// supported compares a version with the oldest one.
func supported(version string) bool { return atLeast(version, 6, 4, 3) }

// atLeast compares the numbers of a version with others. What follows a hyphen or
// plus sign does not count.
func atLeast(version string, numbers ...int) bool {
	version, _, _ = strings.Cut(version, "+")
	version, _, _ = strings.Cut(version, "-")
	have := strings.Split(version, ".")
	for i, want := range numbers {
		n := 0
		if i < len(have) {
			if _, err := fmt.Sscanf(have[i], "%d", &n); err != nil {
				return false
			}
		}
		if n != want {
			return n > want
		}
	}
	return true
}

// clip keeps a text of the platform short enough for a line.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
