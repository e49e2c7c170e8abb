package parts_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

func TestElementAnswersAndEndsWithItsRequests(t *testing.T) {
	t.Parallel()
	var answers parts.Log
	element, err := parts.StartElement(t.TempDir(), &answers)
	if err != nil {
		t.Fatal(err)
	}
	if err := element.Ask([]byte(`{"id":7,"do":"dance"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	line, err := answers.Await(patience(t), func(string) bool { return true })
	if want := `{"id":7,"error":"Error: no action is named dance`; err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("answered %s, %v; want %s", line, err, want)
	}
	for range 2 {
		if err := element.Close(); err != nil {
			t.Errorf("it did not end well: %v", err)
		}
	}
	if err := syscall.Kill(element.PID(), 0); err == nil {
		t.Error("the client outlived its closing")
	}
}

func TestAKilledElementIsReported(t *testing.T) {
	t.Parallel()
	element, err := parts.StartElement(t.TempDir(), new(parts.Log))
	if err != nil {
		t.Fatal(err)
	}
	element.Kill()
	if err := element.Close(); err == nil || !strings.Contains(err.Error(), "element") {
		t.Errorf("a killed client closed with %v", err)
	}
}
