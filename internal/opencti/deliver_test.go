package opencti_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestABatchLandsWithTextAuthorMarkingAndRelation(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			m, rel := says("$one", "canary <b>&\u2028 second line")
			b := stix.NewBundle(rel, m, alice(), room())
			s.landed(s.deliver(b), b)

			o, ok := s.octi.Object(string(m.ID))
			if !ok {
				t.Fatal("the message is not there")
			}
			got := map[string]any{
				"url": o.Text("url"), "title": o.Text("title"), "content": o.Text("content"),
				"author": o.Author, "markings": o.Markings, "creators": o.Creators,
			}
			want := map[string]any{
				"url": "$one", "title": m.Title, "content": m.Content,
				"author": string(alice().ID), "markings": []string{"TLP:AMBER"}, "creators": []string{"connector"},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			channel, ok := s.octi.Object(string(room().ID))
			if !ok {
				t.Fatal("the room is not there")
			}
			if rels := s.octi.Relations(channel.StandardID, string(m.ID), "publishes"); len(rels) != 1 || !rels[0].Start.Equal(sentAt) {
				t.Errorf("relations %+v", rels)
			}
			if w := s.octi.Works(); len(w) != 1 || w[0].Status != "complete" || w[0].Expected != 4 || w[0].Processed != 4 || w[0].Name != "Matrix: 4 objects" {
				t.Errorf("works %+v", w)
			}
			if n := s.octi.Calls("workEdit.addExpectations"); n != 1 {
				t.Errorf("expectations were announced %d times", n)
			}
		})
	}
}

func TestABatchSentTwiceIsTheSameObjects(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			m, rel := says("$one", "hello")
			b := stix.NewBundle(rel, m, alice(), room())
			s.landed(s.deliver(b), b)
			before := len(s.octi.Objects())
			s.landed(s.deliver(b), b)
			if after := len(s.octi.Objects()); after != before {
				t.Errorf("%d objects became %d", before, after)
			}
			if s.broker.dials != 1 {
				t.Errorf("the broker was dialled %d times", s.broker.dials)
			}
		})
	}
}

func BenchmarkBatchOfAHundredObjects(b *testing.B) { batches(b, false) }

func BenchmarkBatchOfAHundredObjectsThroughTheAPI(b *testing.B) { batches(b, true) }

func batches(b *testing.B, throughAPI bool) {
	b.Helper()
	s := newScene(b, openctitest.Gen7, func(c *opencti.Config) { c.ThroughAPI = throughAPI })
	if _, err := s.platform.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	people := stix.NewBundle(room(), alice())
	s.landed(s.deliver(people), people)
	var objects []stix.Object
	for i := range 50 {
		m, rel := says(fmt.Sprintf("$%d", i), strings.Repeat("words ", 100))
		objects = append(objects, m, rel)
	}
	batch := stix.NewBundle(objects...)
	for b.Loop() {
		s.deliver(batch)
	}
}
