package opencti_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// spoken lets a room, Alice and one message of hers land.
func spoken(t *testing.T, g openctitest.Generation) (*scene, *stix.MediaContent) {
	t.Helper()
	s := settled(t, g)
	m, rel := says("$one", "canary text")
	m.Description = "canary description"
	b := stix.NewBundle(m, rel)
	s.landed(s.deliver(b), b)
	return s, m
}

func TestAnEditChangesTextByMutationAndNeverTheURL(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			edited := *m
			edited.Title, edited.Content, edited.Description = "new title", "new text", ""
			calls := len(s.broker.received)
			got, err := s.platform.Amend(t.Context(), stix.NewBundle(&edited))
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, stix.NewBundle(&edited))
			o, _ := s.octi.Object(string(m.ID))
			want := map[string]string{"url": "$one", "title": "new title", "content": "new text", "x_opencti_description": ""}
			for field, text := range want {
				if o.Text(field) != text {
					t.Errorf("%s is %q, want %q", field, o.Text(field), text)
				}
			}
			if len(s.broker.received) != calls {
				t.Error("something went by the queue")
			}
			if n := s.octi.Calls("stixCyberObservableEdit.fieldPatch"); n != 1 {
				t.Errorf("%d mutations", n)
			}
			// Again: nothing to change, nothing sent.
			if got, err = s.platform.Amend(t.Context(), stix.NewBundle(&edited)); err != nil {
				t.Fatal(err)
			}
			s.landed(got, stix.NewBundle(&edited))
			if n := s.octi.Calls("stixCyberObservableEdit.fieldPatch"); n != 1 {
				t.Errorf("%d mutations after a second amendment", n)
			}
		})
	}
}

func TestAnEditReachesWhatAUserOfHigherConfidenceMade(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			lower := connect(t, opencti.Config{URL: s.octi.URL(), Token: "lower-token", ConnectorID: connectorID, Name: "Matrix", Markings: amber(), Log: slog.New(slog.NewTextHandler(s.log, nil))})
			if _, err := lower.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			edited := *m
			edited.Content = "edited"
			got, err := lower.Amend(t.Context(), stix.NewBundle(&edited))
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, stix.NewBundle(&edited))
			// A domain object is another matter, and the log says so.
			hall := room()
			hall.Name = "Hall (!lobby:example.org)"
			written := stix.Written{Name: room().Name, Digest: stix.Digest(room().Description)}
			if now, err := lower.Revise(t.Context(), hall, written); now != written || err != nil {
				t.Errorf("%v, %v", now, err)
			}
			if !strings.Contains(s.log.String(), "User effective max confidence level is insufficient") {
				t.Errorf("log %q", s.log)
			}
		})
	}
}

func TestAnAbsentObjectIsMissingToAnAmendment(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			other, rel := says("$other", "hello")
			edited := *m
			edited.Content = "edited"
			got, err := s.platform.Amend(t.Context(), stix.NewBundle(&edited, other, rel))
			if err != nil {
				t.Fatal(err)
			}
			s.want(got, map[stix.ID]stix.VerdictState{m.ID: stix.Landed, other.ID: stix.Missing, rel.ID: stix.Missing})
		})
	}
}

func TestAMissingMarkingIsSetAndAStricterOneStays(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			for _, c := range []struct {
				name, stands string
				want         []string
			}{
				{"a lower one is replaced", string(stix.TLPGreen.MarkingID()), []string{"TLP:AMBER"}},
				{"none", "", []string{"TLP:AMBER"}},
				{"an analyst's stricter one stays", string(stix.TLPRed.MarkingID()), []string{"TLP:RED"}},
			} {
				t.Run(c.name, func(t *testing.T) {
					var values []string
					if c.stands != "" {
						values = append(values, c.stands)
					}
					if err := s.octi.Patch("admin", string(m.ID), "objectMarking", values...); err != nil {
						t.Fatal(err)
					}
					got, err := s.platform.Amend(t.Context(), stix.NewBundle(m))
					if err != nil {
						t.Fatal(err)
					}
					s.landed(got, stix.NewBundle(m))
					o, _ := s.octi.Object(string(m.ID))
					if d := cmp.Diff(c.want, o.Markings); d != "" {
						t.Error(d)
					}
				})
			}
		})
	}
}

func TestAnUnmarkedChannelDiffersAndIsMarked(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			if err := s.octi.Patch("admin", string(room().ID), "objectMarking"); err != nil {
				t.Fatal(err)
			}
			b := stix.NewBundle(room())
			got, err := s.platform.Amend(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			s.landed(got, b)
			if o, _ := s.octi.Object(string(room().ID)); len(o.Markings) != 1 || o.Markings[0] != "TLP:AMBER" {
				t.Errorf("markings %v", o.Markings)
			}
		})
	}
}

func TestNewWordsOfAChannelLeaveNoAliasAndRespectAnAnalysts(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := settled(t, g)
			id := room().ID
			first := stix.Written{Name: room().Name, Digest: stix.Digest(room().Description)}
			revise := func(written stix.Written, name, description string) stix.Written {
				t.Helper()
				c := room()
				c.Name, c.Description = name, description
				now, err := s.platform.Revise(t.Context(), c, written)
				if err != nil {
					t.Fatal(err)
				}
				return now
			}
			holds := func(name, description string) {
				t.Helper()
				o, _ := s.octi.Object(string(id))
				if o.Text("name") != name || o.Text("description") != description || len(o.List("aliases")) != 1 || o.List("aliases")[0] != "!lobby:example.org" {
					t.Errorf("name %q, description %q, aliases %q", o.Text("name"), o.Text("description"), o.List("aliases"))
				}
			}
			const second, third = "Hall (!lobby:example.org)", "Third (!lobby:example.org)"
			var written stix.Written
			for range 2 { // the second time it stands there already
				written = revise(first, second, "Topic: mail\n")
			}
			if want := (stix.Written{Name: second, Digest: stix.Digest("Topic: mail")}); written != want {
				t.Errorf("written %v, want %v", written, want)
			}
			holds(second, "Topic: mail\n")
			if n := s.octi.Calls("stixDomainObjectEdit.fieldPatch"); n != 1 {
				t.Errorf("%d mutations", n)
			}

			// What an analyst has written stays, the other is ours still.
			if err := s.octi.Patch("admin", string(id), "name", "An analyst's name"); err != nil {
				t.Fatal(err)
			}
			written = revise(written, third, "Topic: phishing")
			if want := (stix.Written{Name: second, Digest: stix.Digest("Topic: phishing")}); written != want {
				t.Errorf("written %v, want %v", written, want)
			}
			holds("An analyst's name", "Topic: phishing")
			if err := s.octi.Patch("admin", string(id), "description", "An analyst's text"); err != nil {
				t.Fatal(err)
			}
			if now := revise(written, third, "Topic: none"); now != written {
				t.Errorf("written %v, want %v", now, written)
			}
			holds("An analyst's name", "An analyst's text")
			// Whoever takes their words back gives them to us again.
			if err := s.octi.Patch("admin", string(id), "name", second); err != nil {
				t.Fatal(err)
			}
			revise(written, third, "Topic: none")
			holds(third, "An analyst's text")

			absent := room()
			absent.ID = stix.ChannelID("!absent:x")
			if _, err := s.platform.Revise(t.Context(), absent, first); !errors.Is(err, stix.ErrGone) {
				t.Error(err)
			}
		})
	}
}

func TestADeliveryDoesNotOverwriteAnAnalystsChannelName(t *testing.T) {
	s := settled(t, openctitest.Gen7)
	if err := s.octi.Patch("admin", string(room().ID), "name", "An analyst's name"); err != nil {
		t.Fatal(err)
	}
	m, rel := says("$one", "hello")
	b := stix.NewBundle(m, rel)
	s.landed(s.deliver(b), b)
	if o, _ := s.octi.Object(string(room().ID)); o.Text("name") != "An analyst's name" {
		t.Errorf("name %q", o.Text("name"))
	}
}
