package connector_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

var _ connector.Sink = (*fakeSink)(nil)

// fakeSink holds objects in memory, does what it is told to do wrong, and fails
// the test when the order of calls is not that of the contract.
type fakeSink struct {
	t      testing.TB
	ledger *ledger.Ledger

	objects              map[stix.ID]stix.Object
	files                map[stix.ID][]string
	open                 string // receipt that was published and not settled
	begun                string // receipt that was not published yet
	receipts             int
	sent                 []string // types of published objects, one line a batch
	amended              []stix.ID
	detached             []string
	deleted              []stix.ID
	detachErr, deleteErr error
	renamed              []string

	publishErr error                                  // of the next Publish
	settleErr  []error                                // of the next Settles
	verdict    func(stix.Object) (stix.Verdict, bool) // instead of Landed
	found      map[stix.ID]stix.Found                 // beside the objects
	attachErr  error                                  // of the next Attach
	amendErr   map[stix.ID]error                      // of every Amend of the object
	quick      bool                                   // Publish takes all without a look
	away       error                                  // of everything
}

func newSink(tb testing.TB, l *ledger.Ledger) *fakeSink {
	tb.Helper()
	return &fakeSink{t: tb, ledger: l, objects: map[stix.ID]stix.Object{}, files: map[stix.ID][]string{}, found: map[stix.ID]stix.Found{}}
}

func (s *fakeSink) Begin(_ context.Context, objects int) (string, error) {
	if s.away != nil {
		return "", s.away
	}
	if s.open != "" {
		s.t.Errorf("begin while %s is open", s.open)
	}
	if objects < 1 || objects > 100 {
		s.t.Errorf("begin with %d objects", objects)
	}
	s.receipts++
	s.begun = fmt.Sprintf("work_%d", s.receipts)
	return s.begun, nil
}

func (s *fakeSink) Publish(ctx context.Context, receipt string, b stix.Bundle) error {
	if receipt != s.begun {
		s.t.Errorf("publish of %q, begun was %q", receipt, s.begun)
	}
	s.begun = ""
	if s.quick {
		s.open = receipt
		return nil
	}
	if stored, _, ok, err := s.ledger.InFlight(ctx); err != nil || !ok || stored != receipt {
		s.t.Errorf("publish before the receipt is stored: %q %v %v", stored, ok, err)
	}
	if err := s.publishErr; err != nil {
		s.publishErr = nil
		return err
	}
	var types []string
	seen := map[stix.ID]bool{}
	for _, o := range b.Objects {
		for _, ref := range o.Refs() {
			_, there := s.objects[ref]
			if _, found := s.found[ref]; !there && !found && !seen[ref] && !strings.HasPrefix(string(ref), "marking-definition--") {
				s.t.Errorf("%s is sent before %s, to which it refers", o.ObjectID(), ref)
			}
		}
		seen[o.ObjectID()] = true
		types = append(types, o.ObjectType())
	}
	s.sent = append(s.sent, strings.Join(types, " "))
	s.open = receipt
	return nil
}

func (s *fakeSink) Settle(_ context.Context, receipt string, b stix.Bundle) (stix.Verdicts, error) {
	if s.away != nil {
		return nil, s.away
	}
	if len(s.settleErr) > 0 {
		err := s.settleErr[0]
		s.settleErr = s.settleErr[1:]
		if errors.Is(err, stix.ErrLapsed) {
			s.open = ""
		}
		return nil, err
	}
	s.open = ""
	out := stix.Verdicts{}
	for _, o := range b.Objects {
		out[o.ObjectID()] = stix.Verdict{State: stix.Landed}
		if s.verdict != nil {
			if v, ok := s.verdict(o); ok {
				out[o.ObjectID()] = v
				continue
			}
		}
		s.objects[o.ObjectID()] = o
	}
	return out, nil
}

func (s *fakeSink) Amend(_ context.Context, b stix.Bundle) (stix.Verdicts, error) {
	if err := s.amendErr[b.Objects[0].ObjectID()]; err != nil {
		return nil, err
	}
	out := stix.Verdicts{}
	for _, o := range b.Objects {
		s.amended = append(s.amended, o.ObjectID())
		if _, ok := s.objects[o.ObjectID()]; !ok {
			out[o.ObjectID()] = stix.Verdict{State: stix.Missing}
			continue
		}
		s.objects[o.ObjectID()] = o
		out[o.ObjectID()] = stix.Verdict{State: stix.Landed}
	}
	return out, nil
}

func (s *fakeSink) Revise(_ context.Context, c *stix.Channel, written stix.Written) (stix.Written, error) {
	held, ok := s.objects[c.ID].(*stix.Channel)
	if !ok {
		return written, stix.ErrGone
	}
	now, next := written, *held
	if held.Name == written.Name || held.Name == c.Name {
		next.Name, now.Name = c.Name, c.Name
	}
	if digest := stix.Digest(held.Description); digest == written.Digest || held.Description == c.Description {
		next.Description, now.Digest = c.Description, stix.Digest(c.Description)
	}
	if next.Name != held.Name {
		s.renamed = append(s.renamed, held.Name+" -> "+next.Name)
	}
	s.objects[c.ID] = &next
	return now, nil
}

func (s *fakeSink) Find(_ context.Context, ids []stix.ID) (map[stix.ID]stix.Found, error) {
	out := map[stix.ID]stix.Found{}
	for _, id := range ids {
		if f, ok := s.found[id]; ok {
			out[id] = f
		} else if o, ok := s.objects[id]; ok {
			out[id] = stix.Found{ID: id, Type: o.ObjectType()}
		}
	}
	return out, nil
}

func (s *fakeSink) Attach(_ context.Context, to stix.ID, f stix.File, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.attachErr; err != nil {
		s.attachErr = nil
		return err
	}
	if _, ok := s.objects[to]; !ok {
		return stix.ErrGone
	}
	s.files[to] = append(s.files[to], fmt.Sprintf("%s %s %d", f.Name, f.MediaType, len(content)))
	return nil
}

func (s *fakeSink) Detach(_ context.Context, from stix.ID, name string) error {
	if s.detachErr != nil {
		return s.detachErr
	}
	s.detached = append(s.detached, string(from)+" "+name)
	return nil
}

func (s *fakeSink) Delete(_ context.Context, id stix.ID) error {
	if s.deleteErr != nil {
		return s.deleteErr
	}
	s.deleted = append(s.deleted, id)
	delete(s.objects, id)
	return nil
}
