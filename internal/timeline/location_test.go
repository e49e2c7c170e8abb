package timeline_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestParsePlaceReadsWhatLiesOnTheGlobe(t *testing.T) {
	for uri, want := range map[string]timeline.Place{
		"geo:51.5008,-0.1247":           {Latitude: "51.5008", Longitude: "-0.1247"},
		"geo:-90,180,-5.5;u=35":         {Latitude: "-90", Longitude: "180", Altitude: "-5.5", Uncertainty: "35"},
		"geo:1,2;crs=WGS84;x=y;u=0.50":  {Latitude: "1", Longitude: "2", Uncertainty: "0.50"},
		"geo:1,2;u=much":                {Latitude: "1", Longitude: "2"},
		"geo:90.0000001,0":              {},
		"geo:0,-180.5":                  {},
		"geo:1,2;crs=moon":              {},
		"geo:1":                         {},
		"geo:1,2\n![x](http://a.b/c)":   {},
		"geo:1e2,2":                     {},
		"GEO:1,2":                       {},
		"https://maps.example.org/?q=1": {},
	} {
		got, ok := timeline.ParsePlace(uri)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want != timeline.Place{}) {
			t.Errorf("%q: %t (-want +got):\n%s", uri, ok, diff)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, uri := range []string{"geo:1,2", "geo:-90.5,180.25,3;u=4;crs=wgs84", "geo:1,2;;u", "geo:999,0"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		place, ok := timeline.ParsePlace(uri)
		if !ok {
			return
		}
		for _, of := range []struct {
			text  string
			limit float64
		}{{place.Latitude, 90}, {place.Longitude, 180}} {
			if value, err := strconv.ParseFloat(of.text, 64); err != nil || value < -of.limit || value > of.limit {
				t.Errorf("%q gives %+v", uri, place)
			}
		}
	})
}
