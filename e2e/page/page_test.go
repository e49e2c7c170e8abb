package page_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"image"
	"image/png"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/status"
)

var pictures = flag.String("pictures", "", "a folder to keep the pictures in")

// serves shows a snapshot on a real port.
func serves(t *testing.T, s status.Snapshot) string {
	t.Helper()
	server := httptest.NewServer(status.NewHandler(status.Config{Source: shown{s}, Now: func() time.Time { return at }}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

func TestThePageIsWholeInABrowser(t *testing.T) {
	for name, snapshot := range map[string]status.Snapshot{"healthy": healthy(), "away": away(), "hostile": hostile(), "empty": {At: at}} {
		t.Run(name, func(t *testing.T) {
			url := serves(t, snapshot)
			b := opens(t)
			b.goesTo(url)
			for _, width := range []int{390, 768, 1280} {
				for _, scheme := range []string{"light", "dark"} {
					shot := b.looks(width, scheme)
					picture, err := png.Decode(bytes.NewReader(shot))
					if err != nil {
						t.Fatal(err)
					}
					if picture.Bounds().Dx() != width || uniform(picture) {
						t.Errorf("%d wide, %s: an empty picture of %v", width, scheme, picture.Bounds())
					}
					keep(t, name, width, scheme, shot)
					var wide int
					b.finds("document.documentElement.scrollWidth", &wide)
					if wide > width {
						t.Errorf("%d wide: the page is %d wide", width, wide)
					}
				}
			}
			harmless(t, b, url)
		})
	}
}

// harmless asserts that the page did nothing but stand there.
func harmless(t *testing.T, b *browser, url string) {
	t.Helper()
	for _, params := range b.events("Network.requestWillBeSent") {
		var sent struct{ Request struct{ URL string } }
		if err := json.Unmarshal(params, &sent); err != nil {
			t.Fatal(err)
		}
		if sent.Request.URL != url && !strings.HasPrefix(sent.Request.URL, "data:") && sent.Request.URL != "about:blank" {
			t.Errorf("the page asks for %s", sent.Request.URL)
		}
	}
	for _, params := range b.events("Log.entryAdded") {
		t.Errorf("the browser complains: %s", params)
	}
	for _, params := range b.events("Runtime.exceptionThrown") {
		t.Errorf("a script ran: %s", params)
	}
	var harmed bool
	b.finds("'harmed' in window", &harmed)
	if harmed {
		t.Error("a room's name ran as a script")
	}
	// Whatever can act, and where its style comes from.
	var active int
	b.finds("document.querySelectorAll('script,img,iframe,object,embed,form,base,[style],[onerror],[onmouseover],link:not([rel=icon])').length", &active)
	if active != 0 {
		t.Errorf("%d elements that can act", active)
	}
	var styled string
	b.finds("getComputedStyle(document.querySelector('.health')).borderTopLeftRadius", &styled)
	if styled != "12px" {
		t.Errorf("the page's own style is not used: radius %q", styled)
	}
}

func TestNamesOfStrangersAreShownAsTheyAreAndInert(t *testing.T) {
	b := opens(t)
	b.goesTo(serves(t, hostile()))
	var names []string
	b.finds("[...document.querySelectorAll('.name')].map(e => e.textContent)", &names)
	if len(names) != 4 {
		t.Fatalf("names %q", names)
	}
	if !strings.HasPrefix(names[0], "</style></td></table><script>") {
		t.Errorf("markup is not shown as text: %q", names[0])
	}
	if names[1] != "txt.exe reversed[31mz\u0301\u0302\u0303" {
		t.Errorf("directions, controls and towers: %q", names[1])
	}
	if n := len([]rune(names[2])); n != 81 || !strings.HasSuffix(names[2], "…") {
		t.Errorf("a long name has %d characters", n)
	}
}

func TestAPersonFindsTheirWayWithoutSeeing(t *testing.T) {
	b := opens(t)
	b.goesTo(serves(t, away()))
	var lacks []string
	b.finds(`[
		document.documentElement.lang === 'en' ? '' : 'a language',
		document.title.startsWith('✗') ? '' : 'a title that tells',
		document.querySelectorAll('h1').length === 1 ? '' : 'one heading',
		document.querySelectorAll('h2').length >= 5 ? '' : 'headings of parts',
		document.querySelector('[role=status]') ? '' : 'a status',
		[...document.querySelectorAll('th')].every(e => e.scope === 'col') ? '' : 'scopes of columns',
		[...document.querySelectorAll('tbody td + td')].every(e => e.dataset.label) ? '' : 'labels of cells',
	].filter(Boolean)`, &lacks)
	if len(lacks) > 0 {
		t.Errorf("the page lacks %s", strings.Join(lacks, ", "))
	}
	// WCAG 2.1, 1.4.3: 4.5 to 1 for text, in both schemes.
	for _, scheme := range []string{"light", "dark"} {
		b.looks(1280, scheme)
		var faint []string
		b.finds(contrast, &faint)
		if len(faint) > 0 {
			t.Errorf("%s: too faint: %s", scheme, strings.Join(faint, "; "))
		}
	}
}

// contrast lists texts whose contrast with what is behind them is too low.
const contrast = `(() => {
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const lum = c => { const [r, g, b] = rgb(c).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c; } return 'rgb(255,255,255)'; };
	const out = new Set();
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
		const a = lum(getComputedStyle(e).color), b = lum(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) out.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
	}
	return [...out];
})()`

// uniform reports whether a picture has one colour only.
func uniform(p image.Image) bool {
	first := p.At(0, 0)
	for y := range p.Bounds().Dy() {
		for x := range p.Bounds().Dx() {
			if p.At(x, y) != first {
				return false
			}
		}
	}
	return true
}

func keep(t *testing.T, name string, width int, scheme string, shot []byte) {
	t.Helper()
	if *pictures == "" {
		return
	}
	file := filepath.Join(*pictures, name+"-"+map[int]string{390: "phone", 768: "tablet", 1280: "desk"}[width]+"-"+scheme+".png")
	if err := os.WriteFile(file, shot, 0o600); err != nil {
		t.Fatal(err)
	}
}
