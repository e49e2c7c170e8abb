package matrix_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// world answers for every host: what it has no words for is the homeserver's.
type world struct {
	server string            // base URL of the homeserver
	says   map[string]answer // by URL
	asked  []string
}

type answer struct {
	status int
	body   string
	to     string // where it redirects to
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked = append(w.asked, r.URL.String())
	if a, ok := w.says[r.URL.String()]; ok {
		h := http.Header{"Content-Type": {"text/html"}}
		if a.to != "" {
			h.Set("Location", a.to)
		}
		return &http.Response{
			StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)),
			ContentLength: int64(len(a.body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
		}, nil
	}
	to, err := url.Parse(w.server)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/chat") // which a server before it takes away
	return http.DefaultTransport.RoundTrip(r)
}

func TestTheHomeserverIsFoundByItsServerName(t *testing.T) {
	const at = "https://corp.example/.well-known/matrix/client"
	file := func(base string) string {
		return `{"m.homeserver":{"base_url":"` + base + `"},"org.example.other":{"x":1}}`
	}
	for _, c := range []struct {
		name, server string
		says         map[string]answer
		want         string // the address that is then asked
	}{
		{"a file", "corp.example", map[string]answer{at: {200, file("https://hs.corp.example"), ""}}, "https://hs.corp.example/"},
		{"a file with a final slash", "corp.example", map[string]answer{at: {200, file("https://hs.corp.example/"), ""}}, "https://hs.corp.example/"},
		{"a file with a path", "corp.example", map[string]answer{at: {200, file("https://corp.example/chat"), ""}}, "https://corp.example/chat/"},
		{"a file with an IPv6 address", "corp.example", map[string]answer{at: {200, file("http://[2001:db8::1]:8008"), ""}}, "http://[2001:db8::1]:8008/"},
		{
			"a redirect to another host", "corp.example",
			map[string]answer{
				at: {302, "", "https://www.corp.example/well-known.json"},
				"https://www.corp.example/well-known.json": {200, file("https://hs.corp.example"), ""},
			},
			"https://hs.corp.example/",
		},
		{"no file", "corp.example", map[string]answer{at: {404, "<html>", ""}}, "https://corp.example/"},
		{"a name with a port", "corp.example:8448", map[string]answer{"https://corp.example:8448/.well-known/matrix/client": {404, "", ""}}, "https://corp.example:8448/"},
		{"an address and a port", "[::1]:8448", map[string]answer{"https://[::1]:8448/.well-known/matrix/client": {404, "", ""}}, "https://[::1]:8448/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			w := &world{server: s.server.URL(), says: c.says}
			s.open(func(m *matrix.Config) { m.Homeserver, m.Transport = c.server, w })
			for _, asked := range w.asked {
				if strings.Contains(asked, "/_matrix/") && !strings.HasPrefix(asked, c.want) {
					t.Errorf("%s was asked, want %s", asked, c.want)
				}
			}
		})
	}
}

func TestAFileThatNamesNoHomeserverIsForAPerson(t *testing.T) {
	const at = "https://corp.example/.well-known/matrix/client"
	for _, c := range []struct {
		name   string
		answer answer
	}{
		{"a page", answer{200, "<!doctype html><title>canary</title>", ""}},
		{"another JSON", answer{200, `{"canary":true}`, ""}},
		{"a list", answer{200, `["canary"]`, ""}},
		{"an address of another kind", answer{200, `{"m.homeserver":{"base_url":"ftp://canary"}}`, ""}},
		{"no address", answer{200, `{"m.homeserver":{"base_url":""}}`, ""}},
		{"a number", answer{200, `{"m.homeserver":{"base_url":7}}`, ""}},
		{"too much", answer{200, `{"canary":"` + strings.Repeat("x", 70<<10) + `"}`, ""}},
		{"nobody may read it", answer{403, "canary", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, matrixtest.Options{})
			w := &world{server: s.server.URL(), says: map[string]answer{at: c.answer}}
			_, err := s.tryOpen(func(m *matrix.Config) { m.Homeserver, m.Transport = "corp.example", w })
			e, ok := errors.AsType[*matrix.LoginError](err)
			if !ok || e.Reason != matrix.ReasonDiscovery || !strings.Contains(e.Hint(), "MATRIX_SERVER") {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%q repeats what was there", err)
			}
		})
	}
	t.Run("a server that fails cures itself", func(t *testing.T) {
		s := newScene(t, matrixtest.Options{})
		w := &world{server: s.server.URL(), says: map[string]answer{at: {502, "<html>", ""}}}
		_, err := s.tryOpen(func(m *matrix.Config) { m.Homeserver, m.Transport = "corp.example", w })
		if err == nil || matrix.Classify(err).Class != matrix.ClassTemporary {
			t.Errorf("%v", err)
		}
	})
}

func TestAHomeserverOnIPv6AloneIsUsed(t *testing.T) {
	var l net.ListenConfig
	six, err := l.Listen(t.Context(), "tcp6", "[::1]:0")
	if err != nil {
		if os.Getenv("CI") != "" { //nolint:forbidigo // a test has no settings
			t.Fatal(err)
		}
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	s := newScene(t, matrixtest.Options{})
	w := &world{server: s.server.URL()}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Host, out.URL.Scheme = "", "homeserver", "http"
		res, err := w.RoundTrip(out)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = res.Body.Close() }()
		rw.WriteHeader(res.StatusCode)
		_, _ = io.Copy(rw, res.Body)
	}))
	if err := front.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	front.Listener = six
	front.Start()
	t.Cleanup(front.Close)
	if !strings.HasPrefix(front.URL, "http://[::1]:") {
		t.Fatal(front.URL)
	}
	s.open(func(m *matrix.Config) { m.Homeserver = front.URL })
}
