package openctitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

const connectorID = "5e55a000-0000-4000-8000-000000000001"

// started registers a connector and opens a work that expects n items.
func started(t *testing.T, p *openctitest.Platform, n int) string {
	t.Helper()
	ask(t, p, `mutation { registerConnector(input: { id: "`+connectorID+`", name: "Matrix", type: EXTERNAL_IMPORT, scope: ["matrix"] }) { id } }`, nil)
	r := ask(t, p, `mutation { workAdd(connectorId: "`+connectorID+`", friendlyName: "batch") { id } }`, nil)
	work, _ := value(r, "data", "workAdd", "id").(string)
	ask(t, p, fmt.Sprintf(`mutation { workEdit(id: "%s") { addExpectations(expectations: %d) } }`, work, n), nil)
	return work
}

func sent(t *testing.T, p *openctitest.Platform, work string, object any) error {
	t.Helper()
	return p.Ingest(envelope(p.UserID("connector"), work, object))
}

func isMedia(it openctitest.Item) bool { return it.Type == "media-content" }

func TestFaultsOfItems(t *testing.T) {
	for name, c := range map[string]struct {
		fault               func(*openctitest.Faults) *openctitest.Fault
		there               bool
		processed, expected int
		status, errText     string
	}{
		"a refused item is absent and its error stands in the work": {
			func(f *openctitest.Faults) *openctitest.Fault {
				return f.Refuse(isMedia, 1, openctitest.ItemError{Name: "LOCK_ERROR", Message: "it's busy"})
			}, false, 1, 1, "complete", `{'name': 'LOCK_ERROR', 'error_message': "it's busy"}`,
		},
		"a dropped item is absent and its work stays open": {
			func(f *openctitest.Faults) *openctitest.Fault { return f.Drop(isMedia, 1) }, false, 0, 1, "progress", "",
		},
		"a lost item is absent though its work is complete without an error": {
			func(f *openctitest.Faults) *openctitest.Fault { return f.Lose(isMedia, 1) }, false, 1, 1, "complete", "",
		},
		"a repeated item is there once and counted again": {
			func(f *openctitest.Faults) *openctitest.Fault { return f.Repeat(isMedia, 1) }, true, 2, 2, "complete", "",
		},
		"an item reported twice completes a work of two": {
			func(f *openctitest.Faults) *openctitest.Fault { return f.ReportTwice(isMedia, 1) }, true, 2, 2, "complete", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, openctitest.Config{NoLag: true})
			fault := c.fault(p.Faults())
			work := started(t, p, c.expected)
			if err := sent(t, p, work, media("$a", "hello")); err != nil {
				t.Fatal(err)
			}
			if fault.Hits() != 1 {
				t.Errorf("the fault struck %d times", fault.Hits())
			}
			if _, ok := p.Object("media-content--140589d8-2448-58f9-99d9-f6ec49343aa2"); ok != c.there {
				t.Errorf("the object is there: %v", ok)
			}
			w := p.Works()[0]
			if w.Status != c.status || w.Processed != c.processed || strings.Join(w.Errors, "|") != c.errText {
				t.Errorf("work: %+v", w)
			}
			if err := sent(t, p, "", media("$a", "hello")); err != nil {
				t.Fatal(err)
			}
			if o, ok := p.Object("media-content--140589d8-2448-58f9-99d9-f6ec49343aa2"); !ok || o.Text("content") != "hello" || len(p.Objects()) != 1 {
				t.Errorf("after the fault: %v, %d objects", o, len(p.Objects()))
			}
		})
	}
}

func TestAHeldItemIsImportedWhenItIsReleased(t *testing.T) {
	p := newPlatform(t, openctitest.Config{NoLag: true})
	work := started(t, p, 1)
	hold := p.Faults().Hold(isMedia, 0)
	if err := sent(t, p, work, media("$a", "hello")); err == nil {
		t.Error("a held message was reported as taken")
	}
	if hold.Held() != 1 || len(p.Objects()) != 0 || p.Works()[0].Status != "progress" {
		t.Fatalf("held %d, objects %v, works %+v", hold.Held(), p.Objects(), p.Works())
	}
	if n := hold.Release(); n != 1 || len(p.Objects()) != 1 || p.Works()[0].Status != "complete" {
		t.Errorf("released %d, objects %v, works %+v", n, p.Objects(), p.Works())
	}
}

func TestFaultsOfCalls(t *testing.T) {
	about := []byte(`{"query":"query About { about { version } }"}`)
	for name, c := range map[string]struct {
		how    openctitest.Failure
		status int
		body   string
	}{
		"too many requests":  {openctitest.TooManyRequests, 429, "Too many requests"},
		"a server's error":   {openctitest.ServerError, 500, `"status":"error"`},
		"a proxy's page":     {openctitest.BadGateway, 502, "<html>"},
		"a login page":       {openctitest.HTMLPage, 200, "<html>"},
		"a broken off call":  {openctitest.Disconnect, 0, ""},
		"a call that hangs":  {openctitest.Silence, 0, ""},
		"no fault with zero": {0, 200, "7.260318.0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, openctitest.Config{})
			if c.how != 0 {
				p.Faults().FailCalls("about", 1, c.how)
			}
			ctx := t.Context()
			if c.how == openctitest.Silence {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
			}
			status, text, err := post(ctx, p, about)
			if (err != nil) != (c.status == 0) || status != c.status && c.status != 0 || !strings.Contains(string(text), c.body) {
				t.Errorf("status %d, body %s, error %v", status, text, err)
			}
			if status, text, err = post(t.Context(), p, about); err != nil || status != 200 || !bytes.Contains(text, []byte("7.260318.0")) {
				t.Errorf("after the fault: %d %s %v", status, text, err)
			}
		})
	}
}

func TestALostAnswerLeavesTheCallCarriedOut(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	work := started(t, p, 1)
	fault := p.Faults().LoseAnswers("workEdit.toProcessed", 1, openctitest.Disconnect)
	body, err := json.Marshal(map[string]any{"query": `mutation { workEdit(id: "` + work + `") { toProcessed(message: "done") } }`})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := post(t.Context(), p, body); err == nil {
		t.Error("the answer came")
	}
	r := ask(t, p, `query { work(id: "`+work+`") { messages { message } } }`, nil)
	if value(r, "data", "work", "messages", 0, "message") != "done" || fault.Hits() != 1 || p.Calls("workEdit.toProcessed") != 1 {
		t.Errorf("work: %v, hits %d", r, fault.Hits())
	}
}

func TestMisuseIsAViolation(t *testing.T) {
	valid := media("$a", "hello")
	for name, c := range map[string]struct {
		change func(envelope, object map[string]any)
		want   string
	}{
		"an unknown key of the envelope":     {func(e, _ map[string]any) { e["priority"] = 1 }, "unknown key priority"},
		"a missing key of the envelope":      {func(e, _ map[string]any) { delete(e, "update") }, "key update is missing"},
		"another user as applicant":          {func(e, _ map[string]any) { e["applicant_id"] = "someone" }, "is no user"},
		"null in an object":                  {func(_, o map[string]any) { o["title"] = nil }, "null at .title"},
		"an invented key of an object":       {func(_, o map[string]any) { o["x_matrix_room"] = "!a" }, "unknown key x_matrix_room"},
		"a marking definition in the bundle": {func(_, o map[string]any) { o["type"] = "marking-definition" }, "is not one that the connector sends"},
		"an id of another type":              {func(_, o map[string]any) { o["id"] = "channel--140589d8-2448-58f9-99d9-f6ec49343aa2" }, "is not the id of a media-content"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, openctitest.Config{})
			work := started(t, p, 1)
			object := map[string]any{}
			maps.Copy(object, valid)
			env := map[string]any{}
			c.change(env, object)
			var whole map[string]any
			if err := json.Unmarshal(envelope(p.UserID("connector"), work, object), &whole); err != nil {
				t.Fatal(err)
			}
			c.change(whole, map[string]any{})
			body, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Ingest(body); err != nil {
				t.Log(err)
			}
			v := fmt.Sprint(p.TakeViolations())
			if !strings.Contains(v, c.want) {
				t.Errorf("violations: %s", v)
			}
			if len(p.Violations()) != 0 {
				t.Error("violations were not taken")
			}
		})
	}
}

func TestExpectationsAddedTwiceAndItemsBeforeThemAreViolations(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	work := started(t, p, 1)
	ask(t, p, `mutation { workEdit(id: "`+work+`") { addExpectations(expectations: 1) } }`, nil)
	if v := fmt.Sprint(p.TakeViolations()); !strings.Contains(v, "expectations were added 2 times") {
		t.Errorf("violations: %s", v)
	}
	r := ask(t, p, `mutation { workAdd(connectorId: "`+connectorID+`", friendlyName: "batch") { id } }`, nil)
	if err := sent(t, p, value(r, "data", "workAdd", "id").(string), media("$a", "x")); err != nil {
		t.Fatal(err)
	}
	if v := fmt.Sprint(p.TakeViolations()); !strings.Contains(v, "before it was expected") {
		t.Errorf("violations: %s", v)
	}
}

func TestAwaitReturnsWhenTheConditionComesTrue(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- p.Await(ctx, func() bool { return len(p.Objects()) == 2 }) }()
	for _, url := range []string{"$a", "$b"} {
		m := media(url, "x")
		m["id"] = "media-content--140589d8-2448-58f9-99d9-f6ec49343aa" + map[string]string{"$a": "1", "$b": "2"}[url]
		if err := sent(t, p, "", m); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancel()
	if err := p.Await(ctx, func() bool { return false }); err == nil {
		t.Error("a cancelled wait returned without an error")
	}
}

func TestTLSIsTrustedByTheAuthorityAlone(t *testing.T) {
	p := newPlatform(t, openctitest.Config{TLS: true})
	if _, _, err := post(t.Context(), p, []byte(`{}`)); err == nil {
		t.Error("an unknown authority was trusted")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(t, p.CA())}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/graphql", strings.NewReader(`{"query":"{ about { version } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token("connector"))
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), "7.260318.0") {
		t.Errorf("%s %v", text, err)
	}
}
