package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/e2e/bench"
)

func TestThePageShowsEachFigureOnce(t *testing.T) {
	t.Parallel()
	page, err := performance()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range bench.Figures {
		row := fmt.Sprintf("\n| %s | %s | %s | ", f.Name, f.Python, f.Goal)
		if n := strings.Count(string(text), row); n != 1 {
			t.Errorf("docs/performance.md shows %q %d times: run make bench BENCH_UPDATE=1", row, n)
		}
	}
}

func TestAFigureThatWasNotMeasuredKeepsItsValue(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	before := "# Title\n\n<!-- measured: written by make bench BENCH_UPDATE=1 -->\nold\n| " + bench.BinarySize.Name +
		" | – | < 1 | 12.3 MiB |\n<!-- measured: end -->\n\nThe rest.\n"
	if err := os.WriteFile(page, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time on its own work
		if err := bench.Update(page, "on a machine"); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Title\n\n<!--", "Measured on a machine.\n", "| " + bench.BinarySize.Name + " | – | < 25 | 12.3 MiB |\n",
		"| " + bench.TextRate.Name + " | 130–290 | ≥ 1,000 | not measured |\n", "end -->\n\nThe rest.\n",
	} {
		if strings.Count(string(after), want) != 1 {
			t.Errorf("the page does not hold %q once:\n%s", want, after)
		}
	}
}
