package timeline_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// FuzzAttachment fuzzes what a sender says of a file: its name, where it lies, its type,
// how large and long it is.
func FuzzAttachment(f *testing.F) {
	for _, name := range []string{"", ".", "..", "../../etc/passwd", "a\\b/c", "\u202egpj.exe", "a\x00b", "\u200d.\u200d", strings.Repeat("ß", 400) + ".pdf", "x." + strings.Repeat("y", 300), "\xff\xfe", "CON", "a\u2044b\nc"} {
		f.Add(name, "mxc://example.org/abc", "image/png", []byte("1"), []byte("1.5"))
	}
	for _, address := range []string{"", "mxc://", "mxc://a", "mxc://a/../..", "mxc://../b", "mxc://a/b/c", "mxc://a/b?c", "mxc://a b/c", "mxc://[::1]/c", "mxc://a:99999/c", "MXC://a/b", "http://a/b", "mxc://a/" + strings.Repeat("b", 600), "mxc://./b", "mxc://a/b#c", "mxc://ä/b"} {
		f.Add("a", address, "text/plain; charset=x", []byte("1e30"), []byte("-1"))
	}
	for _, number := range []string{"-1", "0", "1e30", "1e400", "9007199254740993", "9223372036854775808", "1.5", `"5"`, "null", "[]", "{}", "true", "-0"} {
		f.Add("a", "mxc://a.b/c", "a/b/c", []byte(number), []byte(number))
	}
	f.Fuzz(func(t *testing.T, name, address, mediaType string, size, duration []byte) {
		if !json.Valid(size) || !json.Valid(duration) {
			return
		}
		text := func(s string) string {
			out, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		info := `{"mimetype":` + text(mediaType) + `,"size":` + string(size) + `,"duration":` + string(duration) + `}`
		for _, kind := range []string{"m.file", "m.image", "m.audio"} {
			item, err := timeline.Parse(message(`{"msgtype":"` + kind + `","body":` + text(name) + `,"url":` + text(address) + `,"info":` + info + `}`))
			if err != nil || len(item.Files) != 1 {
				t.Fatalf("%d files, %v", len(item.Files), err)
			}
			if problem := broken(item); problem != "" {
				t.Fatalf("%s: %+v", problem, item)
			}
			file := item.Files[0]
			if uri := file.URI.String(); file.Problem == "" && (uri != address || strings.ContainsAny(uri[len("mxc://"):], " ?#%\\\n") || strings.Count(uri, "/") != 3 || strings.Contains(uri, "/.")) {
				t.Fatalf("the address %q of %q has no problem", uri, address)
			}
			if file.Size > 1<<53 || file.Duration > 100*24*time.Hour || strings.ContainsAny(file.MimeType, " ;\n") {
				t.Fatalf("claims %d, %s, %q", file.Size, file.Duration, file.MimeType)
			}
			if strings.HasPrefix(file.Name, ".") || strings.HasSuffix(file.Name, ".") || strings.TrimSpace(file.Name) != file.Name {
				t.Fatalf("name %q of %q", file.Name, name)
			}
		}
	})
}

// FuzzGeo fuzzes where a sender claims to be.
func FuzzGeo(f *testing.F) {
	for _, uri := range []string{"geo:51.5,0.1;u=35", "geo:-1,2,3", "geo:", "geo:1,2\n", "geo:1,2;x=y;z", "geo:1e9,2", "geo:1,2;u=" + strings.Repeat("1", 300), "geo:1,2?q=javascript:x", "GEO:1,2", "geo:١,٢", "geo:1,2;u=<b>"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		text, err := json.Marshal(uri)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{`"geo_uri":` + string(text), `"m.location":{"uri":` + string(text) + `}`} {
			item, err := timeline.Parse(message(`{"msgtype":"m.location","body":"x",` + content + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if item.Geo == "" {
				continue
			}
			point, _, _ := strings.Cut(strings.TrimPrefix(item.Geo, "geo:"), ";")
			parts := strings.Split(point, ",")
			if item.Geo != uri || len(item.Geo) > timeline.MaxGeoBytes || len(parts) < 2 || len(parts) > 3 {
				t.Fatalf("%q is read as %q", uri, item.Geo)
			}
			for _, part := range parts {
				if _, err := strconv.ParseFloat(part, 64); err != nil {
					t.Fatalf("%q has the coordinate %q", uri, part)
				}
			}
			for _, r := range item.Geo {
				if r <= ' ' || r > '~' || strings.ContainsRune("<>\"'`[]()*\\", r) {
					t.Fatalf("%q holds %q", uri, r)
				}
			}
		}
	})
}

// FuzzClampTime fuzzes when a sender's homeserver claims that something was said.
func FuzzClampTime(f *testing.F) {
	for _, ms := range []int64{0, 1, -1, math.MinInt64, math.MaxInt64, 253402300799999, 253402300800000, -62135596800000, 1704164645123} {
		f.Add(ms, ms+1)
	}
	f.Fuzz(func(t *testing.T, ms, other int64) {
		at := timeline.ClampTime(ms)
		text, err := at.MarshalJSON()
		if err != nil || at.Year() < 1970 || at.Year() > 9999 {
			t.Fatalf("%d is %s, %v", ms, text, err)
		}
		if ms >= 0 && at.Year() < 9999 && at.UnixMilli() != ms {
			t.Fatalf("%d is %s", ms, text)
		}
		if ms <= other && at.After(timeline.ClampTime(other)) {
			t.Fatalf("%d comes after %d", ms, other)
		}
	})
}
