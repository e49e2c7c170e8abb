package opencti_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// graphQL is an answer with one error.
func graphQL(code, message string) string {
	return fmt.Sprintf(`{"errors":[{"message":%q,"extensions":{"code":%q},"name":%q}],"data":null}`, message, code, code)
}

func TestFailuresAreClassifiedOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		body   string
		class  opencti.Class
		code   string
	}{
		{"unknown token", 200, nil, graphQL("AUTH_REQUIRED", "You must be logged in to do this."), opencti.Unauthorized, "AUTH_REQUIRED"},
		{"missing right", 200, nil, graphQL("FORBIDDEN_ACCESS", "You are not allowed to do this."), opencti.Unauthorized, "FORBIDDEN_ACCESS"},
		{"a proxy wants a login", 401, nil, "<html>", opencti.Unauthorized, ""},
		{"wrong document", 200, nil, graphQL("GRAPHQL_VALIDATION_FAILED", `Cannot query field "canary" on type "AppInfo".`), opencti.Permanent, "GRAPHQL_VALIDATION_FAILED"},
		{"wrong variables", 200, nil, graphQL("BAD_USER_INPUT", `Variable "$n" got invalid value "canary"`), opencti.Permanent, "BAD_USER_INPUT"},
		{"rejected by a rule", 200, nil, graphQL("FUNCTIONAL_ERROR", "canary"), opencti.Permanent, "FUNCTIONAL_ERROR"},
		{"database", 200, nil, graphQL("DATABASE_ERROR", "canary"), opencti.Temporary, "DATABASE_ERROR"},
		{"lock by its code", 200, nil, graphQL("LOCK_ERROR", "canary"), opencti.Temporary, "LOCK_ERROR"},
		{"lock in the text only", 200, nil, graphQL("INTERNAL_SERVER_ERROR", `Unexpected error value: { extensions: { code: "LOCK_ERROR" } }`), opencti.Temporary, "INTERNAL_SERVER_ERROR"},
		{"a code that is not known", 200, nil, graphQL("SOMETHING_NEW", "canary"), opencti.Temporary, "SOMETHING_NEW"},
		{"a code that is no code", 200, nil, graphQL("canary text", "canary"), opencti.Temporary, "unknown"},
		{"errors beside HTTP 500", 500, nil, graphQL("AUTH_REQUIRED", "You must be logged in to do this."), opencti.Unauthorized, "AUTH_REQUIRED"},
		{"reading undefined, no edit", 200, nil, graphQL("INTERNAL_SERVER_ERROR", "Cannot read properties of undefined (reading 'x')"), opencti.Temporary, "INTERNAL_SERVER_ERROR"},
		{"rate limit with seconds", 429, http.Header{"Retry-After": {"7"}}, `{"message":"canary"}`, opencti.RateLimited, ""},
		{"rate limit without", 429, nil, "canary", opencti.RateLimited, ""},
		{"oversize as 7.x says it", 500, nil, `{"status":"error","error":"request entity too large"}`, opencti.Permanent, "too_large"},
		{"oversize as 6.7.5 says it", 500, nil, `{"status":"error","error":"PayloadTooLargeError: request entity too large\n    at canary"}`, opencti.Permanent, "too_large"},
		{"a large part", 500, nil, `{"status":"error","error":"The ‘operations’ multipart field value exceeds the 1000000 byte size limit"}`, opencti.Permanent, "too_large"},
		{"oversize for a proxy", 413, nil, "<html>canary", opencti.Permanent, "too_large"},
		{"malformed JSON", 500, nil, `{"status":"error","error":"Expected double-quoted property name canary"}`, opencti.Temporary, ""},
		{"bad gateway", 502, nil, "<html>canary</html>", opencti.Temporary, ""},
		{"a login page", 200, nil, "<html>canary</html>", opencti.Temporary, "not_graphql"},
		{"an empty answer", 200, nil, "", opencti.Temporary, "not_graphql"},
		{"another shape", 200, nil, `{"data":{"about":["canary"]}}`, opencti.Temporary, "unexpected_shape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), c.header)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			p := connect(t, opencti.Config{URL: server.URL, Token: "canary-token", ConnectorID: connectorID, Name: "Matrix"})
			_, err := p.Start(t.Context())
			e, ok := errors.AsType[*opencti.Error](err)
			if !ok {
				t.Fatalf("%v", err)
			}
			if e.Class != c.class || e.Code != c.code || opencti.ClassOf(err) != c.class {
				t.Errorf("class %s, code %q; want %s, %q", e.Class, e.Code, c.class, c.code)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats what was answered: %v", err)
			}
			if c.header != nil && e.RetryAfter != 7*time.Second {
				t.Errorf("to wait %s", e.RetryAfter)
			}
		})
	}
}

func TestSomethingElseAtThePlatformsAddressHasACure(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"another API": http.NotFound,
		"a page":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		server := httptest.NewServer(answer)
		p := connect(t, opencti.Config{URL: server.URL, Token: "x", ConnectorID: connectorID, Name: "Matrix"})
		_, err := p.Start(t.Context())
		server.Close()
		if e, ok := errors.AsType[*opencti.Error](err); !ok || !strings.Contains(e.Hint(), "OPENCTI_URL must be the platform's base URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPlatformThatCannotBeReachedIsTemporary(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p := connect(t, opencti.Config{URL: server.URL, Token: "x", ConnectorID: connectorID, Name: "Matrix"})
	if _, err := p.Start(t.Context()); opencti.ClassOf(err) != opencti.Temporary || err == nil {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Start(ctx); opencti.ClassOf(err) != opencti.Cancelled {
		t.Errorf("%v", err)
	}
}

func TestACallEndsWithItsTimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	p := connect(t, opencti.Config{URL: server.URL, Token: "x", ConnectorID: connectorID, Name: "Matrix", Timeout: 20 * time.Millisecond})
	if _, err := p.Start(t.Context()); opencti.ClassOf(err) != opencti.Temporary || err == nil {
		t.Errorf("%v", err)
	}
}

func TestBrokerErrorsAreClassified(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		class opencti.Class
		code  string
	}{
		{"message too large", &amqp.Error{Code: 406, Reason: "PRECONDITION_FAILED - message size 20000000 is larger than configured max size 16777216"}, opencti.Permanent, "too_large"},
		{"another precondition", &amqp.Error{Code: 406, Reason: "PRECONDITION_FAILED - unknown delivery tag 7"}, opencti.Temporary, "amqp_406"},
		{"wrong password", &amqp.Error{Code: 403, Reason: "username or password not allowed"}, opencti.Unauthorized, "amqp_403"},
		{"no such exchange", &amqp.Error{Code: 404, Reason: "NOT_FOUND - no exchange"}, opencti.Temporary, "unroutable"},
		{"shutdown", &amqp.Error{Code: 320, Reason: "CONNECTION_FORCED"}, opencti.Temporary, "amqp_320"},
		{"refused", errors.New("connection refused"), opencti.Temporary, ""},
		{"cancelled", context.Canceled, opencti.Cancelled, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := opencti.ClassifyAMQP("publish", c.err)
			if e.Class != c.class || e.Code != c.code {
				t.Errorf("class %s, code %q", e.Class, e.Code)
			}
		})
	}
}

func TestWhatIsGoneIsTheContractsErrGone(t *testing.T) {
	err := fmt.Errorf("attach: %w", &opencti.Error{Class: opencti.Gone, Op: "ImportPush"})
	if !errors.Is(err, stix.ErrGone) {
		t.Error("not ErrGone")
	}
	if opencti.ClassOf(errors.New("anything else")) != opencti.Temporary {
		t.Error("what is unknown is temporary")
	}
}
