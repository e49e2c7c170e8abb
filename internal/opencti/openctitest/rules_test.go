package openctitest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func trusting(t *testing.T, ca []byte) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("the authority is no PEM")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func object(t *testing.T, v map[string]any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func channelNamed(name string, aliases ...string) map[string]any {
	return map[string]any{"type": "channel", "name": name, "aliases": aliases, "id": "channel--00000000-0000-4000-8000-" + fmt.Sprintf("%012x", len(name)+len(aliases))}
}

// Standard ids as the platform's formula gives them, from the official
// libraries' vectors.
func TestStandardIDsAreThePlatforms(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	for name, want := range map[string]string{
		"general":          "channel--14e5bc08-21ec-5b28-99c8-d4d30252c22f",
		"!abc:example.org": "channel--9f5b19df-af7f-5515-9e26-796b4403eda9",
		"équipe #1 — été":  "channel--48531f6f-ce0f-54fa-8e40-110bb7613d42",
		" General\ufeff ":  "channel--14e5bc08-21ec-5b28-99c8-d4d30252c22f",
	} {
		if err := p.Import("connector", object(t, channelNamed(name))); err != nil {
			t.Fatal(err)
		}
		if _, ok := p.Object(want); !ok {
			t.Errorf("%q is not %s: %v", name, want, p.Objects("Channel"))
		}
	}
	for _, o := range []struct{ object, id string }{
		{`{"type":"identity","identity_class":"individual","name":"@alice:example.org"}`, "identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac"},
		{`{"type":"media-content","url":"https://matrix.to/#/!abc:example.org/$evt1"}`, "media-content--99b5c485-6f3a-5156-babc-76efae12f2b1"},
		{`{"type":"relationship","relationship_type":"publishes","source_ref":"channel--9f5b19df-af7f-5515-9e26-796b4403eda9","target_ref":"media-content--99b5c485-6f3a-5156-babc-76efae12f2b1"}`, "relationship--2a8ec69e-4d64-5279-984d-9adf26f48998"},
		{`{"type":"relationship","relationship_type":"publishes","start_time":"2024-01-02T03:04:05.000Z","source_ref":"channel--9f5b19df-af7f-5515-9e26-796b4403eda9","target_ref":"media-content--99b5c485-6f3a-5156-babc-76efae12f2b1"}`, "relationship--42b63977-63c6-5285-8e1f-f5d73595de74"},
	} {
		if err := p.Import("connector", o.object); err != nil {
			t.Fatal(err)
		}
		if _, ok := p.Object(o.id); !ok {
			t.Errorf("%s is not there after %s", o.id, o.object)
		}
	}
}

func TestRoomsThatDifferInCaseAloneAreOneChannel(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	for _, name := range []string{"!Q5Case:x", "!q5cASE:x", "!İ:x", "!i̇:x"} {
		if err := p.Import("connector", object(t, channelNamed(name))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.Objects("Channel")); n != 2 {
		t.Errorf("%d channels: %v", n, p.Objects("Channel"))
	}
}

func TestRoomsOfOneDisplayNameFuseOnlyWhereItIsNameOrAlias(t *testing.T) {
	for name, c := range map[string]struct {
		rooms []map[string]any
		want  []string // names
	}{
		"the display name as name": {[]map[string]any{channelNamed("General", "!a:x"), channelNamed("General", "!b:x", "!c:x")}, []string{"General"}},
		"the display name as alias": {
			[]map[string]any{channelNamed("General (!a:x)", "General"), channelNamed("General (!bb:x)", "General")}, []string{"General (!bb:x)"},
		},
		"the room id as alias":    {[]map[string]any{channelNamed("General (!a:x)", "!a:x"), channelNamed("General (!bb:x)", "!bb:x")}, []string{"General (!a:x)", "General (!bb:x)"}},
		"another's room as alias": {[]map[string]any{channelNamed("Aa", "!a:x"), channelNamed("Bbb", "!b:x"), channelNamed("Bbb", "!b:x", "!a:x")}, []string{"Aa", "Bbb"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, openctitest.Config{})
			for _, r := range c.rooms {
				if err := p.Import("connector", object(t, r)); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, o := range p.Objects("Channel") {
				got = append(got, o.Text("name"))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAnUpsertOverwritesAddsOrLeavesAlone(t *testing.T) {
	users := []openctitest.User{
		{Name: "low", Token: "low", MaxConfidence: 50},
		{Name: "high", Token: "high"},
		{Name: "plain", Token: "plain", Capabilities: []string{"KNOWLEDGE_KNUPDATE"}},
	}
	base := map[string]any{
		"type": "media-content", "id": "media-content--9a5db1e2-2348-53a2-ba45-d906ae9eb57d", "url": "$evt1", "content": "one", "title": "t", "labels": []string{"matrix"},
		"object_marking_refs": []string{markingIDs["TLP:AMBER"]},
	}
	with := func(changes map[string]any) map[string]any { m := maps.Clone(base); maps.Copy(m, changes); return m }
	for name, c := range map[string]struct {
		first, then string // users
		change      map[string]any
		want        func(openctitest.Object) string
		is          string
	}{
		"new text of an equal":           {"high", "high", map[string]any{"content": "two"}, func(o openctitest.Object) string { return o.Text("content") }, "two"},
		"new text of a lower user":       {"high", "low", map[string]any{"content": "two"}, func(o openctitest.Object) string { return o.Text("content") }, "one"},
		"empty text":                     {"high", "high", map[string]any{"content": ""}, func(o openctitest.Object) string { return o.Text("content") }, "one"},
		"labels":                         {"high", "high", map[string]any{"labels": []string{"other"}}, func(o openctitest.Object) string { return strings.Join(o.Labels, " ") }, "matrix other"},
		"a label of who may make none":   {"high", "plain", map[string]any{"labels": []string{"other"}}, func(o openctitest.Object) string { return strings.Join(o.Labels, " ") }, "matrix"},
		"a lower marking":                {"high", "high", map[string]any{"object_marking_refs": []string{markingIDs["TLP:GREEN"]}}, func(o openctitest.Object) string { return strings.Join(o.Markings, " ") }, "TLP:AMBER"},
		"a higher marking":               {"high", "high", map[string]any{"object_marking_refs": []string{markingIDs["TLP:RED"]}}, func(o openctitest.Object) string { return strings.Join(o.Markings, " ") }, "TLP:RED"},
		"an unknown marking":             {"high", "high", map[string]any{"object_marking_refs": []string{"marking-definition--11111111-2222-4333-8444-555555555555"}}, func(o openctitest.Object) string { return strings.Join(o.Markings, " ") }, "TLP:AMBER"},
		"an author where none was":       {"high", "high", map[string]any{"x_opencti_created_by_ref": "identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac"}, func(o openctitest.Object) string { return o.Author }, "identity--bd8fb8c6-5018-5038-82ea-d44abb1380ac"},
		"an author who is not there":     {"high", "high", map[string]any{"x_opencti_created_by_ref": "identity--00000000-0000-4000-8000-000000000000"}, func(o openctitest.Object) string { return o.Author }, ""},
		"another url under the same id":  {"high", "high", map[string]any{"url": "$other"}, func(o openctitest.Object) string { return o.Text("url") }, "$evt1"},
		"the creators, even a lower one": {"high", "low", nil, func(o openctitest.Object) string { return strings.Join(o.Creators, " ") }, "high low"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, openctitest.Config{Users: users})
			if err := p.Import("high", `{"type":"identity","identity_class":"individual","name":"@alice:example.org"}`); err != nil {
				t.Fatal(err)
			}
			if err := p.Import(c.first, object(t, base)); err != nil {
				t.Fatal(err)
			}
			if err := p.Import(c.then, object(t, with(c.change))); err != nil {
				t.Fatal(err)
			}
			all := p.Objects("Media-Content")
			if len(all) != 1 || c.want(all[0]) != c.is {
				t.Errorf("want %q: %+v", c.is, all)
			}
		})
	}
}

func TestHistoryKeepsWhatTextWas(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	id := "media-content--9a5db1e2-2348-53a2-ba45-d906ae9eb57d"
	if err := p.Import("connector", `{"type":"media-content","id":"`+id+`","url":"$evt1","content":"secret"}`); err != nil {
		t.Fatal(err)
	}
	o, _ := p.Object(id)
	if err := p.Patch("connector", id, "content", "[redacted]"); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete("connector", id); err != nil {
		t.Fatal(err)
	}
	var events []string
	for _, c := range p.History(o.ID) {
		events = append(events, fmt.Sprint(c.Event, " ", c.Field, " ", c.Before, " ", c.After))
	}
	want := []string{"create  <nil> secret", "update content secret [redacted]", "delete  <nil> <nil>"}
	if d := cmp.Diff(want, events); d != "" {
		t.Error(d)
	}
	if p.Trash() != 1 {
		t.Errorf("trash holds %d", p.Trash())
	}
}

func TestRelationsMayBeAskedForByEitherEnd(t *testing.T) {
	p := newPlatform(t, openctitest.Config{})
	media := "media-content--9a5db1e2-2348-53a2-ba45-d906ae9eb57d"
	room := "channel--14e5bc08-21ec-5b28-99c8-d4d30252c22f"
	for _, o := range []string{
		`{"type":"media-content","url":"$evt1"}`, `{"type":"channel","name":"general"}`,
		`{"type":"relationship","relationship_type":"publishes","source_ref":"` + room + `","target_ref":"` + media + `","start_time":"2024-01-02T03:04:05.000Z"}`,
		`{"type":"relationship","relationship_type":"publishes","source_ref":"` + room + `","target_ref":"` + media + `","start_time":"2024-01-20T03:04:05.000Z"}`,
		`{"type":"relationship","relationship_type":"publishes","source_ref":"` + room + `","target_ref":"` + media + `"}`,
	} {
		if err := p.Import("connector", o); err != nil {
			t.Fatal(err)
		}
	}
	// Eighteen days apart is one relation, undated is another.
	if n := len(p.Relations(room, media, "publishes")); n != 2 {
		t.Errorf("%d relations: %v", n, p.Relations("", "", ""))
	}
	if len(p.Relations(media, "", "")) != 0 || len(p.Relations("", media, "")) != 2 {
		t.Error("ends are mixed up")
	}
	starts := []string{}
	for _, r := range p.Relations(room, "", "") {
		starts = append(starts, r.Start.Format("2006-01-02"))
	}
	slices.Sort(starts)
	if d := cmp.Diff([]string{"1970-01-01", "2024-01-02"}, starts); d != "" {
		t.Error(d)
	}
}
