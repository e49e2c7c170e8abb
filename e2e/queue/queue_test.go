package queue_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

const connectorID = "5e55a000-0000-4000-8000-000000000001"

var broker *parts.RabbitMQ

func TestMain(m *testing.M) {
	os.Exit(withBroker(m))
}

func withBroker(m *testing.M) int {
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if broker, err = parts.StartRabbitMQ(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = broker.Close() }()
	return m.Run()
}

// bench is a platform with a registered connector and one open work.
type bench struct {
	t    *testing.T
	ctx  context.Context
	p    *openctitest.Platform
	b    openctitest.Broker
	work string
}

func newBench(t *testing.T, expected int) *bench {
	t.Helper()
	s := &bench{t: t, b: openctitest.Broker{
		Host: broker.Host, Port: broker.Port, User: parts.BrokerUser, Password: parts.BrokerPassword, VHost: "/", Prefix: uuid.NewString()[:8] + "_",
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.ctx = ctx
	p, err := openctitest.New(openctitest.Config{Generation: openctitest.Gen7, Broker: &s.b})
	if err != nil {
		t.Fatal(err)
	}
	s.p = p
	ended := make(chan struct{})
	running, stop := context.WithCancel(ctx)
	p.Faults().PauseWorker()
	go func() { defer close(ended); _ = p.Run(running) }()
	t.Cleanup(func() { stop(); <-ended; _ = p.Close(); cancel() })
	s.ask(`mutation { registerConnector(input: { id: "` + connectorID + `", name: "Matrix", type: EXTERNAL_IMPORT, scope: ["matrix"] }) { id } }`)
	s.opens(expected)
	return s
}

func (s *bench) opens(expected int) {
	s.t.Helper()
	r := s.ask(`mutation { workAdd(connectorId: "` + connectorID + `", friendlyName: "x") { id } }`)
	s.work = r["workAdd"].(map[string]any)["id"].(string)
	s.ask(fmt.Sprintf(`mutation { workEdit(id: "%s") { addExpectations(expectations: %d) } }`, s.work, expected))
}

func (s *bench) ask(query string) map[string]any {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query})
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.p.URL()+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.p.Token("connector"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var out struct {
		Data   map[string]any
		Errors []any
	}
	if err := json.Unmarshal(text, &out); err != nil || len(out.Errors) > 0 {
		s.t.Fatalf("%s: %v %s", query, err, text)
	}
	return out.Data
}

var errReturned = errors.New("the broker returned the message")

// publish sends items as the connector does: persistent, mandatory, confirmed.
func (s *bench) publish(urls ...string) error {
	s.t.Helper()
	conn, err := amqp.Dial(s.b.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		s.t.Fatal(err)
	}
	returned := ch.NotifyReturn(make(chan amqp.Return, len(urls)))
	for i, url := range urls {
		id := "media-content--" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(url)).String()
		bundle := fmt.Sprintf(`{"type":"bundle","id":"bundle--b9b1ea13-b1d2-509b-9f6c-dd0a0be22eb3","spec_version":"2.1","x_opencti_seq":1,"objects":[{"type":"media-content","spec_version":"2.1","id":%q,"url":%q,"content":"x"}]}`, id, url)
		body, err := json.Marshal(map[string]any{
			"bundle_type": "QUEUE_BUNDLE", "applicant_id": s.p.UserID("connector"), "action_sequence": i + 1, "entities_types": []string{},
			"content": base64.StdEncoding.EncodeToString([]byte(bundle)), "update": false, "draft_id": nil, "work_id": s.work,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(s.ctx, s.b.Prefix+"amqp.worker.exchange", s.b.Prefix+"push_routing_"+connectorID, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, ContentEncoding: "utf-8", Body: body})
		if err != nil {
			s.t.Fatal(err)
		}
		if ok, err := c.WaitContext(s.ctx); err != nil || !ok {
			s.t.Fatalf("confirm: %v %v", ok, err)
		}
	}
	select {
	case <-returned:
		return errReturned
	default:
		return nil
	}
}

func (s *bench) complete() {
	s.t.Helper()
	if err := s.p.Await(s.ctx, func() bool {
		w := s.p.Works()
		return w[len(w)-1].Status == "complete"
	}); err != nil {
		s.t.Fatalf("%v: %+v", err, s.p.Works())
	}
	if v := s.p.Violations(); len(v) > 0 {
		s.t.Errorf("violations: %v", v)
	}
}

func (s *bench) urls() []string {
	var out []string
	for _, o := range s.p.Objects("Media-Content") {
		out = append(out, o.Text("url"))
	}
	return out
}

func TestTheWorkerImportsInOrderOrBackwardsWhenTold(t *testing.T) {
	for name, c := range map[string]struct {
		window int
		want   []string
	}{"in order": {0, []string{"$1", "$2", "$3"}}, "backwards": {3, []string{"$3", "$2", "$1"}}} {
		t.Run(name, func(t *testing.T) {
			s := newBench(t, 3)
			s.p.Faults().Reorder(c.window)
			if err := s.publish("$1", "$2", "$3"); err != nil {
				t.Fatal(err)
			}
			if len(s.urls()) != 0 {
				t.Error("a paused worker imported")
			}
			s.p.Faults().ResumeWorker()
			s.complete()
			if d := cmp.Diff(c.want, s.urls()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAResetPurgesWhatWaitsAndLeavesTheWorkOpen(t *testing.T) {
	s := newBench(t, 1)
	if err := s.publish("$1"); err != nil {
		t.Fatal(err)
	}
	if err := s.p.ResetState(connectorID); err != nil {
		t.Fatal(err)
	}
	s.p.Faults().ResumeWorker()
	s.opens(1)
	if err := s.publish("$2"); err != nil {
		t.Fatal(err)
	}
	s.complete()
	if d := cmp.Diff([]string{"$2"}, s.urls()); d != "" {
		t.Error(d)
	}
	if w := s.p.Works()[0]; w.Status != "progress" || w.Processed != 0 {
		t.Errorf("the work that was open: %+v", w)
	}
	if n := s.p.CloseOlderWorks(); n != 1 || s.p.Works()[0].Status != "complete" {
		t.Errorf("the manager closed %d: %+v", n, s.p.Works())
	}
}

func TestADeletedConnectorHasNoQueue(t *testing.T) {
	s := newBench(t, 1)
	if err := s.p.DeleteConnector(connectorID); err != nil {
		t.Fatal(err)
	}
	if err := s.publish("$1"); !errors.Is(err, errReturned) {
		t.Errorf("publishing: %v", err)
	}
}

func TestTheWorkerSurvivesARestartOfTheBroker(t *testing.T) {
	s := newBench(t, 2)
	if err := s.publish("$1"); err != nil {
		t.Fatal(err)
	}
	s.p.Faults().ResumeWorker()
	if err := s.p.Await(s.ctx, func() bool { return len(s.urls()) == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := broker.Process.Close(); err != nil {
		t.Fatal(err)
	}
	if err := broker.Restart(s.ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.publish("$2"); err != nil {
		t.Fatal(err)
	}
	s.complete()
	if d := cmp.Diff([]string{"$1", "$2"}, s.urls()); d != "" {
		t.Error(d)
	}
}
