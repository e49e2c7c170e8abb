package openctitest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// transcript is a recording of conversations with a real platform, trimmed to
// what a replay needs.
type transcript struct {
	Queries []string `json:"queries"`
	Entries []*entry `json:"entries"`
}

type entry struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
	After *struct {
		Graph map[string]map[string]any `json:"graph"`
	} `json:"after,omitempty"`
}

type step struct {
	At        int             `json:"at_ms"`
	Operation string          `json:"operation"`
	As        string          `json:"as"`
	Note      string          `json:"note,omitempty"`
	Query     int             `json:"q,omitempty"` // index in Queries, from 1
	Variables json.RawMessage `json:"variables,omitempty"`
	Request   *rawRequest     `json:"request,omitempty"`
	Header    map[string]any  `json:"request_headers,omitempty"`
	Publish   *publish        `json:"publish,omitempty"`
	Confirm   string          `json:"confirm,omitempty"`
	Status    int             `json:"status,omitempty"`
	Body      any             `json:"body,omitempty"`
	Failure   any             `json:"transport_error,omitempty"`
}

type rawRequest struct {
	Type  string `json:"content-type"`
	Body  string `json:"body,omitempty"`
	Parts []struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"parts,omitempty"`
}

type publish struct {
	Envelope map[string]any  `json:"envelope"`
	Content  json.RawMessage `json:"content_decoded"` // in the order in which it was sent
}

// trim reads a recording and keeps what the replay needs.
func trim(t *testing.T, file, to string) {
	t.Helper()
	dir := os.Getenv("OPENCTI_SCHEMAS") //nolint:forbidigo // a test has no settings
	if dir == "" {
		t.Fatal("-update needs OPENCTI_SCHEMAS")
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Entries []struct {
			entry
			Steps []struct {
				step
				Query string `json:"query"`
			} `json:"steps"`
		} `json:"entries"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&whole); err != nil {
		t.Fatal(err)
	}
	out := transcript{}
	for _, e := range whole.Entries {
		x := e.entry
		x.Steps = nil
		for _, s := range e.Steps {
			y := s.step
			if s.Query != "" {
				i := slices.Index(out.Queries, s.Query)
				if i < 0 {
					out.Queries = append(out.Queries, s.Query)
					i = len(out.Queries) - 1
				}
				y.Query = i + 1
			}
			if y.Publish != nil {
				if bytes.HasPrefix(y.Publish.Content, []byte("{")) {
					delete(y.Publish.Envelope, "content")
				}
			}
			x.Steps = append(x.Steps, y)
		}
		out.Entries = append(out.Entries, &x)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	// Placeholders such as <work-1> stay as they are, in raw JSON too.
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func loadTranscript(t *testing.T, file string) transcript {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var out transcript
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}
