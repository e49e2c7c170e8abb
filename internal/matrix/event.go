package matrix

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// wireEvent is an event as received, as far as the reader has to know it.
type wireEvent struct {
	ID       id.EventID
	Sender   id.UserID
	Type     string
	StateKey *string
	// Sent is origin_server_ts; timed is false where it is no number.
	Sent    int64
	timed   bool
	Content json.RawMessage
	Raw     json.RawMessage
}

// Why an event is unreadable.
const (
	badJSON     = "not a JSON object"
	badDepth    = "nested too deeply"
	badID       = "no valid event id"
	badSender   = "no valid sender"
	badType     = "no valid type"
	badStateKey = "state key is not a string"
	badContent  = "content is not a readable object"
	badReader   = "the reader broke on it"
)

// maxID bounds identifiers and types (Matrix appendices, "Common identifier format").
const maxID = 255

// readEvent reads an event's envelope; problem says what is wrong with it. Fields
// that nobody here needs are not looked at: a malformed one costs nothing.
//
// A malformed origin_server_ts is no problem: it is a claim anyway.
func readEvent(raw json.RawMessage) (e wireEvent, problem string) {
	e.Raw = raw
	fields := map[string]json.RawMessage{}
	if members(raw, func(key string, value json.RawMessage) { fields[key] = value }) != nil {
		return e, badJSON
	}
	// The id first: it names the row also where the rest cannot be read.
	if eventID, ok := text(fields["event_id"]); ok && strings.HasPrefix(eventID, "$") && len(eventID) > 1 && len(eventID) <= maxID {
		e.ID = id.EventID(eventID)
	}
	if tooDeep(raw) {
		return e, badDepth
	}
	if !json.Valid(raw) {
		return e, badJSON
	}
	if e.ID == "" {
		return e, badID
	}
	sender, ok := text(fields["sender"])
	if !ok || len(sender) > maxID || !strings.HasPrefix(sender, "@") || !strings.Contains(sender, ":") {
		return e, badSender
	}
	e.Sender = id.UserID(sender)
	if e.Type, ok = text(fields["type"]); !ok || e.Type == "" || len(e.Type) > maxID {
		return e, badType
	}
	if key, there := fields["state_key"]; there && string(key) != "null" {
		k, ok := text(key)
		if !ok {
			return e, badStateKey
		}
		e.StateKey = &k
	}
	e.Content = fields["content"]
	if len(e.Content) == 0 || e.Content[0] != '{' {
		return e, badContent
	}
	e.Sent, e.timed = milliseconds(fields["origin_server_ts"])
	return e, ""
}

// text reads a JSON string.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	if plainString(raw) {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// plainString reports whether a JSON string stands for just what is between its quotes:
// visible ASCII without escapes, as in nearly every identifier.
func plainString(raw []byte) bool {
	if len(raw) < 2 || raw[len(raw)-1] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// milliseconds reads a number of milliseconds; fractions are cut, and what is out
// of range is the end of the range.
func milliseconds(raw json.RawMessage) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case math.IsNaN(f) || (err != nil && !math.IsInf(f, 0)) || len(raw) == 0:
		return 0, false
	case f >= math.MaxInt64:
		return math.MaxInt64, true
	case f <= math.MinInt64:
		return math.MinInt64, true
	}
	return int64(f), true
}

// unreadable makes the row of an event that cannot be read. What is no JSON is kept
// as a JSON string, so that whoever stores the row need not care.
func (a *Account) unreadable(room id.RoomID, e wireEvent, reason string) timeline.Unreadable {
	name := e.ID
	if name == "" {
		sum := sha256.Sum256(e.Raw)
		name = id.EventID("$unreadable-" + base64.RawURLEncoding.EncodeToString(sum[:]))
	}
	kept := e.Raw
	if !json.Valid(kept) {
		kept, _ = json.Marshal(string(e.Raw)) // a string always has a JSON form
	}
	return timeline.Unreadable{Room: room, ID: name, Raw: kept, Reason: reason, Received: a.received()}
}
