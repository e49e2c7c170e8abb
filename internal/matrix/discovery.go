package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxWellKnownBytes bounds the .well-known file.
const maxWellKnownBytes = 64 << 10

// discover finds the URL of the client-server API: an address as it is, and of a
// server name what its .well-known file says (Matrix C-S API v1.10, "Well-known URI").
func (a *Account) discover(ctx context.Context) (string, error) {
	name := strings.TrimSuffix(strings.TrimSpace(a.config.Homeserver), "/")
	if strings.Contains(name, "://") {
		if err := baseURL(name); err != nil {
			return "", a.refused(ReasonServer, err)
		}
		return name, nil
	}
	if name == "" || strings.ContainsAny(name, "/?#@ ") {
		return "", a.refused(ReasonServer, nil)
	}
	ctx, cancel := within(ctx)
	defer cancel()
	address, err := a.wellKnown(ctx, name)
	if err != nil {
		return "", fmt.Errorf("discover homeserver of %s: %w", name, err)
	}
	if address == "" {
		return "https://" + name, nil // no .well-known: the name itself (spec: IGNORE, then prompt)
	}
	return strings.TrimSuffix(address, "/"), nil
}

// wellKnown asks a server name for its homeserver's address; empty where it has no
// .well-known file. Redirects are followed. A file that names none has to be cured
// by a person (spec: FAIL_PROMPT), a failing server cures itself.
func (a *Account) wellKnown(ctx context.Context, name string) (string, error) {
	at := url.URL{Scheme: "https", Host: name, Path: "/.well-known/matrix/client"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return "", a.refused(ReasonServer, nil)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	client := &http.Client{Transport: a.transport()}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }() // all of it that counts was read
	switch {
	case res.StatusCode == http.StatusNotFound:
		return "", nil
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return "", fmt.Errorf(".well-known: status %d", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return "", a.refused(ReasonDiscovery, fmt.Errorf("status %d", res.StatusCode))
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxWellKnownBytes+1))
	if err != nil {
		return "", err
	}
	var known struct {
		Homeserver struct {
			BaseURL string `json:"base_url"`
		} `json:"m.homeserver"`
	}
	if len(text) > maxWellKnownBytes {
		return "", a.refused(ReasonDiscovery, errors.New("the file is too large"))
	}
	if json.Unmarshal(text, &known) != nil {
		return "", a.refused(ReasonDiscovery, errors.New("what is there is not the JSON of a .well-known file"))
	}
	if err := baseURL(known.Homeserver.BaseURL); err != nil {
		return "", a.refused(ReasonDiscovery, err)
	}
	return known.Homeserver.BaseURL, nil
}

// baseURL reports what keeps a text from being the address of a homeserver.
func baseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("not an http or https URL") // the parser's error repeats the text
	}
	return nil
}
