package config_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

func TestHeaders(t *testing.T) {
	tests := map[string]struct {
		text  string
		want  http.Header
		wrong string
		cure  string
	}{
		"one pair":                             {"X-Team:intel", http.Header{"X-Team": {"intel"}}, "", ""},
		"blanks and a last semicolon":          {" x-team : intel ; X-Zone: dmz; ", http.Header{"X-Team": {"intel"}, "X-Zone": {"dmz"}}, "", ""},
		"a value with a colon":                 {"X-Origin:https://a:8080", http.Header{"X-Origin": {"https://a:8080"}}, "", ""},
		"a header that stands twice":           {"X-A:1;x-a:2", http.Header{"X-A": {"1", "2"}}, "", ""},
		"no colon":                             {"X-Team:intel;" + canary, nil, "has no colon in pair 2", "write name:value pairs"},
		"a name that is none":                  {canary + " x:y", nil, "has no name that HTTP allows in pair 1", ""},
		"no name":                              {":" + canary, nil, "has no name that HTTP allows in pair 1", ""},
		"no value":                             {"X-Team:", nil, "has no value that HTTP allows in pair 1", ""},
		"a line break in a value":              {"X-Team:" + canary + "\r\nX-Evil: 1", nil, "has no value that HTTP allows in pair 1", ""},
		"the header that the token goes into":  {"authorization: Bearer " + canary, nil, "must not set Authorization (pair 1)", "OPENCTI_TOKEN"},
		"a header that says where a body ends": {"X-A:1;content-length:" + canary, nil, "must not set Content-Length (pair 2)", "leave it out"},
		"semicolons alone":                     {";;", nil, "has no pair", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := config.Input{Environ: complete("OPENCTI_CUSTOM_HEADERS=" + test.text)}
			if test.wrong != "" {
				problems := problemsOf(t, in)
				if len(problems) != 1 || problems[0].Wrong != test.wrong || !strings.Contains(problems[0].Cure, test.cure) {
					t.Errorf("problems %+v, want one: %s", problems, test.wrong)
				}
				return
			}
			c := mustLoad(t, in)
			if diff := cmp.Diff(test.want, c.OpenCTI.CustomHeaders.Header()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHeadersAreShownToNobodyAndAreEachCallersOwn(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete("OPENCTI_CUSTOM_HEADERS=X-Key:header-" + canary)})
	h := c.OpenCTI.CustomHeaders
	if shown := fmt.Sprintf("%v %+v %#v %s %q", h, c.OpenCTI, h, h, h); strings.Contains(shown, canary) {
		t.Errorf("a header is shown: %s", shown)
	}
	if !strings.Contains(strings.Join(c.Secrets(), " "), "header-"+canary) {
		t.Error("a log would not hide the header")
	}
	h.Header().Set("X-Key", "changed")
	if got := h.Header().Get("X-Key"); got != "header-"+canary {
		t.Errorf("a caller changed everybody's header to %s", got)
	}
	if got := (config.Headers{}).Header(); got == nil || len(got) != 0 {
		t.Errorf("headers that are not set are %v", got)
	}
}
