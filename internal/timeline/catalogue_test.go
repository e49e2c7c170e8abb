package timeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestParseReadsTheRarerKinds(t *testing.T) {
	image := func(index int, name string) timeline.File {
		return timeline.File{Index: index, Name: name, URI: catURI, Kind: timeline.KindImage}
	}
	audio := timeline.File{Index: 1, Name: "song.ogg", URI: catURI, Kind: timeline.KindAudio}
	for _, test := range []struct {
		name  string
		event timeline.Event
		want  timeline.Item
	}{
		{
			"a gallery is its caption and its files", message(`{"msgtype":"m.gallery","body":"Trip","itemtypes":[{"itemtype":"m.image","body":"a.png","url":"mxc://example.org/cat"},{"itemtype":"m.audio","body":"our song","filename":"song.ogg","url":"mxc://example.org/cat"}]}`),
			said(timeline.KindGallery, "m.gallery", "Trip\nsong.ogg: our song", image(0, "a.png"), audio),
		},
		{
			"a gallery may use the unstable form", message(`{"msgtype":"dm.filament.gallery","body":"","itemtypes":[5,{"itemtype":"m.image","body":"a.png","url":"mxc://example.org/cat"}]}`),
			said(timeline.KindGallery, "dm.filament.gallery", "", image(0, "a.png")),
		},
		{
			"a gallery of Beeper's has its caption elsewhere", message(`{"msgtype":"com.beeper.gallery","body":"fallback","com.beeper.gallery.caption":"Trip","com.beeper.gallery.images":[{"msgtype":"m.image","body":"a.png","url":"mxc://example.org/cat"}]}`),
			said(timeline.KindGallery, "com.beeper.gallery", "Trip", image(0, "a.png")),
		},
		{"a gallery without items is its text", message(`{"msgtype":"m.gallery","body":"Trip","itemtypes":{}}`), said(timeline.KindOther, "m.gallery", "Trip")},
		{
			"a file of an unknown kind in a gallery is a file", message(`{"msgtype":"m.gallery","body":"x","itemtypes":[{"itemtype":"m.text","body":"a","url":"mxc://example.org/cat"}]}`),
			said(timeline.KindGallery, "m.gallery", "x", timeline.File{Name: "a", URI: catURI, Kind: timeline.KindFile}),
		},
		{
			"a voice message may say its length elsewhere", message(`{"msgtype":"m.audio","body":"cat.png","url":"mxc://example.org/cat","org.matrix.msc3245.voice":{},"org.matrix.msc1767.audio":{"duration":12345,"waveform":[1]}}`),
			said(timeline.KindAudio, "m.audio", "", timeline.File{Name: "cat.png", URI: catURI, Duration: 12345 * time.Millisecond, Voice: true}),
		},
		{
			"a location has what is said about the place", message(`{"msgtype":"m.location","body":"geo","org.matrix.msc3488.location":{"uri":"geo:1,-2.5,3;u=7","description":"The pier"}}`),
			with(said(timeline.KindLocation, "m.location", "geo\nThe pier"), func(i *timeline.Item) { i.Geo = "geo:1,-2.5,3;u=7" }),
		},
		{"a place on no globe is dropped", message(`{"msgtype":"m.location","body":"Here","geo_uri":"geo:91,10"}`), said(timeline.KindLocation, "m.location", "Here")},
		{"a place on another globe is dropped", message(`{"msgtype":"m.location","body":"Here","geo_uri":"geo:1,10;crs=moon"}`), said(timeline.KindLocation, "m.location", "Here")},
		{
			"a message without a body has its extensible text", message(`{"msgtype":"m.text","m.text":[{"mimetype":"text/html","body":"<b>a</b>"},{"mimetype":"text/plain; charset=utf-8","body":"a"},{"body":"b"}]}`),
			with(said(timeline.KindText, "m.text", "a"), func(i *timeline.Item) { i.HTML = "<b>a</b>" }),
		},
		{
			"a body goes before the extensible text", message(`{"msgtype":"m.text","body":"a","m.text":[{"body":"b"}],"org.matrix.msc1767.html":"<b>b</b>"}`),
			said(timeline.KindText, "m.text", "a"),
		},
		{
			"an extensible message may have an older form", message(`{"msgtype":"m.text","org.matrix.msc1767.message":[{"mimetype":"text/plain","body":"a"}]}`),
			said(timeline.KindText, "m.text", "a"),
		},
		{
			"an extensible message is one", typed("org.matrix.msc1767.message", `{"org.matrix.msc1767.text":"a","org.matrix.msc1767.html":"<b>a</b>"}`),
			with(said(timeline.KindText, "org.matrix.msc1767.message", "a"), func(i *timeline.Item) { i.HTML = "<b>a</b>" }),
		},
		{"an extensible emote is one", typed("m.emote", `{"m.text":[{"body":"waves"}]}`), said(timeline.KindEmote, "m.emote", "* Alice waves")},
		{"an unknown type with a text says it", typed("org.example.quiz", `{"m.text":[{"body":"a quiz"}],"org.example.quiz":{}}`), said(timeline.KindOther, "org.example.quiz", "a quiz")},
		{
			"an edit of an extensible message is an edit", typed("m.message", `{"m.text":[{"body":"* a"}],"m.relates_to":{"rel_type":"m.replace","event_id":"$other"}}`),
			timeline.Item{Class: timeline.ClassEdit, Target: "$other"},
		},
		{"an unknown type without a text says nothing", typed("io.element.functional", `{"body":"x","msgtype":"m.text"}`), timeline.Item{Class: timeline.ClassOther}},
		{"a redacted event of an unknown type says nothing", typed("org.example.quiz", `{}`), timeline.Item{Class: timeline.ClassOther, Redacted: true}},
		{"a key verification says nothing", typed("m.key.verification.cancel", `{"m.text":"x","reason":"x"}`), timeline.Item{Class: timeline.ClassOther}},
		{"a beacon says nothing", typed("org.matrix.msc3672.beacon", `{"org.matrix.msc3488.location":{"uri":"geo:1,2"},"m.relates_to":{"rel_type":"m.reference","event_id":"$other"}}`), timeline.Item{Class: timeline.ClassOther}},
		{
			"a message names whom it mentions", message(`{"msgtype":"m.text","body":"x","m.mentions":{"room":true,"user_ids":["@bob:example.org","@bob:example.org",5,"bob","@a b:c"]}}`),
			with(said(timeline.KindText, "m.text", "x"), func(i *timeline.Item) {
				i.Claims = &timeline.Claims{Everybody: true, Mentions: []id.UserID{"@bob:example.org"}}
			}),
		},
		{
			"a profile and a preview are claims", message(`{"msgtype":"m.text","body":"see https://a.example","com.beeper.per_message_profile":{"id":"x","displayname":"Carol"},"com.beeper.linkpreviews":[{"matched_url":"https://a.example"},{"matched_url":"https://b.example","og:title":"b"},7]}`),
			with(said(timeline.KindText, "m.text", "see https://a.example"), func(i *timeline.Item) {
				i.Claims = &timeline.Claims{Profile: "Carol", Previews: []string{"https://b.example"}}
			}),
		},
		{"claims of the wrong type are none", message(`{"msgtype":"m.text","body":"x","m.mentions":[],"com.beeper.linkpreviews":5,"com.beeper.per_message_profile":"x"}`), said(timeline.KindText, "m.text", "x")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := timeline.Parse(test.event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("item differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAGalleryHasABoundedNumberOfFiles(t *testing.T) {
	items := strings.Repeat(`,{"itemtype":"m.image","body":"a.png","url":"mxc://example.org/cat"}`, timeline.MaxFiles+7)[1:]
	got, err := timeline.Parse(message(fmt.Sprintf(`{"msgtype":"m.gallery","body":"x","itemtypes":[%s]}`, items)))
	if err != nil || len(got.Files) != timeline.MaxFiles || got.MoreFiles != 7 {
		t.Errorf("%d files and %d more, %v", len(got.Files), got.MoreFiles, err)
	}
}
