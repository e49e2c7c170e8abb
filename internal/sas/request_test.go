package sas_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

func TestRequestsAreTakenOrNot(t *testing.T) {
	const (
		device = `{"transaction_id":"t","from_device":"ALICE","methods":["m.qr_code.scan.v1","m.sas.v1"],"timestamp":%d}`
		inRoom = `{"msgtype":"m.key.verification.request","body":"hi","from_device":"ALICE","methods":["m.sas.v1"],"to":"@bob:example.org"}`
	)
	at := func(d time.Duration) string { return fmt.Sprintf(device, noon.Add(d).UnixMilli()) }
	toDevice := sas.Event{Type: "m.key.verification.request", Sender: alice.User}
	message := sas.Event{Type: "m.room.message", Sender: alice.User, Room: dm, ID: "$1", Sent: noon}
	for name, tc := range map[string]struct {
		from    sas.Event
		content string
		change  func(*sas.Event)
		err     error
		expires time.Duration
	}{
		"to this device":               {toDevice, at(0), nil, nil, 10 * time.Minute},
		"nearly too old":               {toDevice, at(-10 * time.Minute), nil, nil, 0},
		"too old":                      {toDevice, at(-10*time.Minute - time.Millisecond), nil, sas.ErrOld, 0},
		"a clock that is ahead":        {toDevice, at(5 * time.Minute), nil, nil, 10 * time.Minute},
		"a clock that is wrong":        {toDevice, at(5*time.Minute + time.Millisecond), nil, sas.ErrOld, 0},
		"at no time":                   {toDevice, strings.Replace(at(0), `"timestamp"`, `"time"`, 1), nil, sas.ErrContent, 0},
		"at a time that is none":       {toDevice, `{"transaction_id":"t","from_device":"ALICE","methods":["m.sas.v1"],"timestamp":"noon"}`, nil, sas.ErrContent, 0},
		"at a time beyond time":        {toDevice, `{"transaction_id":"t","from_device":"ALICE","methods":["m.sas.v1"],"timestamp":9223372036854775807}`, nil, sas.ErrOld, 0},
		"at a time before time":        {toDevice, `{"transaction_id":"t","from_device":"ALICE","methods":["m.sas.v1"],"timestamp":-9223372036854775808}`, nil, sas.ErrOld, 0},
		"no device":                    {toDevice, strings.Replace(at(0), "from_device", "device", 1), nil, sas.ErrContent, 0},
		"a device that is none":        {toDevice, strings.Replace(at(0), `"ALICE"`, `{"a":1}`, 1), nil, sas.ErrContent, 0},
		"the device is another":        {toDevice, at(0), func(e *sas.Event) { e.Device = "ALICE2" }, sas.ErrForeign, 0},
		"the device is proved":         {toDevice, at(0), func(e *sas.Event) { e.Device = "ALICE" }, nil, 10 * time.Minute},
		"no methods":                   {toDevice, strings.Replace(at(0), "methods", "method", 1), nil, sas.ErrContent, 0},
		"no transaction":               {toDevice, strings.Replace(at(0), "transaction_id", "txn", 1), nil, sas.ErrContent, 0},
		"an empty transaction":         {toDevice, strings.Replace(at(0), `"t"`, `""`, 1), nil, sas.ErrContent, 0},
		"no content":                   {toDevice, ``, nil, sas.ErrContent, 0},
		"from ourselves":               {toDevice, strings.Replace(at(0), "ALICE", "BOB", 1), func(e *sas.Event) { e.Sender = bob.User }, sas.ErrForeign, 0},
		"from another device of ours":  {toDevice, at(0), func(e *sas.Event) { e.Sender = bob.User }, nil, 10 * time.Minute},
		"in a room":                    {message, inRoom, nil, nil, 10 * time.Minute},
		"in a room, long ago":          {message, inRoom, func(e *sas.Event) { e.Sent = noon.Add(-11 * time.Minute) }, sas.ErrOld, 0},
		"in a room, nine minutes ago":  {message, inRoom, func(e *sas.Event) { e.Sent = noon.Add(-9 * time.Minute) }, nil, time.Minute},
		"in a room, by us":             {message, inRoom, func(e *sas.Event) { e.Sender = bob.User }, sas.ErrForeign, 0},
		"in a room, of another":        {message, strings.Replace(inRoom, "@bob", "@bill", 1), nil, sas.ErrForeign, 0},
		"in a room, of nobody":         {message, strings.Replace(inRoom, `"to"`, `"two"`, 1), nil, sas.ErrForeign, 0},
		"in a room, of many":           {message, strings.Replace(inRoom, `"@bob:example.org"`, `["@bob:example.org"]`, 1), nil, sas.ErrForeign, 0},
		"in a room, without an id":     {message, inRoom, func(e *sas.Event) { e.ID = "" }, sas.ErrContent, 0},
		"in a room, something else":    {message, strings.Replace(inRoom, "m.key.verification.request", "m.text", 1), nil, sas.ErrContent, 0},
		"in a room, as to a device":    {message, at(0), func(e *sas.Event) { e.Type = "m.key.verification.request" }, sas.ErrContent, 0},
		"as in a room, to a device":    {toDevice, strings.Replace(inRoom, `{`, `{"transaction_id":"t",`, 1), func(e *sas.Event) { e.Type = "m.room.message" }, sas.ErrContent, 0},
		"something that opens nothing": {toDevice, at(0), func(e *sas.Event) { e.Type = "m.key.verification.key" }, sas.ErrForeign, 0},
		"no verification at all":       {toDevice, at(0), func(e *sas.Event) { e.Type = "m.room_key" }, sas.ErrContent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := tc.from
			e.Content = json.RawMessage(tc.content)
			if tc.change != nil {
				tc.change(&e)
			}
			v, out, err := sas.Requested(sas.Config{Own: bob}, e, noon)
			if !errors.Is(err, tc.err) || (v == nil) != (tc.err != nil) || len(out) > 0 {
				t.Fatalf("got %v, %v, %v", v, out, err)
			}
			if tc.err != nil {
				return
			}
			if v.State() != sas.StateAsked || v.Them().Device != "ALICE" || v.Room() != e.Room || !v.NeedsKeys() {
				t.Errorf("got %v", v)
			}
			if got := v.Expires().Sub(noon); got != tc.expires {
				t.Errorf("expires after %v, not %v", got, tc.expires)
			}
		})
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	nameless, keyless, named := bob, bob, bob
	nameless.Device, keyless.Keys.Device = "", ""
	named.Device = id.DeviceID(named.Keys.Master)
	odd := bob
	odd.Keys.Master = "no key"
	for name, c := range map[string]sas.Config{
		"no device":             {Own: nameless},
		"no device key":         {Own: keyless},
		"named like the master": {Own: named},
		"a key that is none":    {Own: odd},
		"no randomness":         {Own: bob, Rand: strings.NewReader("four")},
	} {
		if _, _, err := sas.Request(c, alice.User, []id.DeviceID{"A"}, noon); err == nil {
			t.Errorf("%s: a request was made", name)
		}
		if _, _, err := sas.RequestInRoom(c, alice.User, dm, noon); err == nil {
			t.Errorf("%s: a request in a room was made", name)
		}
	}
	c := sas.Config{Own: bob}
	for name, devices := range map[string][]id.DeviceID{"nobody": nil, "no name": {"A", ""}} {
		if _, _, err := sas.Request(c, alice.User, devices, noon); err == nil {
			t.Errorf("%s: a request was made", name)
		}
	}
	if _, _, err := sas.Request(c, bob.User, []id.DeviceID{"A", bob.Device}, noon); err == nil {
		t.Error("a device asks itself")
	}
	if _, _, err := sas.RequestInRoom(c, bob.User, dm, noon); err == nil {
		t.Error("an account asks itself in a room")
	}
	v, _, err := sas.RequestInRoom(c, alice.User, dm, noon)
	if err != nil {
		t.Fatal(err)
	}
	if out := v.Cancel(sas.CodeUser); len(out) > 0 {
		t.Errorf("a request that was not sent is cancelled by %v", out)
	}
	mustIgnore(t, v.Opened("$1"), sas.ErrState)
}

func TestOfManyDevicesOneAnswers(t *testing.T) {
	ask := func(t *testing.T) (v *sas.Verification, from func(kind, device, content string) sas.Event) {
		t.Helper()
		v, out, err := sas.Request(sas.Config{Own: alice}, bob.User, []id.DeviceID{"B1", "B2", "B3"}, noon)
		if err != nil || len(out) != 1 || !slices.Equal(out[0].Devices, []id.DeviceID{"B1", "B2", "B3"}) {
			t.Fatalf("asked %v, %v", out, err)
		}
		return v, func(kind, device, content string) sas.Event {
			return sas.Event{Type: "m.key.verification." + kind, Sender: bob.User, Device: id.DeviceID(device), Content: json.RawMessage(
				`{"transaction_id":"` + v.Transaction() + `"` + content + `}`)}
		}
	}
	told := func(t *testing.T, out []sas.Message, code sas.Code, devices ...id.DeviceID) {
		t.Helper()
		if len(out) != 1 || out[0].Type != "m.key.verification.cancel" || out[0].User != bob.User ||
			!strings.Contains(string(out[0].Content), `"code":"`+string(code)+`"`) {
			t.Fatalf("said %+v", out)
		}
		if diff := cmp.Diff(devices, out[0].Devices); diff != "" {
			t.Errorf("told others: %s", diff)
		}
	}
	t.Run("and the others are told", func(t *testing.T) {
		v, from := ask(t)
		out, err := v.Receive(from("ready", "", `,"from_device":"B2","methods":["m.sas.v1"]`))
		if err != nil || v.State() != sas.StateReady || v.Them().Device != "B2" {
			t.Fatalf("%v, %v", v, err)
		}
		told(t, out, sas.CodeAccepted, "B1", "B3")
		_, err = v.Receive(from("ready", "", `,"from_device":"B1","methods":["m.sas.v1"]`))
		mustIgnore(t, err, sas.ErrForeign) // it was too late
		told(t, v.Cancel(sas.CodeUser), sas.CodeUser, "B2")
	})
	t.Run("but none that was not asked", func(t *testing.T) {
		v, from := ask(t)
		_, err := v.Receive(from("ready", "", `,"from_device":"B4","methods":["m.sas.v1"]`))
		mustIgnore(t, err, sas.ErrForeign)
		_, err = v.Receive(from("ready", "B1", `,"from_device":"B2","methods":["m.sas.v1"]`))
		mustIgnore(t, err, sas.ErrForeign)
		_, err = v.Receive(from("cancel", "B4", `,"code":"m.user"`))
		mustIgnore(t, err, sas.ErrForeign)
	})
	t.Run("or refuses, and the others are told", func(t *testing.T) {
		v, from := ask(t)
		out, err := v.Receive(from("cancel", "B3", `,"code":"m.user","reason":"no"`))
		if c, is := v.Cancellation(); err != nil || !is || c != (sas.Cancellation{Code: sas.CodeUser}) {
			t.Fatalf("%v, %v, %v", v, c, err)
		}
		told(t, out, sas.CodeUser, "B1", "B2")
	})
	t.Run("or refuses, and does not say which", func(t *testing.T) {
		v, from := ask(t)
		out, _ := v.Receive(from("cancel", "", `,"code":"m.user","reason":"no"`))
		told(t, out, sas.CodeUser, "B1", "B2", "B3")
	})
	t.Run("or none does", func(t *testing.T) {
		v, _ := ask(t)
		told(t, v.Expire(noon.Add(10*time.Minute)), sas.CodeTimeout, "B1", "B2", "B3")
	})
	t.Run("or cannot, after all", func(t *testing.T) {
		v, from := ask(t)
		out, _ := v.Receive(from("ready", "", `,"from_device":"B2","methods":["m.qr_code.show.v1"]`))
		if len(out) != 2 {
			t.Fatalf("said %v", out)
		}
		told(t, out[:1], sas.CodeAccepted, "B1", "B3")
		told(t, out[1:], sas.CodeUnknownMethod, "B2")
	})
}

func TestARequestThatOffersNothingIsLeftToOthers(t *testing.T) {
	e := sas.Event{Type: "m.room.message", Sender: alice.User, Room: dm, ID: "$1", Sent: noon, Content: json.RawMessage(
		`{"msgtype":"m.key.verification.request","from_device":"ALICE","methods":["m.qr_code.show.v1"],"to":"@bob:example.org"}`)}
	v, out, err := sas.Requested(sas.Config{Own: bob}, e, noon)
	if err != nil || len(out) > 0 || v.Supported() {
		t.Fatalf("%v, %v, %v", v, out, err)
	}
	_, err = v.Accept()
	mustIgnore(t, err, sas.ErrUnsupported)
	if out := v.Expire(noon.Add(time.Hour)); len(out) > 0 || v.State() != sas.StateCancelled {
		t.Errorf("says %v", out)
	}
	v, _, _ = sas.Requested(sas.Config{Own: bob}, e, noon)
	if out := v.Cancel(sas.CodeUser); len(out) != 1 {
		t.Errorf("a person may refuse it: %v", out)
	}
}

func TestInARoomOurOtherDevicesAreHeard(t *testing.T) {
	echo := func(s *stage, kind, more string) sas.Event {
		e := s.says(s.peers[1], kind, nil)
		e.Content = json.RawMessage(strings.Replace(string(e.Content), "{", "{"+more, 1))
		return e
	}
	for name, tc := range map[string]struct {
		kind, more string
		accepted   bool
		want       sas.State
		code       sas.Code
	}{
		"another accepts":                {"ready", `"from_device":"BOB2","methods":["m.sas.v1"],`, false, sas.StateCancelled, sas.CodeAccepted},
		"another refuses":                {"cancel", `"code":"m.user","reason":"no",`, false, sas.StateCancelled, sas.CodeUser},
		"another cancels what is ours":   {"cancel", `"code":"m.user","reason":"no",`, true, sas.StateCancelled, sas.CodeUser},
		"another accepts what is ours":   {"ready", `"from_device":"BOB2","methods":["m.sas.v1"],`, true, sas.StateReady, ""},
		"our own, from before":           {"ready", `"from_device":"BOB","methods":["m.sas.v1"],`, false, sas.StateAsked, ""},
		"our own comes back":             {"ready", `"from_device":"BOB","methods":["m.sas.v1"],`, true, sas.StateReady, ""},
		"another starts what is ours":    {"start", `"from_device":"BOB2",`, true, sas.StateReady, ""},
		"a cancellation without a code":  {"cancel", ``, false, sas.StateCancelled, ""},
		"a cancellation with hot air":    {"cancel", `"code":"<b>m.user</b>",`, false, sas.StateCancelled, ""},
		"a cancellation with a long one": {"cancel", `"code":"` + strings.Repeat("m", 65) + `",`, false, sas.StateCancelled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, first, second := newStage(t, dm, alice, bob)
			s.asks(first, second)
			s.run()
			if tc.accepted {
				s.accepts(second)
			}
			out, err := second.v.Receive(echo(s, tc.kind, tc.more))
			if len(out) > 0 {
				t.Errorf("says %v", out)
			}
			s.in(second, tc.want)
			if c, is := second.v.Cancellation(); is && c != (sas.Cancellation{Code: tc.code}) {
				t.Errorf("cancelled with %+v", c)
			} else if !is {
				mustIgnore(t, err, sas.ErrForeign)
			}
		})
	}
}

func TestABareStartThatOffersNothingIsRefused(t *testing.T) {
	content := func(change string) sas.Event {
		start := sound("ALICE")["start"]
		start["transaction_id"], start[change] = "t", "m.smell.v1"
		raw, _ := json.Marshal(start)
		return sas.Event{Type: "m.key.verification.start", Sender: alice.User, Content: raw}
	}
	for change, code := range map[string]sas.Code{"method": sas.CodeUnknownMethod, "hashes": sas.CodeInvalidMessage} {
		v, out, err := sas.Requested(sas.Config{Own: bob}, content(change), noon)
		if err != nil || len(out) != 1 || v.State() != sas.StateCancelled {
			t.Fatalf("%s: %v, %v, %v", change, v, out, err)
		}
		if c, _ := v.Cancellation(); c.Code != code {
			t.Errorf("%s: %v", change, c)
		}
	}
	e := content("method")
	e.Room = dm // there, nothing begins with start
	e.Content = json.RawMessage(strings.Replace(string(e.Content), "{", `{"m.relates_to":{"rel_type":"m.reference","event_id":"$1"},`, 1))
	if v, _, err := sas.Requested(sas.Config{Own: bob}, e, noon); v != nil || !errors.Is(err, sas.ErrForeign) {
		t.Errorf("in a room: %v, %v", v, err)
	}
}
