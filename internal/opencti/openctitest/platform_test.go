package openctitest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func newPlatform(t *testing.T, cfg openctitest.Config) *openctitest.Platform {
	t.Helper()
	if cfg.Generation == 0 {
		cfg.Generation = openctitest.Gen7
	}
	p, err := openctitest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask posts a GraphQL request of the connector's user and returns the decoded body.
func ask(t *testing.T, p *openctitest.Platform, query string, vars map[string]any) map[string]any {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := post(t.Context(), p, body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

func post(ctx context.Context, p *openctitest.Platform, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL()+"/graphql", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token("connector"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, text, err
}

// envelope is a message of the queue as the connector publishes it.
func envelope(user, work string, object any) []byte {
	bundle := map[string]any{"type": "bundle", "id": "bundle--b9b1ea13-b1d2-509b-9f6c-dd0a0be22eb3", "spec_version": "2.1", "x_opencti_seq": 1, "objects": []any{object}}
	text, err := json.Marshal(bundle)
	if err != nil {
		panic(err)
	}
	m := map[string]any{
		"bundle_type": "QUEUE_BUNDLE", "applicant_id": user, "action_sequence": 1, "entities_types": []any{},
		"content": base64.StdEncoding.EncodeToString(text), "update": false, "draft_id": nil,
	}
	if work != "" {
		m["work_id"] = work
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return out
}

func value(v any, path ...any) any {
	for _, k := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[k.(string)]
		case []any:
			if i := k.(int); i < len(x) {
				v = x[i]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return v
}

func media(url, content string) map[string]any {
	return map[string]any{"type": "media-content", "spec_version": "2.1", "id": "media-content--140589d8-2448-58f9-99d9-f6ec49343aa2", "url": url, "content": content}
}

func TestAWorkFromRegistrationToReadBack(t *testing.T) {
	for _, g := range []openctitest.Generation{openctitest.Gen6, openctitest.Gen7} {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			p := newPlatform(t, openctitest.Config{Generation: g})
			const id = "5e55a000-0000-4000-8000-000000000001"
			r := ask(t, p, `mutation R($i: RegisterConnectorInput!) { registerConnector(input: $i) { id connector_user_id config { push } } }`,
				map[string]any{"i": map[string]any{"id": id, "name": "Matrix", "type": "EXTERNAL_IMPORT", "scope": []string{"matrix"}}})
			if got := value(r, "data", "registerConnector", "connector_user_id"); got != p.UserID("connector") {
				t.Fatalf("registration: %v", r)
			}
			r = ask(t, p, `mutation { workAdd(connectorId: "`+id+`", friendlyName: "batch") { id } }`, nil)
			work, _ := value(r, "data", "workAdd", "id").(string)
			ask(t, p, `mutation { workEdit(id: "`+work+`") { addExpectations(expectations: 1) } }`, nil)
			if err := p.Ingest(envelope(p.UserID("connector"), work, media("$a:example.org", "hello"))); err != nil {
				t.Fatal(err)
			}
			poll := `query { work(id: "` + work + `") { status tracking { import_expected_number import_processed_number } } }`
			r = ask(t, p, poll, nil)
			if value(r, "data", "work", "status") != "progress" || value(r, "data", "work", "tracking", "import_processed_number") != 1.0 {
				t.Errorf("first poll after the last item: %v", r)
			}
			r = ask(t, p, poll, nil)
			if value(r, "data", "work", "status") != "complete" {
				t.Errorf("second poll: %v", r)
			}
			r = ask(t, p, `query($ids: [Any!]!) { stixObjectOrStixRelationships(first: 5, filters: { mode: and, filterGroups: [], filters: [{ key: ["ids"], values: $ids, operator: eq, mode: or }] }) { edges { node { __typename ... on MediaContent { url content } } } } }`,
				map[string]any{"ids": []string{"media-content--140589d8-2448-58f9-99d9-f6ec49343aa2"}})
			node := value(r, "data", "stixObjectOrStixRelationships", "edges", 0, "node")
			if value(node, "__typename") != "MediaContent" || value(node, "content") != "hello" {
				t.Errorf("read back: %v", r)
			}
			if v := p.Violations(); len(v) > 0 {
				t.Errorf("violations: %v", v)
			}
		})
	}
}

func TestServeEndsWithItsContextAndTellsOfViolations(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		want  string
	}{
		"a good client": {`{"query":"{ about { version } }"}`, ""},
		"a bad client":  {`{"query":"{ about { no_such_field } }"}`, "no_such_field"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			listening := make(chan *openctitest.Platform, 1)
			done := make(chan error, 1)
			go func() {
				done <- openctitest.Serve(ctx, openctitest.Config{Generation: openctitest.Gen7}, func(p *openctitest.Platform) { listening <- p })
			}()
			p := <-listening
			if _, _, err := post(ctx, p, []byte(c.query)); err != nil {
				t.Fatal(err)
			}
			cancel()
			err := <-done
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}
