package timeline

import (
	"regexp"
	"strconv"
	"strings"
)

// geoURI is RFC 5870 as far as clients use it: two or three coordinates and
// parameters.
var geoURI = regexp.MustCompile(`^geo:(-?\d{1,3}(?:\.\d{1,20})?),(-?\d{1,3}(?:\.\d{1,20})?)(?:,(-?\d{1,8}(?:\.\d{1,20})?))?((?:;[A-Za-z0-9-]+(?:=[A-Za-z0-9.:+%_-]*)?)*)$`)

// uncertainty is the parameter u of a geo URI: a number.
var uncertainty = regexp.MustCompile(`^\d{1,9}(?:\.\d{1,20})?$`)

// readGeo is the location's address: geo_uri, or what extensible events call it
// (MSC3488), with what these say about the place beside it.
func readGeo(content fields) (uri, description string) {
	for _, block := range []fields{content.object("m.location"), content.object("org.matrix.msc3488.location"), content} {
		key := "uri"
		if said, ok := block.text("description"); ok && description == "" {
			description = said
		}
		if block.has("geo_uri") {
			key = "geo_uri"
		}
		if text, ok := block.text(key); ok && uri == "" {
			if _, valid := ParsePlace(text); valid {
				uri = text
			}
		}
	}
	return uri, description
}

// Place is a geo URI read: digits as they were written.
type Place struct {
	Latitude, Longitude string // degrees of WGS 84
	Altitude            string // metres, empty where none is given
	Uncertainty         string // metres, empty where none is given
}

// ParsePlace reads a geo URI (RFC 5870); ok is false for what is none, or lies on no
// globe.
func ParsePlace(uri string) (place Place, ok bool) {
	if len(uri) > MaxGeoBytes {
		return Place{}, false
	}
	parts := geoURI.FindStringSubmatch(uri)
	if parts == nil || !within(parts[1], 90) || !within(parts[2], 180) {
		return Place{}, false
	}
	place = Place{Latitude: parts[1], Longitude: parts[2], Altitude: parts[3]}
	for parameter := range strings.SplitSeq(parts[4], ";") {
		name, value, _ := strings.Cut(parameter, "=")
		switch {
		case strings.EqualFold(name, "u") && uncertainty.MatchString(value):
			place.Uncertainty = value
		case strings.EqualFold(name, "crs") && !strings.EqualFold(value, "wgs84"):
			return Place{}, false // these coordinates mean something else
		}
	}
	return place, true
}

func within(degrees string, limit float64) bool {
	value, err := strconv.ParseFloat(degrees, 64)
	return err == nil && value >= -limit && value <= limit
}
