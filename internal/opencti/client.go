package opencti

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/crash"
)

// maxAnswerBytes bounds what is read of an answer. A hundred messages of the
// largest size that is sent stay far below it.
const maxAnswerBytes = 64 << 20

// client speaks GraphQL over HTTP to one platform.
type client struct {
	http     *http.Client
	endpoint string
	token    string
	agent    string
	timeout  time.Duration // of a call that is not an upload
}

func newClient(c Config) (*client, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		// The parser's error repeats the text, which may hold a password.
		return nil, errors.New("platform url: not an http or https URL")
	}
	// Before 6.6 the platform makes a session of its own for every call that
	// comes without the cookie of an earlier one (opencti.md §2.1), and a balancer
	// tells by its own cookie which of several nodes knows the connector.
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("cookie jar: %w", err)
	}
	return &client{
		http: &http.Client{
			Transport: c.Transport,
			Jar:       jar,
			// Following would turn the POST into a GET and lose the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		endpoint: strings.TrimRight(base.String(), "/") + "/graphql",
		token:    c.Token,
		agent:    c.UserAgent,
		timeout:  c.Timeout,
	}, nil
}

// request is the body of a GraphQL call.
type request struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables"`
	Operation string         `json:"operationName"`
}

// do sends an operation and decodes its data into out, which may be nil.
func (c *client) do(ctx context.Context, op string, variables map[string]any, out any) error {
	body, err := json.Marshal(request{Query: document(op), Variables: variables, Operation: op})
	if err != nil {
		return &Error{Class: Permanent, Op: op, cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.send(ctx, op, "application/json", bytes.NewReader(body), int64(len(body)), out)
}

// send posts a body of a known length and reads the answer.
func (c *client) send(ctx context.Context, op, contentType string, body io.Reader, length int64, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, body)
	if err != nil {
		return &Error{Class: Permanent, Op: op, Code: "request"}
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", c.agent)
	crash.At("platform: before", op)
	resp, err := c.http.Do(req)
	crash.At("platform: after", op)
	if err != nil {
		return transportError(op, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return transportError(op, err)
	}
	return decodeAnswer(op, resp, text, out)
}

// transportError hides the URL that net/http puts before its errors.
func transportError(op string, err error) *Error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	e := &Error{Class: cancelledOr(err, Temporary), Op: op, cause: err}
	switch l, ok := errors.AsType[lasting](err); {
	case untrusted(err):
		e.Class, e.Code = Unauthorized, codeCertificate
	case ok && l.Lasting():
		e.Class = Unauthorized
	}
	return e
}

// lasting is what the failure of a connection may say about itself: that nothing
// but a person can change it.
type lasting interface {
	error
	Lasting() bool
}

// untrusted reports whether a connection failed because the peer's certificate
// could not be verified, which nothing but a person can change.
func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// decodeData reads an answer that holds data and nothing else, in one pass. It reports
// false, and says nothing of out, for every other one.
func decodeData(text []byte, out any) bool {
	if !bytes.HasPrefix(text, []byte(`{"data":{`)) || len(text) > maxAnswerBytes {
		return false
	}
	body := struct {
		Data   any             `json:"data"`
		Errors json.RawMessage `json:"errors"`
		Error  json.RawMessage `json:"error"`
	}{Data: out}
	return json.Unmarshal(text, &body) == nil && body.Errors == nil && body.Error == nil
}

// decodeAnswer reads errors[] whatever the status says: 6.7.5 sends some with
// HTTP 500.
func decodeAnswer(op string, resp *http.Response, text []byte, out any) error {
	if resp.StatusCode == http.StatusOK && out != nil && decodeData(text, out) {
		return nil
	}
	var body struct {
		Data   json.RawMessage `json:"data"`
		Errors []answer        `json:"errors"`
		Error  string          `json:"error"` // of answers that are not GraphQL
	}
	decoded := json.Unmarshal(text, &body) == nil
	status := resp.StatusCode
	switch {
	case status == http.StatusTooManyRequests:
		return &Error{Class: RateLimited, Op: op, Status: status, RetryAfter: retryAfter(resp.Header)}
	case status >= 300 && status < 400:
		return &Error{Class: Permanent, Op: op, Status: status, Code: codeRedirect}
	case status == http.StatusRequestEntityTooLarge,
		decoded && (strings.Contains(body.Error, phraseTooLarge) || strings.Contains(body.Error, phrasePartLimit)):
		return &Error{Class: Permanent, Op: op, Status: status, Code: codeTooLarge}
	case len(text) > maxAnswerBytes:
		return &Error{Class: Permanent, Op: op, Status: status, Code: codeTooLarge}
	case decoded && len(body.Errors) > 0:
		return classify(op, status, body.Errors[0])
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return &Error{Class: Unauthorized, Op: op, Status: status} // of a proxy
	case status != http.StatusOK:
		return &Error{Class: Temporary, Op: op, Status: status}
	case !decoded || len(body.Data) == 0:
		return &Error{Class: Temporary, Op: op, Status: status, Code: codeNotGraphQL}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body.Data, out); err != nil {
		// The decoder's error may repeat a value.
		return &Error{Class: Temporary, Op: op, Status: status, Code: "unexpected_shape"}
	}
	return nil
}

// retryAfter reads the header in seconds or as a date.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}
