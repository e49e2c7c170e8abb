package scene

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// schemas are the files of the platform's full schemas, which the vendor's
// importer makes use of.
var schemas = map[openctitest.Generation]string{
	openctitest.Gen6: "schema-6.4.3.graphql",
	openctitest.Gen7: "schema-7.260318.0.graphql",
}

// fullSchema reads the platform's full schema from where OPENCTI_SCHEMAS points.
func fullSchema(t *testing.T, g openctitest.Generation) string {
	t.Helper()
	dir := os.Getenv("OPENCTI_SCHEMAS")
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("OPENCTI_SCHEMAS is not set")
		}
		t.Skip("OPENCTI_SCHEMAS is not set: the vendor's importer needs the full schema")
	}
	b, err := os.ReadFile(filepath.Join(dir, schemas[g]))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// vendor lets OpenCTI's own client library drain the queue.
func (s *Scene) vendor(version, queue string) {
	s.t.Helper()
	w, err := parts.StartVendorWorker(parts.VendorWorkerConfig{
		Version: version, PlatformURL: s.Platform.URL(), Token: s.Platform.Token("admin"), BrokerURL: s.Broker.URL(), Queue: queue,
	})
	s.must(err)
	s.t.Cleanup(func() {
		_ = w.Close()
		if s.t.Failed() {
			s.t.Logf("the vendor's worker:\n%s\n%s", w.Stdout.Tail(60), w.Stderr.Tail(60))
		}
	})
}
