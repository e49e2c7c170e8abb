package openctitest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// bindings are the values that the placeholders of a transcript stand for in a
// replay.
type bindings map[string]string

var (
	placeholder = regexp.MustCompile(`<[a-zA-Z0-9:+_-]+>`)
	timestamp   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
)

// text replaces the placeholders in JSON text, whose order of keys stays.
func (b bindings) text(t []byte) []byte {
	return placeholder.ReplaceAllFunc(t, func(p []byte) []byte {
		if s, ok := b[string(p)]; ok {
			return []byte(s)
		}
		return p
	})
}

// fill replaces the placeholders that are bound.
func (b bindings) fill(v any) any {
	switch v := v.(type) {
	case string:
		return placeholder.ReplaceAllStringFunc(v, func(p string) string {
			if s, ok := b[p]; ok {
				return s
			}
			return p
		})
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = b.fill(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = b.fill(x)
		}
		return out
	}
	return v
}

// unordered lists are compared as sets: their order is not promised.
var unordered = []string{"edges", "capabilities", "allowed_marking", "objectMarking", "user_markings", "creators"}

// match compares a value with the recorded one, binding placeholders. It
// returns the first difference.
func (b bindings) match(want, got any, path string) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: want an object, got %v", path, got)
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, ok := want[k]; !ok {
				return fmt.Errorf("%s.%s: %v was not recorded", path, k, g[k])
			}
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			x, ok := g[k]
			if !ok {
				return fmt.Errorf("%s.%s: missing, recorded %v", path, k, want[k])
			}
			if err := b.match(want[k], x, path+"."+k); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Errorf("%s: want %d elements %v, got %v", path, len(want), want, got)
		}
		if slices.Contains(unordered, path[strings.LastIndexByte(path, '.')+1:]) {
			return b.matchSet(want, g, path)
		}
		for i := range want {
			if err := b.match(want[i], g[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case string:
		g, ok := got.(string)
		if !ok {
			return fmt.Errorf("%s: want %q, got %v", path, want, got)
		}
		return b.matchText(want, g, path)
	case json.Number:
		w, err := want.Float64()
		if g, ok := got.(float64); err != nil || !ok || g != w {
			return fmt.Errorf("%s: want %v, got %v", path, want, got)
		}
		return nil
	}
	if want != got {
		return fmt.Errorf("%s: want %v, got %v", path, want, got)
	}
	return nil
}

func (b bindings) matchSet(want, got []any, path string) error {
	left := slices.Clone(got)
	for _, w := range want {
		var last error
		found := false
		for i, g := range left {
			try := maps.Clone(b)
			if last = try.match(w, g, path+"[]"); last == nil {
				maps.Copy(b, try)
				left = slices.Delete(left, i, i+1)
				found = true
				break
			}
		}
		if !found {
			return fmt.Errorf("%s: nothing matches %v; last: %w", path, w, last)
		}
	}
	return nil
}

func (b bindings) matchText(want, got, path string) error {
	want = strings.ReplaceAll(want, "lab675_", "")
	if i := strings.Index(want, "\n    at "); i >= 0 {
		want = want[:i]
		got, _, _ = strings.Cut(got, "\n    at ")
	}
	var re strings.Builder
	re.WriteString("(?s)^")
	names := placeholder.FindAllString(want, -1)
	for i, part := range placeholder.Split(want, -1) {
		if i > 0 {
			if v, ok := b[names[i-1]]; ok {
				re.WriteString("(" + regexp.QuoteMeta(v) + ")")
			} else {
				re.WriteString("(.+?)")
			}
		}
		re.WriteString(regexp.QuoteMeta(part))
	}
	re.WriteString("$")
	m := regexp.MustCompile(re.String()).FindStringSubmatch(got)
	if m == nil {
		return fmt.Errorf("%s: want %q, got %q", path, b.fill(want), got)
	}
	for i, n := range names {
		if strings.HasPrefix(n, "<time-") && !timestamp.MatchString(m[i+1]) {
			return fmt.Errorf("%s: %q is no time", path, m[i+1])
		}
		b[n] = m[i+1]
	}
	return nil
}
