package opencti_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// told is a connection that remembers its writes.
type told struct {
	net.Conn

	writes []string
	err    error
}

func (c *told) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.writes = append(c.writes, string(p))
	return len(p), nil
}

func write(t *testing.T, g *opencti.Gatherer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if n, err := g.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("%d bytes written, %v", n, err)
		}
	}
}

func TestWhatIsHeldBackIsWrittenAtOnceAndInItsOrder(t *testing.T) {
	c := &told{}
	g := opencti.Gather(c)
	write(t, g, "a")
	g.Hold()
	write(t, g, "b", "c")
	if got := strings.Join(c.writes, "|"); got != "a" {
		t.Errorf("written too early: %q", got)
	}
	if err := g.Release(); err != nil {
		t.Fatal(err)
	}
	write(t, g, "d")
	if got := strings.Join(c.writes, "|"); got != "a|bc|d" {
		t.Errorf("written: %q", got)
	}
	if err := g.Release(); err != nil || len(c.writes) != 3 {
		t.Errorf("released twice: %v, %q", err, c.writes)
	}
}

func TestNoMoreIsHeldBackThanTheLimit(t *testing.T) {
	c := &told{}
	g := opencti.Gather(c)
	g.Hold()
	large := strings.Repeat("x", 1<<20)
	write(t, g, "a", large, "b")
	if len(c.writes) != 1 || c.writes[0] != "a"+large {
		t.Fatalf("%d writes", len(c.writes))
	}
	if err := g.Release(); err != nil || len(c.writes) != 2 || c.writes[1] != "b" {
		t.Errorf("%v, %d writes", err, len(c.writes))
	}
}

func TestABrokenConnectionIsToldWhenItIsWrittenTo(t *testing.T) {
	broken := errors.New("broken pipe")
	g := opencti.Gather(&told{err: broken})
	g.Hold()
	write(t, g, "a")
	if err := g.Release(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
