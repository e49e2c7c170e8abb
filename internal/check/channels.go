package check

import (
	"context"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// mostChannels bounds what is asked for: one call of the platform.
const mostChannels = 100

// channels looks at the Channels of the rooms that were imported: which rooms have
// one of their own, and which may not be changed.
func (d *delivering) channels(ctx context.Context) Line {
	var landed []timeline.RoomState
	for _, room := range d.storage.rooms {
		if room.Landed > 0 || room.Key != string(room.Room.ID) {
			landed = append(landed, room)
		}
	}
	switch {
	case len(landed) == 0:
		return skipped(Channels, "because nothing was imported yet")
	case !d.user.CanRead:
		return skipped(Channels, "because the token's user may not read objects back")
	}
	landed = landed[:min(len(landed), mostChannels)]
	ids := make([]stix.ID, 0, 2*len(landed))
	for _, room := range landed {
		ids = append(ids, stix.ChannelID(room.Key))
		if room.Key != string(room.Room.ID) {
			ids = append(ids, stix.ChannelID(string(room.Room.ID)))
		}
	}
	found, err := d.probe.Find(ctx, ids)
	if err != nil {
		return d.trouble(Channels, "the rooms' Channels", err)
	}
	own, above, gone := []map[string]any{}, []string{}, []string{}
	var told []string
	for _, room := range landed {
		name := string(room.Room.ID)
		if room.Key != name {
			other := found[stix.ChannelID(name)]
			fact := map[string]any{"room_id": name, "key": room.Key}
			if connector.CarriesAnother(other, name, room.Key) {
				fact["other_channel"] = string(other.ID)
			}
			own = append(own, fact)
			told = append(told, name)
		}
		c, there := found[stix.ChannelID(room.Key)]
		switch {
		case !there && room.Landed > 0:
			gone = append(gone, name)
		case c.Confidence > d.user.MaxConfidence:
			above = append(above, name)
		}
	}
	l := fine(Channels, amount(len(landed), "room has", "rooms have")+" a Channel")
	if len(own) > 0 {
		l.Says += fmt.Sprintf("; %d beside that of another room or writing of the same id: %s", len(own), some(told))
	}
	switch {
	case len(above) > 0:
		l = warning(Channels, fmt.Sprintf("%s; %d of higher confidence than %s may change: %s", l.Says, len(above), d.user.Name, some(above)),
			"raise the maximum confidence level of the user of OPENCTI_TOKEN, or lower that of the Channels: their names stay as they are until then")
	case len(gone) > 0:
		l = warning(Channels, fmt.Sprintf("%s; %d of them are gone, or hidden from %s: %s", l.Says, len(gone), d.user.Name, some(gone)),
			"if they were deleted on purpose, name the rooms in MATRIX_ROOMS_EXCLUDE; else let the user of OPENCTI_TOKEN see their marking")
	}
	return l.with("own", own).with("above_confidence", above).with("gone", gone)
}
