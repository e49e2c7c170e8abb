package sas_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

func newBook(t *testing.T, own sas.Party) *sas.Book {
	t.Helper()
	b, err := sas.NewBook(sas.Config{Own: own})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asks is a request of Alice's to this device.
func asks(device, transaction string, at time.Time) sas.Event {
	return sas.Event{Type: "m.key.verification.request", Sender: alice.User, Content: json.RawMessage(fmt.Sprintf(
		`{"transaction_id":%q,"from_device":%q,"methods":["m.sas.v1"],"timestamp":%d}`, transaction, device, at.UnixMilli()))}
}

func mustReceive(t *testing.T, b *sas.Book, e sas.Event, now time.Time) (*sas.Verification, []sas.Message) {
	t.Helper()
	v, out, err := b.Receive(e, now)
	if err != nil {
		t.Fatal(err)
	}
	return v, out
}

func TestABookKnowsWhichVerificationIsMeant(t *testing.T) {
	b := newBook(t, bob)
	one, _ := mustReceive(t, b, asks("A1", "t", noon), noon)
	other := asks("A1", "t", noon) // another account may choose the same name
	other.Sender = "@anna:example.org"
	two, _ := mustReceive(t, b, other, noon)
	if one == two || len(b.UnderWay()) != 2 {
		t.Fatalf("two accounts share %v", b.UnderWay())
	}
	for _, v := range []*sas.Verification{one, two} {
		got, _ := mustReceive(t, b, sas.Event{Type: "m.key.verification.cancel", Sender: v.Them().User, Content: json.RawMessage(`{"transaction_id":"t","code":"m.user"}`)}, noon)
		if got != v || v.State() != sas.StateCancelled {
			t.Errorf("%v was meant, not %v", v, got)
		}
	}
	// What has ended is remembered as long as it might have gone on.
	b.Expire(noon.Add(time.Minute))
	if _, out, err := b.Receive(asks("A1", "t", noon), noon); len(out) > 0 {
		t.Errorf("answered by %v", out)
	} else {
		mustIgnore(t, err, sas.ErrEnded)
	}
	b.Expire(noon.Add(10 * time.Minute))
	if _, out, err := b.Receive(asks("A1", "t", noon.Add(11*time.Minute)), noon.Add(11*time.Minute)); err != nil || len(out) > 0 || len(b.UnderWay()) != 1 {
		t.Errorf("a new one: %v, %v", out, err)
	}
}

func TestADeviceThatAsksTwiceGetsNothing(t *testing.T) {
	b := newBook(t, bob)
	first, _ := mustReceive(t, b, asks("A1", "t1", noon), noon)
	elsewhere, _ := mustReceive(t, b, asks("A2", "t2", noon), noon)
	ours, _, err := b.Request(alice.User, []id.DeviceID{"A1"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	mustReceive(t, b, sas.Event{Type: "m.key.verification.ready", Sender: alice.User, Content: json.RawMessage(
		`{"transaction_id":"` + ours.Transaction() + `","from_device":"A1","methods":["m.sas.v1"]}`)}, noon)
	cannot := asks("A1", "t5", noon) // for another of our devices
	cannot.Content = json.RawMessage(strings.Replace(string(cannot.Content), "m.sas.v1", "m.qr_code.show.v1", 1))
	mustReceive(t, b, cannot, noon)
	if first.State() != sas.StateAsked {
		t.Errorf("%v, by a request that is not for us", first)
	}
	if _, err := first.Accept(); err != nil {
		t.Fatal(err)
	}
	again, out := mustReceive(t, b, asks("A1", "t3", noon), noon)
	for _, v := range []*sas.Verification{first, again} {
		if c, is := v.Cancellation(); !is || c != (sas.Cancellation{Code: sas.CodeUnexpectedMessage, Ours: true}) {
			t.Errorf("%v goes on (%+v)", v, c)
		}
	}
	var told []string
	for _, m := range out {
		told = append(told, fmt.Sprintf("%s %v %s", m.Type, m.Devices, m.Content[strings.LastIndexByte(string(m.Content), ':'):]))
	}
	want := []string{`m.key.verification.cancel [A1] :"t1"}`, `m.key.verification.cancel [A1] :"t3"}`}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told: %s", diff)
	}
	if elsewhere.State() != sas.StateAsked || ours.State() != sas.StateReady {
		t.Errorf("others ended, too: %v, %v", elsewhere, ours)
	}
	// One that was given up is no second one.
	elsewhere.Cancel(sas.CodeUser)
	if v, out := mustReceive(t, b, asks("A2", "t4", noon), noon); v.State() != sas.StateAsked || len(out) > 0 {
		t.Errorf("%v, %v", v, out)
	}
}

func TestWhatIsNotKnownIsAnsweredOnlyToADevice(t *testing.T) {
	const ready = `{"transaction_id":"lost","from_device":"A1","methods":["m.sas.v1"]}`
	for name, tc := range map[string]struct {
		e    sas.Event
		want []id.DeviceID
	}{
		"ready":                     {sas.Event{Type: "m.key.verification.ready", Content: json.RawMessage(ready)}, []id.DeviceID{"A1"}},
		"a key":                     {sas.Event{Type: "m.key.verification.key", Content: json.RawMessage(`{"transaction_id":"lost","key":"x"}`)}, nil},
		"a key of a known device":   {sas.Event{Type: "m.key.verification.key", Device: "A2", Content: json.RawMessage(`{"transaction_id":"lost","key":"x"}`)}, []id.DeviceID{"A2"}},
		"a cancellation":            {sas.Event{Type: "m.key.verification.cancel", Device: "A2", Content: json.RawMessage(`{"transaction_id":"lost"}`)}, nil},
		"of no transaction":         {sas.Event{Type: "m.key.verification.ready", Content: json.RawMessage(`{"from_device":"A1"}`)}, nil},
		"in a room":                 {sas.Event{Type: "m.key.verification.ready", Room: dm, ID: "$2", Content: json.RawMessage(`{"m.relates_to":{"rel_type":"m.reference","event_id":"$1"},"from_device":"A1"}`)}, nil},
		"no verification":           {sas.Event{Type: "m.dummy", Device: "A1", Content: json.RawMessage(`{"transaction_id":"lost"}`)}, nil},
		"our own":                   {sas.Event{Type: "m.key.verification.ready", Sender: bob.User, Content: json.RawMessage(strings.Replace(ready, "A1", "BOB", 1))}, nil},
		"a from_device that is not": {sas.Event{Type: "m.key.verification.ready", Content: json.RawMessage(strings.Replace(ready, `"A1"`, `["A1"]`, 1))}, nil},
		"a request in a room's way": {sas.Event{Type: "m.key.verification.request", Room: dm, ID: "$2", Content: json.RawMessage(ready)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, bob)
			if tc.e.Sender == "" {
				tc.e.Sender = alice.User
			}
			v, out, err := b.Receive(tc.e, noon)
			if v != nil || (err == nil) != (tc.want != nil) {
				t.Fatalf("%v, %v, %v", v, out, err)
			}
			if tc.want == nil {
				if mustIgnore(t, err, sas.ErrUnknown); len(out) > 0 {
					t.Errorf("says %v", out)
				}
				return
			}
			if len(out) != 1 || out[0].User != alice.User || !cmp.Equal(out[0].Devices, tc.want) || out[0].Type != "m.key.verification.cancel" {
				t.Fatalf("says %+v", out)
			}
			for _, part := range []string{`"m.unknown_transaction"`, `"transaction_id":"lost"`} {
				if !strings.Contains(string(out[0].Content), part) {
					t.Errorf("says %s", out[0].Content)
				}
			}
		})
	}
}

func TestABookHoldsOnlySoMany(t *testing.T) {
	b := newBook(t, bob)
	var err error
	n := 0
	for ; n < 1000 && err == nil; n++ {
		_, _, err = b.Receive(asks(fmt.Sprint("A", n), fmt.Sprint("t", n), noon), noon)
	}
	if mustIgnore(t, err, sas.ErrFull); n > 20 {
		t.Errorf("took %d requests", n)
	}
	if _, _, err := b.Request(alice.User, []id.DeviceID{"A"}, noon); err == nil {
		t.Error("asked for one more")
	}
	if _, _, err := b.RequestInRoom(alice.User, dm, noon); err == nil {
		t.Error("asked for one more in a room")
	}
	full := len(b.UnderWay())
	for i, v := range b.UnderWay() {
		if i != 3 {
			v.Cancel(sas.CodeUser)
		}
	}
	for i := range 100 { // one that has ended is soon forgotten for the next
		v, _ := mustReceive(t, b, asks("B", fmt.Sprint("u", i), noon), noon)
		v.Cancel(sas.CodeUser)
	}
	if left := b.UnderWay(); len(left) != 1 || left[0].Transaction() != "t3" {
		t.Errorf("of %d there are %v", full, left)
	}
	if _, _, err := b.Receive(asks("A3", "t3", noon), noon); err == nil {
		t.Error("forgot one that is under way")
	}
	if out := b.Expire(noon.Add(11 * time.Minute)); len(out) != 1 {
		t.Errorf("expired with %v", out)
	}
	if out := b.Expire(noon.Add(time.Hour)); len(out) > 0 || len(b.UnderWay()) > 0 {
		t.Errorf("expired again with %v", out)
	}
}

func TestABookLooksAtTheClockFirst(t *testing.T) {
	b := newBook(t, bob)
	v, _ := mustReceive(t, b, asks("A1", "t", noon), noon)
	if _, err := v.Accept(); err != nil {
		t.Fatal(err)
	}
	start := sound("A1")["start"]
	start["transaction_id"] = "t"
	raw, _ := json.Marshal(start)
	got, out := mustReceive(t, b, sas.Event{Type: "m.key.verification.start", Sender: alice.User, Content: raw}, noon.Add(10*time.Minute))
	if c, _ := v.Cancellation(); got != v || c.Code != sas.CodeTimeout || len(out) != 1 {
		t.Errorf("%v, %+v, %v", got, c, out)
	}
}

func TestABookWantsToKnowWhoWeAre(t *testing.T) {
	if _, err := sas.NewBook(sas.Config{}); err == nil {
		t.Error("made one for nobody")
	}
}
