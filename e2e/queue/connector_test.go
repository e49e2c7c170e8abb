package queue_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// The tests of the connector's end of the queue stand beside its code, and skip
// where there is no broker. Here is one.
func TestTheConnectorsBrokerTestsPassOnTheRealOne(t *testing.T) {
	root, err := parts.Root()
	if err != nil {
		t.Fatal(err)
	}
	tests := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run=RealBroker", "./internal/opencti")
	tests.Dir = root
	tests.Env = append(os.Environ(), "RABBITMQ_URL="+broker.URL())
	output, err := tests.CombinedOutput()
	text := string(output)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if strings.Contains(text, "--- SKIP") {
		t.Errorf("something was skipped:\n%s", text)
	}
	for _, name := range []string{
		"TestOverARealBroker", "TestOverARealBroker/a_batch_lands", "TestOverARealBroker/a_queue_that_is_gone_gives_the_messages_back",
		"TestAWrongPasswordOfARealBrokerIsNotRepeated",
	} {
		if !strings.Contains(text, "--- PASS: "+name+" (") {
			t.Errorf("%s did not run", name)
		}
	}
}
