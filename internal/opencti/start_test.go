package opencti_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestStartTellsWhatTheUserCanDo(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, g, nil)
			reg, err := s.platform.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !reg.CanRead || !reg.CanAttach || len(reg.Lacking) > 0 || reg.MaxConfidence != 100 || reg.Reset || reg.State != nil {
				t.Errorf("%+v", reg)
			}
			if reg.Version == "" || reg.UserName == "" {
				t.Errorf("%+v", reg)
			}
			c := s.octi.Connectors()
			if len(c) != 1 || c[0].Name != "Matrix" || c[0].Type != "EXTERNAL_IMPORT" || !slices.Equal(c[0].Scope, []string{"matrix"}) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestStartNamesTheRightsThatAreLackingAndWhatIsLost(t *testing.T) {
	s := newScene(t, openctitest.Gen7, func(c *opencti.Config) { c.Token = "blind-token" })
	reg, err := s.platform.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range reg.Lacking {
		names = append(names, r.Name)
		if r.Lost == "" {
			t.Errorf("%s: nothing said about what is lost", r.Name)
		}
	}
	want := []string{"MODULES", "KNOWLEDGE_KNUPLOAD", "SETTINGS_SETLABELS", "KNOWLEDGE_KNASKIMPORT", "KNOWLEDGE_KNUPDATE_KNDELETE"}
	if !slices.Equal(names, want) {
		t.Errorf("lacking %v, want %v", names, want)
	}
	if reg.CanRead || reg.CanAttach {
		t.Errorf("%+v", reg)
	}
}

// problems are the texts of all Problems in an error.
func problems(t *testing.T, err error) []string {
	t.Helper()
	var list []string
	all := []error{err}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		all = j.Unwrap()
	}
	for _, e := range all {
		p, ok := errors.AsType[*opencti.Problem](e)
		if !ok {
			t.Errorf("no Problem: %v", e)
			continue
		}
		if p.Hint() == "" {
			t.Errorf("no cure for %q", p)
		}
		list = append(list, p.Error())
	}
	return list
}

func TestStartReportsAllProblemsAtOnce(t *testing.T) {
	unknown := stix.ID("marking-definition--11111111-2222-4333-8444-555555555555")
	for _, c := range []struct {
		name   string
		change func(*opencti.Config)
		want   []string
	}{
		{"a marking that does not exist and one that the user may not use", func(c *opencti.Config) {
			c.Token, c.Markings = "amber-token", []stix.ID{unknown, stix.TLPAmber.MarkingID(), stix.TLPRed.MarkingID()}
		}, []string{"marking " + string(unknown) + " does not exist", "may not use the marking TLP:RED"}},
		{
			"rights that are needed", func(c *opencti.Config) { c.Token = "powerless-token" },
			[]string{"lacks the capability CONNECTORAPI", "lacks the capability KNOWLEDGE_KNUPDATE"},
		},
		{"a token that nobody has", func(c *opencti.Config) { c.Token = "canary" }, []string{"AUTH_REQUIRED"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, openctitest.Gen7, c.change)
			_, err := s.platform.Start(t.Context())
			if err == nil {
				t.Fatal("started")
			}
			s.noSecrets(err.Error())
			got := problems(t, err)
			if len(got) != len(c.want) {
				t.Fatalf("problems %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("problem %q, want %q", got[i], c.want[i])
				}
			}
			if n := s.octi.Calls("registerConnector"); n != 0 {
				t.Errorf("registered all the same")
			}
		})
	}
}

func TestStartDoesNotTakeThePlaceOfAConnectorOfAnotherType(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, g, nil)
			enricher := connect(t, opencti.Config{
				URL: s.octi.URL(), Token: s.octi.Token("connector"), ConnectorID: connectorID, Name: "Enricher", Type: "INTERNAL_ENRICHMENT",
			})
			if _, err := enricher.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := s.platform.Start(t.Context())
			if err == nil {
				t.Fatal("started")
			}
			want := []string{"CONNECTOR_ID is that of another connector: Enricher, of type INTERNAL_ENRICHMENT"}
			if got := problems(t, err); !slices.Equal(got, want) {
				t.Errorf("problems %q, want %q", got, want)
			}
			if c := s.octi.Connectors(); len(c) != 1 || c[0].Name != "Enricher" || c[0].Type != "INTERNAL_ENRICHMENT" {
				t.Errorf("the other one is %+v now", c)
			}
			if _, err := enricher.Start(t.Context()); err != nil {
				t.Errorf("the other one cannot start again: %v", err)
			}
		})
	}
}

func TestStartWantsASupportedVersion(t *testing.T) {
	for version, supported := range map[string]bool{
		"6.4.2": false, "6.4.3": true, "6.10.0": true, "7.260318.0": true, "5.12.33": false, "6.4": false,
		"7.261026.0-rc1": true, "6.4.3+lts": true, "": false, "nonsense": false,
	} {
		t.Run("version "+version, func(t *testing.T) {
			v := version
			if v == "" {
				v = " " // the stand-in would answer its own
			}
			octi, err := openctitest.New(openctitest.Config{Generation: openctitest.Gen7, Version: v})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = octi.Close() })
			p := connect(t, opencti.Config{URL: octi.URL(), Token: octi.Token("connector"), ConnectorID: connectorID, Name: "Matrix"})
			_, err = p.Start(t.Context())
			if (err == nil) != supported {
				t.Fatalf("supported %v, got %v", supported, err)
			}
			if err != nil && !strings.Contains(problems(t, err)[0], "version") {
				t.Error(err)
			}
		})
	}
}

func TestAPlatformThatIsNotReadyIsNoProblemButToBeTriedAgain(t *testing.T) {
	for name, how := range map[string]openctitest.Failure{
		"429": openctitest.TooManyRequests, "500": openctitest.ServerError, "502": openctitest.BadGateway,
		"a page of HTML": openctitest.HTMLPage, "no answer": openctitest.Disconnect,
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, openctitest.Gen7, nil)
			s.octi.Faults().FailCalls("about", 1, how)
			_, err := s.platform.Start(t.Context())
			if _, ok := errors.AsType[*opencti.Problem](err); ok || err == nil {
				t.Fatalf("%v", err)
			}
			if c := opencti.ClassOf(err); c != opencti.Temporary && c != opencti.RateLimited {
				t.Errorf("class %s", c)
			}
			if _, err := s.platform.Start(t.Context()); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestTheStateIsGivenBackAfterARestart(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			if _, err := s.platform.Ping(t.Context(), []byte(`{"since":"s1"}`), opencti.PingInfo{}); err != nil {
				t.Fatal(err)
			}
			reg, err := s.platform.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if string(reg.State) != `{"since":"s1"}` {
				t.Errorf("state %s", reg.State)
			}
		})
	}
}

func TestMistakesOfTheConfigurationAreReportedTogether(t *testing.T) {
	_, err := opencti.New(opencti.Config{URL: "http://octi", Token: "ChangeMe", ConnectorID: "not_a_uuid", Name: "M", Markings: []stix.ID{"TLP:RED"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"token", "connector id", "name", "marking"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name the %s", err, want)
		}
	}
	_, err = opencti.New(opencti.Config{URL: "octi.example.org:secretcanary", Token: "x", ConnectorID: connectorID, Name: "Matrix"})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

func TestTheCertificateIsVerifiedUnlessAskedNotTo(t *testing.T) {
	octi, err := openctitest.New(openctitest.Config{Generation: openctitest.Gen7, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = octi.Close() })
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(octi.CA())
	for _, c := range []struct {
		name string
		tls  *tls.Config
		ok   bool
	}{
		{"default", &tls.Config{MinVersion: tls.VersionTLS12}, false},
		{"with its authority", &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority}, true},
		{"switched off", &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := connect(t, opencti.Config{URL: octi.URL(), Token: octi.Token("connector"), ConnectorID: connectorID, Name: "Matrix", Transport: &http.Transport{TLSClientConfig: c.tls}})
			_, err := p.Start(t.Context())
			if (err == nil) != c.ok {
				t.Error(err)
			}
			if err != nil && !strings.Contains(problems(t, err)[0], "certificate") {
				t.Error(err)
			}
		})
	}
}

func TestCookiesComeBackAndTheAgentIsOurs(t *testing.T) {
	var cookies, agents []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies, agents = append(cookies, r.Header.Get("Cookie")), append(agents, r.UserAgent())
		http.SetCookie(w, &http.Cookie{Name: "opencti_session", Value: "s1", Path: "/"})
		if r.URL.Path != "/base/graphql" || r.Header.Get("opencti-work-id") != "" {
			t.Errorf("%s %v", r.URL.Path, r.Header)
		}
		_, _ = w.Write([]byte(`{"data":{"about":{"version":"1.0.0"}}}`))
	}))
	defer server.Close()
	p := connect(t, opencti.Config{URL: server.URL + "/base/", Token: "x", ConnectorID: connectorID, Name: "Matrix", UserAgent: "matrix-connector/1"})
	_, _ = p.Start(t.Context())
	if !slices.Contains(cookies[1:], "opencti_session=s1") {
		t.Errorf("cookies %q", cookies)
	}
	if agents[0] != "matrix-connector/1" {
		t.Errorf("agent %q", agents[0])
	}
}

func TestARedirectIsNotFollowedWithTheToken(t *testing.T) {
	var leaked string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = r.Header.Get("Authorization") }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusMovedPermanently))
	defer server.Close()
	p := connect(t, opencti.Config{URL: server.URL, Token: "x", ConnectorID: connectorID, Name: "Matrix"})
	_, err := p.Start(t.Context())
	if err == nil || !strings.Contains(problems(t, err)[0], "redirect") {
		t.Errorf("%v", err)
	}
	if leaked != "" {
		t.Error("the token went elsewhere")
	}
}
