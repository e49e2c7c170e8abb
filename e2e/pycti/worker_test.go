package pycti_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

const (
	connectorID = "5e55a000-0000-4000-8000-000000000001"
	amber       = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
	channel     = "channel--6f9f350d-bc32-59bc-a35c-bd5bc3f55e1a"
	author      = "identity--aa8de238-477d-5da0-b117-eea82dab27fd"
	message     = "media-content--d1f3f156-eff3-5cab-8783-973b35058c78"
)

// items are a room, a person, a message with a file, its relation, the same
// message changed, and two items that are refused.
var items = []string{
	`{"type":"channel","spec_version":"2.1","id":"` + channel + `","name":"General (!ts-general:example.org)","aliases":["!ts-general:example.org"],"channel_types":["Matrix"],"object_marking_refs":["` + amber + `"],"description":"Talk"}`,
	`{"type":"identity","spec_version":"2.1","id":"` + author + `","identity_class":"individual","name":"@ts-alice:example.org","object_marking_refs":["` + amber + `"],"description":"Display name: Alice"}`,
	`{"type":"media-content","spec_version":"2.1","id":"` + message + `","url":"$ts-m1:example.org","title":"@ts-alice:example.org in General: first","content":"first évil[.]com","media_category":"matrix","publication_date":"2026-11-20T10:00:00.000Z","object_marking_refs":["` + amber + `"],"x_opencti_created_by_ref":"` + author + `","labels":["matrix"],"x_opencti_description":"In reply to $x","x_opencti_files":[{"name":"Report A.txt","data":"aGVsbG8=","mime_type":"text/plain","version":"2026-11-20T10:00:00.000Z","no_trigger_import":true,"object_marking_refs":["%s"]}]}`,
	`{"type":"relationship","spec_version":"2.1","id":"relationship--f48a8780-e96e-5ae3-ae4f-182bf77536ae","relationship_type":"publishes","source_ref":"` + channel + `","target_ref":"` + message + `","start_time":"2026-11-20T10:00:00.000Z","object_marking_refs":["` + amber + `"]}`,
	`{"type":"media-content","spec_version":"2.1","id":"` + message + `","url":"$ts-m1:example.org","title":"@ts-alice:example.org in General: corrected","content":"corrected","object_marking_refs":["` + amber + `"]}`,
	`{"type":"relationship","spec_version":"2.1","id":"relationship--0dfa2eda-a2cf-5004-a97f-994c6fedfecf","relationship_type":"uses","source_ref":"` + channel + `","target_ref":"` + message + `"}`,
	`{"type":"media-content","spec_version":"2.1","id":"media-content--a8a858ec-c4b5-53c3-b967-b89fc28b74c8","url":"$ts-bad:example.org","publication_date":"not-a-date"}`,
}

// outcome is what is left of a work: the graph and the errors.
type outcome struct {
	Objects []openctitest.Object
	Files   []openctitest.File
	Errors  []string
}

func TestTheVendorsImporterAndOurWorkerLeaveTheSameGraph(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	broker, err := parts.StartRabbitMQ(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	for _, c := range []struct {
		version    string
		generation openctitest.Generation
	}{{"6.4.3", openctitest.Gen6}, {"7.260318.0", openctitest.Gen7}} {
		t.Run(c.version, func(t *testing.T) {
			settings := openctitest.Broker{Host: broker.Host, Port: broker.Port, User: parts.BrokerUser, Password: parts.BrokerPassword, Prefix: "own" + c.version + "_"}
			ours := run(ctx, t, openctitest.Config{Generation: c.generation, Broker: &settings}, nil)
			theirs := settings
			theirs.Prefix = "pycti" + c.version + "_"
			vendors := run(ctx, t, openctitest.Config{Generation: c.generation, Broker: &theirs, ForeignWorker: true}, func(p *openctitest.Platform) {
				w, err := parts.StartVendorWorker(parts.VendorWorkerConfig{
					Version: c.version, PlatformURL: p.URL(), Token: p.Token("admin"), BrokerURL: broker.URL(), Queue: theirs.Prefix + "push_" + connectorID,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					_ = w.Close()
					if t.Failed() {
						t.Logf("worker: %s\n%s", w.Stdout.Tail(40), w.Stderr.Tail(80))
					}
				})
			})
			if len(ours.Objects) != 4 || len(ours.Errors) != 2 || len(ours.Files) != 1 {
				t.Errorf("our worker left %d objects, %d files, errors %q", len(ours.Objects), len(ours.Files), ours.Errors)
			}
			// Times and internal ids are of the run; what an importer leaves
			// empty it may send as false.
			ignore := cmp.Options{
				cmpopts.IgnoreFields(openctitest.Object{}, "ID", "Created", "Updated"),
				cmpopts.IgnoreFields(openctitest.File{}, "ID", "Version"),
				cmpopts.IgnoreMapEntries(func(k string, v any) bool { return k == "revoked" && v == false || k == "lang" }),
				cmpopts.EquateEmpty(),
			}
			if d := cmp.Diff(ours, vendors, ignore); d != "" {
				t.Errorf("ours (-), the vendor's (+):\n%s", d)
			}
		})
	}
}

// run publishes the items as the connector does and waits for the work's end.
func run(ctx context.Context, t *testing.T, cfg openctitest.Config, start func(*openctitest.Platform)) outcome {
	t.Helper()
	p, err := openctitest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.Run(working) }()
	defer func() { stop(); <-ended; _ = p.Close() }()
	ask(ctx, t, p, `mutation { registerConnector(input: { id: "`+connectorID+`", name: "Matrix", type: EXTERNAL_IMPORT, scope: ["matrix"] }) { id } }`)
	work := ask(ctx, t, p, `mutation { workAdd(connectorId: "`+connectorID+`", friendlyName: "x") { id } }`)["workAdd"].(map[string]any)["id"].(string)
	ask(ctx, t, p, fmt.Sprintf(`mutation { workEdit(id: "%s") { addExpectations(expectations: %d) } }`, work, len(items)))
	marking := ask(ctx, t, p, `query { markingDefinition(id: "`+amber+`") { id } }`)["markingDefinition"].(map[string]any)["id"].(string)
	if start != nil {
		start(p)
	}
	publish(t, p, *cfg.Broker, work, marking)
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.Await(wait, func() bool { w := p.Works(); return len(w) == 1 && w[0].Status == "complete" }); err != nil {
		t.Fatalf("%v: %+v, violations %v", err, p.Works(), p.Violations())
	}
	if v := p.Violations(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
	return outcome{Objects: p.Objects(), Files: p.Files(message), Errors: p.Works()[0].Errors}
}

func publish(t *testing.T, p *openctitest.Platform, b openctitest.Broker, work, marking string) {
	t.Helper()
	b.VHost = "/"
	conn, err := amqp.Dial(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range items {
		if strings.Contains(item, "%s") {
			item = fmt.Sprintf(item, marking)
		}
		bundle := fmt.Sprintf(`{"type":"bundle","id":"bundle--b9b1ea13-b1d2-509b-9f6c-dd0a0be22eb3","spec_version":"2.1","x_opencti_seq":%d,"objects":[%s]}`, i+1, item)
		body, err := json.Marshal(map[string]any{
			"bundle_type": "QUEUE_BUNDLE", "applicant_id": p.UserID("connector"), "action_sequence": i + 1, "entities_types": []string{},
			"content": base64.StdEncoding.EncodeToString([]byte(bundle)), "update": false, "draft_id": nil, "work_id": work,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := ch.Publish(b.Prefix+"amqp.worker.exchange", b.Prefix+"push_routing_"+connectorID, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, ContentEncoding: "utf-8", Body: body}); err != nil {
			t.Fatal(err)
		}
	}
}

func ask(ctx context.Context, t *testing.T, p *openctitest.Platform, query string) map[string]any {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL()+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token("connector"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Data   map[string]any
		Errors []any
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	if len(out.Errors) > 0 {
		t.Fatalf("%s: %v", query, out.Errors)
	}
	return out.Data
}
